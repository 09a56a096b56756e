/**
 * A prediction as it goes on, as an async iterator. It comes back by itself, with what it has, after a lost connection and
 * when a gateway stops: its reader gets every part once, in order, or is told that the output begins again.
 */
import { isErrorCode, PosternError, toPosternError, type ErrorCode } from '../errors.ts';
import { EventParser, type ServerEvent } from './events.ts';
import { send, type Transport } from './http.ts';
import type { PredictionStatus } from './shapes.ts';

export type PredictionEvent =
  | { readonly type: 'status'; readonly status: PredictionStatus; readonly attempt: number }
  | { readonly type: 'progress'; readonly fraction: number | null; readonly message: string | null }
  /** A part of the output, or all of it: text or JSON as it is, other types as a data URL. `id` is where to go on from. */
  | { readonly type: 'output'; readonly data: string; readonly id: string }
  /** The output so far belongs to an attempt that was lost: forget it. */
  | { readonly type: 'reset'; readonly attempt: number }
  | { readonly type: 'error'; readonly detail: string; readonly code: ErrorCode | null }
  /** The last event. null: it succeeded. */
  | { readonly type: 'done'; readonly reason: 'canceled' | 'error' | null };

export interface StreamOptions {
  readonly signal?: AbortSignal;
  /** The `id` of the last output that the caller has from an earlier stream. */
  readonly lastEventId?: string;
}

/** Connections in a row that brought nothing new: then whatever is wrong will not get better by itself. */
const MAX_DRY_CONNECTIONS = 20;
const FIRST_RETRY_MS = 250;
const MAX_RETRY_MS = 5_000;

export async function* streamPrediction(
  transport: Transport,
  predictionId: string,
  options: StreamOptions = {},
): AsyncGenerator<PredictionEvent, void, undefined> {
  const { signal } = options;
  const path = `/v1/predictions/${encodeURIComponent(predictionId)}/stream`;
  let lastId = options.lastEventId ?? '';
  let dry = 0;
  let everRead = false;
  for (;;) {
    const headers: Record<string, string> = { accept: 'text/event-stream' };
    if (lastId !== '') headers['last-event-id'] = lastId;
    const parser = new EventParser();
    let lost: unknown = null;
    let fresh = false;
    try {
      const response = await send(transport, { method: 'GET', path, headers, signal, repeatable: true });
      if (response.status === 204) return;
      everRead = true;
      for await (const event of read(response, parser)) {
        if (event.event === 'reconnect') break;
        const known = eventOf(event);
        if (known === null) continue;
        if (event.id !== '') lastId = event.id;
        // States are told anew on every connection; only what is new counts as getting on.
        fresh ||= known.type !== 'status';
        yield known;
        if (known.type === 'done') return;
      }
    } catch (error) {
      if (signal?.aborted === true) throw signal.reason;
      // A gateway that was there a moment ago may be between two releases.
      if (error instanceof PosternError && !(everRead && error.retryable)) throw error;
      lost = error;
    }
    dry = fresh ? 0 : dry + 1;
    if (dry >= MAX_DRY_CONNECTIONS) throw gaveUp(predictionId, lost);
    const backoffMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.max(0, dry - 1));
    await transport.delay(Math.max(parser.retryMs ?? 0, backoffMs * transport.random()), signal);
  }
}

/** Ends the connection however its reader ends. */
async function* read(response: Response, parser: EventParser): AsyncGenerator<ServerEvent, void, undefined> {
  if (response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(value);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** null: an event of a later release, or one that is not ours. */
function eventOf({ event, data, id }: ServerEvent): PredictionEvent | null {
  if (event === 'output') return { type: 'output', data, id };
  const fields = jsonObject(data);
  switch (event) {
    case 'status':
      return { type: 'status', status: fields.status as PredictionStatus, attempt: Number(fields.attempt) };
    case 'progress':
      return { type: 'progress', fraction: numberOf(fields.fraction), message: textOf(fields.message) };
    case 'reset':
      return { type: 'reset', attempt: Number(fields.attempt) };
    case 'error':
      return {
        type: 'error',
        detail: textOf(fields.detail) ?? data,
        code: isErrorCode(fields.code) ? fields.code : null,
      };
    case 'done':
      return { type: 'done', reason: fields.reason === 'canceled' || fields.reason === 'error' ? fields.reason : null };
    default:
      return null;
  }
}

function jsonObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

const numberOf = (value: unknown): number | null => (typeof value === 'number' ? value : null);
const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null);

function gaveUp(id: string, lost: unknown): PosternError {
  const cause = lost === null ? undefined : toPosternError(lost, 'unreachable');
  const why = cause === undefined ? 'its connections end without a word' : cause.message;
  return new PosternError('unreachable', `the stream of ${id} broke off ${MAX_DRY_CONNECTIONS} times: ${why}`, {
    cause,
  });
}
