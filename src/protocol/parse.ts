/**
 * Text to message. The schemas of `messages.ts` are the law; the checks by hand here only wave through what certainly
 * fits (the hot messages, with exactly their known keys), because a full parse by schema costs more than all the
 * rest of a message's way. Everything else, and every refusal, goes through the schemas. A property test compares.
 */
import { isUtf8 } from 'node:buffer';
import { PosternError } from '../errors.ts';
import { EXCHANGE_WINDOW_BYTES, MAX_CREDIT_ROWS, MAX_INLINE_BYTES, MAX_PAYLOAD_BYTES } from './limits.ts';
import { message as messageSchema } from './messages.ts';
import type { Message, MessageType } from './messages.ts';

/** Who may send a message. */
export const DIRECTIONS = {
  hello: 'worker',
  welcome: 'gateway',
  close: 'both',
  ping: 'both',
  pong: 'both',
  models: 'worker',
  deploy: 'gateway',
  grant: 'worker',
  withdraw: 'worker',
  withdrawn: 'gateway',
  assign: 'gateway',
  cancel: 'gateway',
  canceled: 'worker',
  progress: 'worker',
  partial: 'worker',
  result: 'worker',
  failure: 'worker',
  ack: 'gateway',
  resume: 'worker',
  gone: 'worker',
  keep: 'worker',
  drain: 'both',
  drained: 'both',
  probe: 'worker',
  probe_request: 'worker',
  probe_report: 'gateway',
  join: 'worker',
  joined: 'gateway',
  renew: 'worker',
  renewed: 'gateway',
  renewal_refused: 'gateway',
  denied: 'gateway',
  gateways: 'gateway',
  request: 'gateway',
  response: 'worker',
  body: 'both',
  taken: 'both',
  abort: 'both',
} as const satisfies Record<MessageType, 'worker' | 'gateway' | 'both'>;

export type Side = 'worker' | 'gateway';

/** Bytes of the payload that belongs to the message. `probe_request` names a size that it asks for, and carries none. */
export function payloadBytes(message: Message): number {
  switch (message.type) {
    case 'assign':
    case 'result':
    case 'partial':
    case 'probe':
    case 'probe_report':
    case 'request':
    case 'response':
    case 'body':
      return message.bytes;
    default:
      return 0;
  }
}

/** Decodes the JSON in `buffer[start, end)`. Throws message_invalid, never anything else. */
export function parseMessage(buffer: Buffer, start: number, end: number): Message {
  const text = buffer.toString('utf8', start, end);
  // Bad UTF-8 decodes to U+FFFD, which is also a legal character: only then look at the bytes.
  if (text.includes('\ufffd') && !isUtf8(buffer.subarray(start, end))) {
    throw new PosternError('message_invalid', 'a message is not valid UTF-8');
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new PosternError('message_invalid', 'a message is not valid JSON', { cause: error });
  }
  return isHot(value, text) ? value : checkMessage(value);
}

/** Any value against the schemas. Unknown keys are dropped. */
export function checkMessage(value: unknown): Message {
  let checked: ReturnType<typeof messageSchema.safeParse>;
  try {
    checked = messageSchema.safeParse(value);
  } catch (error) {
    // The recursion of a schema over JSON nested thousands deep ends the stack.
    throw new PosternError('message_invalid', 'a message is nested too deeply', { cause: error });
  }
  if (checked.success) return checked.data;
  const issue = checked.error.issues[0];
  const type = typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined;
  const where = issue === undefined || issue.path.length === 0 ? 'it' : issue.path.map(String).join('.');
  throw new PosternError(
    'message_invalid',
    `message ${typeof type === 'string' ? type.slice(0, 32) : 'without type'}: ${where}: ${issue?.message ?? 'invalid'}`,
  );
}

const MODEL_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const MODEL_VERSION = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;

/** Of the whole text, in characters: nested to this depth every stack holds. */
const MAX_HOT_PARAMETERS = 1_024;

interface Loose {
  readonly type?: unknown;
  readonly job?: unknown;
  readonly attempt?: unknown;
  readonly attempts?: unknown;
  readonly model?: unknown;
  readonly version?: unknown;
  readonly rows?: unknown;
  readonly contentType?: unknown;
  readonly bytes?: unknown;
  readonly timings?: unknown;
  readonly timeoutMs?: unknown;
  readonly parameters?: unknown;
  readonly exchange?: unknown;
  readonly more?: unknown;
  readonly count?: unknown;
  readonly status?: unknown;
  readonly headers?: unknown;
  readonly method?: unknown;
  readonly path?: unknown;
}

/** True only for a message that its schema accepts as it is. `text` is the JSON that `value` was parsed from. */
export function isHot(value: unknown, text: string): value is Message {
  if (typeof value !== 'object' || value === null) return false;
  const loose = value as Loose;
  switch (loose.type) {
    case 'assign':
      return isAssign(loose, text);
    case 'result':
      return (
        isId(loose.job) &&
        isAttempt(loose.attempt) &&
        isContentType(loose.contentType) &&
        isInt(loose.bytes, 0, MAX_PAYLOAD_BYTES) &&
        isTimings(loose.timings) &&
        countKeys(value) === 6
      );
    case 'grant':
      return isModel(loose.model, loose.version) && isInt(loose.rows, 1, MAX_CREDIT_ROWS) && countKeys(value) === 4;
    case 'ack':
      return isAttempts(loose.attempts) && countKeys(value) === 2;
    case 'body':
      return isPiece(loose) && countKeys(value) === 4;
    case 'taken':
      return isExchange(loose.exchange) && isInt(loose.count, 1, EXCHANGE_WINDOW_BYTES) && countKeys(value) === 3;
    case 'response':
      return isPiece(loose) && isInt(loose.status, 200, 599) && isHeaders(loose.headers) && countKeys(value) === 6;
    case 'request':
      return (
        isPiece(loose) &&
        isModel(loose.model, loose.version) &&
        typeof loose.method === 'string' &&
        METHOD.test(loose.method) &&
        typeof loose.path === 'string' &&
        loose.path.length <= 8_192 &&
        PATH.test(loose.path) &&
        isHeaders(loose.headers) &&
        countKeys(value) === 9
      );
    default:
      return false;
  }
}

const METHOD = /^[A-Z]{1,16}$/;
const PATH = /^\/[\x21-\x7e]*$/;

function isPiece({ exchange, more, bytes }: Loose): boolean {
  return isExchange(exchange) && typeof more === 'boolean' && isInt(bytes, 0, MAX_INLINE_BYTES);
}

function isExchange(value: unknown): boolean {
  return isInt(value, 1, Number.MAX_SAFE_INTEGER);
}

function isHeaders(value: unknown): boolean {
  if (!Array.isArray(value) || value.length > 256) return false;
  for (const text of value as unknown[]) if (typeof text !== 'string' || text.length > 16_384) return false;
  return true;
}

function isAssign(loose: Loose, text: string): boolean {
  let keys = 8;
  if (loose.timeoutMs !== undefined) {
    if (!isDuration(loose.timeoutMs)) return false;
    keys++;
  }
  if (loose.parameters !== undefined) {
    const parameters = loose.parameters;
    if (typeof parameters !== 'object' || parameters === null || Array.isArray(parameters)) return false;
    // What JSON.parse made is JSON; only this key means something else to objects, and only long texts nest too deeply.
    if (text.length > MAX_HOT_PARAMETERS || text.includes('__proto__') || text.includes('\\u')) return false;
    keys++;
  }
  return (
    isId(loose.job) &&
    isAttempt(loose.attempt) &&
    isModel(loose.model, loose.version) &&
    isInt(loose.rows, 1, MAX_CREDIT_ROWS) &&
    isContentType(loose.contentType) &&
    isInt(loose.bytes, 0, MAX_PAYLOAD_BYTES) &&
    countKeys(loose) === keys
  );
}

function isTimings(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { queueMs, decodeMs, batchMs, computeMs } = value as Record<string, unknown>;
  return (
    isDuration(queueMs) &&
    isDuration(decodeMs) &&
    isDuration(batchMs) &&
    isDuration(computeMs) &&
    countKeys(value) === 4
  );
}

function isAttempts(value: unknown): boolean {
  if (!Array.isArray(value) || value.length < 1 || value.length > 1_024) return false;
  for (const pair of value as unknown[]) {
    if (!Array.isArray(pair) || pair.length !== 2 || !isId(pair[0]) || !isAttempt(pair[1])) return false;
  }
  return true;
}

function isInt(value: unknown, least: number, most: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
}

function isId(value: unknown): boolean {
  return typeof value === 'string' && value.length >= 1 && value.length <= 64;
}

function isAttempt(value: unknown): boolean {
  return isInt(value, 1, 1_000_000);
}

function isContentType(value: unknown): boolean {
  return typeof value === 'string' && value.length >= 1 && value.length <= 255;
}

function isModel(model: unknown, version: unknown): boolean {
  return (
    typeof model === 'string' && MODEL_NAME.test(model) && typeof version === 'string' && MODEL_VERSION.test(version)
  );
}

function isDuration(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER;
}

/** Cheaper than Object.keys: no array. JSON objects have no inherited keys. */
function countKeys(value: object): number {
  let keys = 0;
  for (const _ in value) keys++;
  return keys;
}
