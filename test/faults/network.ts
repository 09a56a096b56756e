/** A gateway and two workers, each worker behind a proxy of its own that can do to it what networks do. */
import { PosternSystem, until, untilModel, type Gateway, type Process } from '../support/postern.ts';
import { openProxy, type Proxy, type Relayed } from '../support/proxy.ts';

/** What can happen to the connections of a worker. Each is done to those that are open, and to those that are dialled meanwhile. */
export const FAULTS = {
  'half-open: the peer is gone without a word': (to: Relayed) => to.silence(),
  'one way: the worker is not heard': (to: Relayed) => to.drop('up'),
  'one way: the gateway is not heard': (to: Relayed) => to.drop('down'),
  'cut off in the middle of a frame, then silence': (to: Relayed) => to.endAfter('up', 7, 'silence'),
  'one byte a second': (to: Relayed) => to.throttle(1),
} as const satisfies Record<string, (to: Relayed) => void>;
export type Fault = keyof typeof FAULTS;

export interface Behind {
  readonly name: string;
  readonly proxy: Proxy;
  readonly process: Process;
  /** From now on; `null`: over, and the connections that met it are cut. */
  readonly suffer: (fault: ((to: Relayed) => void) | null) => void;
}

export interface Network {
  readonly gateway: Gateway;
  readonly workers: readonly [Behind, Behind];
  readonly system: PosternSystem;
  close(): Promise<void>;
}

export async function openNetwork(env: Readonly<Record<string, string>> = {}): Promise<Network> {
  const system = new PosternSystem({ env: { POSTERN_LOG_LEVEL: 'warn', ...env } });
  const gateway = await system.gateway();
  const behind = async (name: string): Promise<Behind> => {
    const proxy = await openProxy(gateway.tunnelPort);
    const started = system.worker(gateway, system.issue(name), { TARGET_PORT: String(proxy.port) });
    return {
      name,
      proxy,
      process: started,
      suffer(fault) {
        proxy.onConnection = fault ?? (() => undefined);
        for (const one of proxy.connections) {
          if (fault) fault(one);
          else one.cut();
        }
      },
    };
  };
  const workers = [await behind('gpu-1'), await behind('gpu-2')] as const;
  await untilModel(gateway.url, 'echo');
  for (const { name } of workers) await untilState(gateway, name, 'connected');
  return {
    gateway,
    workers,
    system,
    async close() {
      await system.remove();
      await Promise.all(workers.map(({ proxy }) => proxy.close()));
    },
  };
}

interface WorkerView {
  readonly name: string;
  readonly state: string;
}

/** Waits until the gateway says so of a worker. */
export function untilState(gateway: Gateway, name: string, state: string): Promise<true> {
  return until(`${name} to be ${state}`, 60_000, async () => {
    const answer = (await (await fetch(`${gateway.url}/v1/workers`)).json()) as { results: WorkerView[] };
    // A worker that was away for a whole lease is in the list no more.
    const seen = answer.results.find((one) => one.name === name)?.state ?? 'away';
    return seen === state ? true : null;
  });
}

export interface Seen {
  readonly id: string;
  readonly status: string;
  readonly attempt: number;
  readonly worker: string | null;
  readonly output: string | null;
}

const TEXT = 'a prediction that takes a while';

/** A prediction that takes `delayMs` on whichever worker runs it. */
export async function submit(gateway: Gateway, delayMs: number): Promise<string> {
  const body = JSON.stringify({ input: { file: `data:text/plain,${encodeURIComponent(TEXT)}`, delay_ms: delayMs } });
  const answer = await fetch(`${gateway.url}/v1/models/local/echo/predictions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  if (answer.status !== 202) throw new Error(`${answer.status}: ${await answer.text()}`);
  return ((await answer.json()) as { id: string }).id;
}

export async function look(gateway: Gateway, id: string): Promise<Seen> {
  return (await (await fetch(`${gateway.url}/v1/predictions/${id}`)).json()) as Seen;
}

/** Submits until one runs on this worker. */
export async function runningOn(gateway: Gateway, worker: string, delayMs: number): Promise<string> {
  for (let tries = 0; tries < 200; tries += 1) {
    const id = await submit(gateway, delayMs);
    const job = await until(`${id} to run`, 30_000, async () => {
      const seen = await look(gateway, id);
      return seen.status === 'processing' || seen.status === 'succeeded' ? seen : null;
    });
    if (job.worker === worker) return id;
  }
  throw new Error(`none of 200 ran on ${worker}`);
}

export async function untilDecided(gateway: Gateway, id: string): Promise<Seen> {
  return until(`${id} to be decided`, 120_000, async () => {
    const seen = await look(gateway, id);
    return seen.status === 'starting' || seen.status === 'processing' ? null : seen;
  });
}

/** Was it answered with what it was asked? */
export const isRight = ({ status, output }: Seen): boolean => status === 'succeeded' && output === TEXT;
