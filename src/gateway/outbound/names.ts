/**
 * Names to addresses, once for each request. Names that callers chose are asked of DNS without a thread: the system's
 * `getaddrinfo` holds one of four threads of the process while a slow server lets it wait, and files are written with
 * the same four. Names that the operator listed are looked up as the system does, `/etc/hosts` included.
 */
import { lookup, Resolver } from 'node:dns/promises';

export interface Names {
  /** All addresses of a name, at least one. Rejects with the system's error. */
  resolve(host: string, options: { readonly asSystem: boolean; readonly signal: AbortSignal }): Promise<string[]>;
}

export interface NamesOptions {
  /** `address:port`; by default what the system is configured with. */
  readonly servers?: readonly string[];
}

const TIMEOUT_MS = 2_000;
const TRIES = 2;
/** A name with more is cut: nobody needs to try so many. */
const MAX_ADDRESSES = 32;

export function createNames({ servers }: NamesOptions = {}): Names {
  async function ask(host: string, signal: AbortSignal): Promise<string[]> {
    // One for each question, so that cancelling it cancels nobody else's.
    const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
    if (servers) resolver.setServers(servers);
    const cancel = (): void => resolver.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
      const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
      if (found.length > 0) return found;
      throw (answers[0] as PromiseRejectedResult).reason;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  return {
    async resolve(host, { asSystem, signal }) {
      signal.throwIfAborted();
      const found = asSystem
        ? (await lookup(host, { all: true })).map(({ address }) => address)
        : await ask(host, signal);
      return found.slice(0, MAX_ADDRESSES);
    },
  };
}
