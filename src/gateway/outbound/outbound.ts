/**
 * Every request that the gateway makes on a caller's behalf: webhooks, and inputs by URL. The name is resolved once, every
 * address is checked, and the connection goes to the addresses that were checked, so that nothing can change in between.
 * Each redirect is a new URL and passes the same checks. No proxy of the environment is used, no cookie is kept, no
 * connection is used twice, and time, headers and bodies are bounded.
 */
import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { Clock } from '../../clock.ts';
import { parseAddress } from './address.ts';
import { createNames, type Names } from './names.ts';
import {
  earlyRefusal,
  isListedHost,
  isLoopbackName,
  readTarget,
  refusalAt,
  type OutboundRules,
  type Target,
} from './rules.ts';

export interface OutboundRequest {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  /** Lower case. `host`, `connection` and the length are set here. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** From the name's lookup to the last byte of the answer, redirects included. */
  readonly timeoutMs: number;
  /** 0: a redirect is an answer like any other. */
  readonly maxRedirects: number;
  /** null: the answer's body is not read. */
  readonly read: BodyReading | null;
  /** Ends the request; `send` then rejects with its reason. */
  readonly signal?: AbortSignal;
}

export interface BodyReading {
  readonly maxBytes: number;
  /** Called with every chunk's length before it is kept; what it throws ends the request, and `send` rejects with it. */
  readonly count: (bytes: number) => void;
}

/**
 * `refused`: the rules forbid it, and asking again is useless. `failed`: no answer, which may pass. `too_large`: the body was
 * longer than allowed. Reasons are complete enough for the caller to act on, and tell nothing about the gateway's network.
 */
export type OutboundResult =
  | { readonly type: 'answered'; readonly status: number; readonly headers: Headers; readonly body: Buffer }
  | { readonly type: 'refused'; readonly reason: string }
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'too_large' };

type Headers = IncomingMessage['headers'];

export interface Outbound {
  /** What is wrong with a URL, as far as it can be said without asking anybody; null: nothing. */
  refusal(url: string): string | null;
  send(request: OutboundRequest): Promise<OutboundResult>;
}

export interface OutboundOptions {
  readonly clock: Clock;
  readonly rules: OutboundRules;
  readonly names?: Names;
  /** Authorities beside the system's. */
  readonly ca?: string;
}

/** Addresses of one name that are tried, one after another. */
const MAX_TRIED = 8;
const MAX_HEADER_BYTES = 16 * 1024;
const AGENT = 'Postern';
const NO_BYTES = Buffer.alloc(0);
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const TOO_LATE = new Error('no answer in time');

/** How one request, without its redirects, ended. */
type Hop = OutboundResult | { readonly type: 'redirected'; readonly to: string };

export function createOutbound({ clock, rules, names = createNames(), ca }: OutboundOptions): Outbound {
  // Agents of our own: the global ones may be told to use a proxy, which would resolve the name once more.
  const http = new HttpAgent({ keepAlive: false });
  const https = new HttpsAgent({ keepAlive: false, maxCachedSessions: 0, ...(ca === undefined ? {} : { ca }) });

  /** The addresses to connect to, all of them checked. */
  async function addressesOf(target: Target, signal: AbortSignal): Promise<string[] | OutboundResult> {
    const reason = earlyRefusal(rules, target);
    if (reason !== null) return { type: 'refused', reason };
    const isListed = isListedHost(rules, target);
    const asSystem = isListed || isLoopbackName(target);
    let found: string[];
    if (target.address !== null) found = [target.host];
    else {
      try {
        found = await names.resolve(target.host, { asSystem, signal });
      } catch (error) {
        signal.throwIfAborted();
        return { type: 'failed', reason: `its host cannot be looked up (${codeOf(error)})` };
      }
    }
    if (isListed) return found.slice(0, MAX_TRIED);
    for (const text of found) {
      const address = parseAddress(text);
      // One private address among public ones is refused with them: which one is connected to would be chance.
      const reason = address === null ? 'its host has no usable address' : refusalAt(rules, target, address);
      if (reason !== null) return { type: 'refused', reason };
    }
    return found.slice(0, MAX_TRIED);
  }

  function open(target: Target, addresses: readonly string[], request: OutboundRequest): ClientRequest {
    const { url, host, port } = target;
    const { body, headers, method } = request;
    const isTls = url.protocol === 'https:';
    return (isTls ? httpsRequest : httpRequest)({
      agent: isTls ? https : http,
      protocol: url.protocol,
      hostname: host,
      port,
      path: `${url.pathname}${url.search}`,
      method,
      headers: {
        'user-agent': AGENT,
        'accept-encoding': 'identity',
        ...headers,
        ...(body === undefined ? {} : { 'content-length': String(body.byteLength) }),
        host: url.host,
      },
      lookup: fixedLookup(addresses),
      servername: target.address === null ? host : '',
      maxHeaderSize: MAX_HEADER_BYTES,
      // Written out, because the environment can switch it off for the whole process.
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
    });
  }

  function hop(target: Target, addresses: string[], request: OutboundRequest, signal: AbortSignal): Promise<Hop> {
    return new Promise((resolve, reject) => {
      const sent = open(target, addresses, request);
      const onAbort = (): void => finish(() => reject(signal.reason as Error));
      let isOver = false;
      const finish = (settle: () => void): void => {
        if (isOver) return;
        isOver = true;
        signal.removeEventListener('abort', onAbort);
        settle();
        sent.destroy();
      };
      const end = (result: Hop): void => finish(() => resolve(result));
      const fail = (error?: unknown): void => end({ type: 'failed', reason: `the request failed (${codeOf(error)})` });
      signal.addEventListener('abort', onAbort, { once: true });
      sent.on('error', fail);
      sent.on('close', () => fail());
      sent.on('response', (answer) => {
        answer.on('error', fail);
        const { statusCode: status = 0, headers } = answer;
        const { location } = headers;
        if (REDIRECTS.has(status) && request.maxRedirects > 0 && location !== undefined) {
          end({ type: 'redirected', to: location });
        } else if (request.read === null) end({ type: 'answered', status, headers, body: NO_BYTES });
        else {
          readBody(answer, request.read, {
            done: (body) => end({ type: 'answered', status, headers, body }),
            tooLarge: () => end({ type: 'too_large' }),
            threw: (error) => finish(() => reject(error)),
          });
        }
      });
      sent.end(request.body);
    });
  }

  async function follow(request: OutboundRequest, signal: AbortSignal): Promise<OutboundResult> {
    let url = request.url;
    for (let redirects = 0; ; redirects += 1) {
      const target = readTarget(url);
      if (typeof target === 'string') return { type: 'refused', reason: target };
      const addresses = await addressesOf(target, signal);
      if (!Array.isArray(addresses)) return addresses;
      // Aborted since: an event that has passed does not come again.
      signal.throwIfAborted();
      const ended = await hop(target, addresses, request, signal);
      if (ended.type !== 'redirected') return ended;
      if (redirects === request.maxRedirects) {
        return { type: 'failed', reason: `it redirects more than ${request.maxRedirects} times` };
      }
      const next = URL.parse(ended.to, target.url.href);
      if (next === null) return { type: 'failed', reason: 'it redirects to something that is no URL' };
      if (target.url.protocol === 'https:' && next.protocol === 'http:') {
        return { type: 'refused', reason: 'it redirects from https:// to http://' };
      }
      url = next.href;
    }
  }

  return {
    refusal(url) {
      const target = readTarget(url);
      return typeof target === 'string' ? target : earlyRefusal(rules, target);
    },
    async send(request) {
      const { signal, timeoutMs } = request;
      const controller = new AbortController();
      const leave = (): void => controller.abort(signal?.reason);
      const timer = clock.after(timeoutMs, () => controller.abort(TOO_LATE));
      if (signal?.aborted === true) leave();
      signal?.addEventListener('abort', leave, { once: true });
      try {
        controller.signal.throwIfAborted();
        return await follow(request, controller.signal);
      } catch (error) {
        if (error !== TOO_LATE) throw error;
        return { type: 'failed', reason: `no complete answer within ${timeoutMs / 1000} s` };
      } finally {
        timer.cancel();
        signal?.removeEventListener('abort', leave);
      }
    },
  };
}

/** Answers with what was checked, whatever is asked. */
function fixedLookup(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_host, options, callback) => {
    if (options.all === true) callback(null, all);
    else callback(null, all[0]!.address, all[0]!.family);
  };
}

interface BodyEnds {
  readonly done: (body: Buffer) => void;
  readonly tooLarge: () => void;
  readonly threw: (error: Error) => void;
}

function readBody(answer: IncomingMessage, { maxBytes, count }: BodyReading, ends: BodyEnds): void {
  if (Number(answer.headers['content-length'] ?? 0) > maxBytes) {
    ends.tooLarge();
    return;
  }
  const chunks: Buffer[] = [];
  let received = 0;
  answer.on('data', (chunk: Buffer) => {
    received += chunk.length;
    if (received > maxBytes) {
      ends.tooLarge();
      return;
    }
    try {
      count(chunk.length);
      chunks.push(chunk);
    } catch (error) {
      ends.threw(error as Error);
    }
  });
  answer.on('end', () => ends.done(Buffer.concat(chunks, received)));
}

/** `ECONNREFUSED`, `CERT_HAS_EXPIRED`, …: what the system calls it. Its messages name addresses, so they are not shown. */
function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0]);
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' ? code : 'the connection was closed';
}
