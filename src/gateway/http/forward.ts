/**
 * A request passed on as a whole to another gateway, and its answer passed back as it comes. Neither body is kept: each waits for its
 * reader. A caller that leaves ends the work there. A request that was passed on once is never passed on again.
 *
 * Before the first byte of an answer another gateway may be asked: always when this one has not seen the request or says that it did not
 * begin; when it was lost, only if doing the work twice harms nobody. Never once a streamed body has been read from.
 */
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import type { Clock, Timer } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { Peer, Peers } from '../cluster/peer.ts';
import type { Room } from '../room.ts';
import { CallerGone, hasBody } from './body.ts';
import { encodeAccess, FORWARDED_HEADER, isPeer, REFUSED_HEADER } from './forwarded.ts';
import { keptHeaders } from './late.ts';
import type { Call, StreamAnswer } from './route.ts';

const CONNECT_MS = 2_000;
const RETRY_AFTER_S = 1;
/** Of a refusal that nobody gets: a problem is some hundred bytes. To dial anew is cheaper than to read more. */
const MAX_DRAINED_BYTES = 64 * 1024;
const DRAIN_MS = 1_000;

export const FORWARD_RESULTS = ['answered', 'refused', 'unreachable', 'lost', 'left'] as const;
export type ForwardResult = (typeof FORWARD_RESULTS)[number];

export interface Passed {
  readonly model: string;
  /** Read already, perhaps none; null: it is streamed from the request. */
  readonly body: Uint8Array | null;
  /** Twice done does no harm. */
  readonly repeatable: boolean;
  /** Whoever reads comes back after an end, and must not take the rest of a broken line for a whole one. */
  readonly endsOnLoss?: boolean;
}

export interface Forwarder {
  /** null: it is to be served here, or refused here. */
  instead(
    call: Call,
    place: { version: string | null; room: Room },
    passed: Passed,
  ): Promise<StreamAnswer | null> | null;
  /** To the gateway that runs this model's job; null: none says that it does. */
  follow(call: Call, model: string): Promise<StreamAnswer | null>;
  /** Is there anybody who could run a job of this model? */
  mayRunElsewhere(model: string): boolean;
  /** Another gateway serves it now, as far as is known here. */
  servedElsewhere(model: string, version: string | null): boolean;
  readonly counts: Readonly<Record<ForwardResult, number>>;
}

export interface ForwarderOptions {
  readonly peers: Peers;
  readonly clock: Clock;
}

type Outcome =
  /** Perhaps with a refusal. */
  | { readonly type: 'answered'; readonly answer: StreamAnswer }
  /** Another one may be asked. */
  | { readonly type: 'refused' }
  /** `again`: another one may be asked. */
  | { readonly type: 'failed'; readonly again: boolean; readonly error: Error };

export function createForwarder({ peers, clock }: ForwarderOptions): Forwarder {
  const counts: Record<ForwardResult, number> = { answered: 0, refused: 0, unreachable: 0, lost: 0, left: 0 };

  /** Asks one after another. null: all of them refused, could not be reached or have no room, and the request is as it came. */
  async function ask(call: Call, candidates: readonly Peer[], passed: Passed): Promise<StreamAnswer | null> {
    for (const peer of candidates) {
      if (!peer.hasRoom) continue;
      const outcome = await attempt(call, peer, passed);
      if (outcome.type === 'answered') return outcome.answer;
      if (outcome.type === 'refused' || outcome.again) continue;
      throw new PosternError(
        'gateway_lost',
        'The gateway that this was passed on to was lost before it answered: ask again.',
        { retryAfterS: RETRY_AFTER_S, cause: outcome.error },
      );
    }
    return null;
  }

  function attempt(call: Call, peer: Peer, passed: Passed): Promise<Outcome> {
    const { request, response } = call;
    const startedAt = clock.monotonic();
    return new Promise((resolve, reject) => {
      const onward = peer.request(passed.model, {
        method: request.method ?? 'GET',
        path: request.url ?? '/',
        headers: headersFor(call, passed.body),
      });
      let state: 'dialling' | 'sent' | 'answered' = 'dialling';
      let isTouched = false;
      let slow: Timer | undefined;
      const connected = (): void => {
        slow?.cancel();
        state = 'sent';
        if (passed.body !== null || !hasBody(request)) return;
        isTouched = true;
        request.pipe(onward);
      };
      const left = (): void => {
        counts.left += 1;
        state = 'answered';
        slow?.cancel();
        onward.destroy();
        reject(new CallerGone('the caller left while its request was at another gateway'));
      };
      const settled = (): void => {
        slow?.cancel();
        response.off('close', left);
      };
      response.once('close', left);
      onward.once('socket', (socket) => {
        if (onward.reusedSocket) {
          connected();
          return;
        }
        socket.once('secureConnect', connected);
        slow = clock.after(CONNECT_MS, () => onward.destroy(new Error(`no connection within ${CONNECT_MS} ms`)));
      });
      onward.on('error', (error) => {
        if (state === 'answered') return;
        settled();
        counts[state === 'dialling' ? 'unreachable' : 'lost'] += 1;
        resolve({ type: 'failed', again: !isTouched && (state === 'dialling' || passed.repeatable), error });
      });
      onward.once('response', (answer) => {
        state = 'answered';
        settled();
        const hasRefused = answer.headers[REFUSED_HEADER] !== undefined;
        counts[hasRefused ? 'refused' : 'answered'] += 1;
        if (hasRefused && !isTouched) {
          drain(answer, onward, clock);
          resolve({ type: 'refused' });
          return;
        }
        const tookMs = clock.monotonic() - startedAt;
        resolve({ type: 'answered', answer: answerOf(answer, onward, call, passed, { peer, tookMs }) });
      });
      if (passed.body !== null) onward.end(passed.body);
      else if (!hasBody(request)) onward.end();
    });
  }

  return {
    counts,
    instead(call, { version, room }, passed) {
      if (isPeer(call.request.socket)) return null;
      const candidates = peers.choose(passed.model, version, room);
      if (candidates.length === 0) return null;
      return ask(call, candidates, passed);
    },
    follow(call, model) {
      if (isPeer(call.request.socket)) return Promise.resolve(null);
      return ask(call, peers.holders(model), { model, body: null, repeatable: true, endsOnLoss: true });
    },
    mayRunElsewhere: (model) => peers.holders(model).length > 0,
    servedElsewhere: (model, version) => peers.choose(model, version, 'none').length > 0,
  };
}

function headersFor({ request, access, id }: Call, body: Uint8Array | null): string[] {
  const own = [FORWARDED_HEADER, encodeAccess(access), 'x-request-id', id];
  const headers = keptHeaders(request.rawHeaders, body === null ? REPLACED : REPLACED_WITH_BODY);
  if (request.headers.host === undefined) own.push('host', 'postern');
  if (body !== null) {
    if (hasBody(request)) own.push('content-length', String(body.byteLength));
  } else if (request.headers['transfer-encoding'] !== undefined) own.push('transfer-encoding', 'chunked');
  return [...headers, ...own];
}

/** Who asked is in {@link FORWARDED_HEADER}: what proves it stays at the gateway where it was shown. */
const SECRETS = ['authorization', 'cookie', 'proxy-authorization', 'x-csrf-token'] as const;
const REPLACED: ReadonlySet<string> = new Set(['x-request-id', ...SECRETS]);
const REPLACED_WITH_BODY: ReadonlySet<string> = new Set([...REPLACED, 'content-length']);
/** Written anew by this gateway. */
const NOT_PASSED_BACK: ReadonlySet<string> = new Set(['x-request-id', REFUSED_HEADER]);

/** Reads what nobody gets, so that the connection can carry the next request. */
function drain(answer: IncomingMessage, onward: ClientRequest, clock: Clock): void {
  let bytes = 0;
  const slow = clock.after(DRAIN_MS, () => onward.destroy());
  onward.once('close', () => slow.cancel());
  answer.on('error', () => undefined);
  answer.on('data', (chunk: Buffer) => {
    bytes += chunk.byteLength;
    if (bytes > MAX_DRAINED_BYTES) onward.destroy();
  });
}

function answerOf(
  answer: IncomingMessage,
  onward: ClientRequest,
  call: Call,
  { endsOnLoss = false }: Passed,
  { peer, tookMs }: { readonly peer: Peer; readonly tookMs: number },
): StreamAnswer {
  const timing = ['server-timing', `peer;dur=${tookMs.toFixed(1)};desc="${peer.id}"`];
  // A model may think for minutes: a connection that stands still is dead only where the caller does not read.
  call.response.on('timeout', () => {
    if (call.response.writableNeedDrain) call.response.destroy();
  });
  return {
    status: answer.statusCode ?? 502,
    headers: [...keptHeaders(answer.rawHeaders, NOT_PASSED_BACK), ...timing],
    abandon: () => onward.destroy(),
    stream: (response) => passBack(answer, response, onward, endsOnLoss),
  };
}

/** Resolves when all of it is out, or one end is gone. */
function passBack(
  answer: IncomingMessage,
  response: ServerResponse,
  onward: ClientRequest,
  endsOnLoss: boolean,
): Promise<void> {
  return new Promise((resolve) => {
    response.once('close', () => {
      onward.destroy();
      resolve();
    });
    answer.once('end', () => resolve());
    answer.once('error', () => undefined);
    answer.once('close', () => {
      if (answer.complete) return;
      // The head is out: the only way to say that the rest is missing is to cut the connection.
      if (!endsOnLoss) response.destroy();
      resolve();
    });
    answer.pipe(response, { end: false });
  });
}
