/** What callers may say beside the input: in headers, in the query, in fields. Each parser takes text and refuses clearly. */
import { PosternError } from '../../errors.ts';
import type { Json } from '../../dispatch/job.ts';
import { modelName, modelVersion } from '../../protocol/messages.ts';

export const MAX_WAIT_S = 60;
export const MAX_PARAMETERS = 64;
/** Parameters travel in the JSON part of an assign message, which holds 64 KiB in all. */
export const MAX_PARAMETERS_BYTES = 16_384;
/** A day: no queue of this service is meant to be longer, and a deadline beyond it is a mistake in the unit. */
const MAX_CANCEL_AFTER_MS = 86_400_000;
const MAX_IDEMPOTENCY_KEY_CHARS = 255;
/** Numbers below are epoch seconds, above milliseconds: 10¹¹ s is the year 5138, 10¹¹ ms the spring of 1973. */
const FIRST_MILLISECONDS = 100_000_000_000;

type Header = string | string[] | undefined;

export function badParameter(message: string): PosternError {
  return new PosternError('bad_parameter', message);
}

/** `Prefer: wait=5` → 5000, `wait` → 60000, no wait → 0. Other preferences are ignored, as RFC 7240 asks. */
export function parsePrefer(header: Header): number {
  if (header === undefined) return 0;
  if (header === 'wait') return MAX_WAIT_S * 1000;
  for (const preference of String(header).split(',')) {
    const match = /^\s*wait\s*(?:=\s*"?([^";\s]*)"?)?\s*(?:;.*)?$/i.exec(preference);
    if (match) return match[1] === undefined ? MAX_WAIT_S * 1000 : waitMs(match[1], 'Prefer: wait', 1);
  }
  return 0;
}

/** `?wait=5` of a long poll, milliseconds. */
export function parseWait(value: string | undefined): number {
  return value === undefined ? 0 : waitMs(value, 'wait', 0);
}

function waitMs(text: string, name: string, leastS: number): number {
  const seconds = Number(text);
  if (text === '' || !Number.isFinite(seconds) || seconds < leastS || seconds > MAX_WAIT_S) {
    throw badParameter(`${name} is "${clip(text)}"; expected ${leastS} to ${MAX_WAIT_S} seconds.`);
  }
  return seconds * 1000;
}

const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000 };

/** `Cancel-After: 90`, `90s`, `1m30s` → milliseconds; null when absent. */
export function parseCancelAfter(header: Header): number | null {
  if (header === undefined) return null;
  const text = String(header).trim();
  if (!/^(?:\d{1,9}(?:\.\d{1,3})?|(?=\d)(?:\d{1,9}h)?(?:\d{1,9}m)?(?:\d{1,9}s)?)$/.test(text)) {
    throw badParameter(`Cancel-After is "${clip(text)}"; expected seconds, or a duration such as 90s, 5m or 1h30m.`);
  }
  let ms = 0;
  if (/[hms]/.test(text)) {
    for (const [, count, unit] of text.matchAll(/(\d+)([hms])/g)) ms += Number(count) * (UNIT_MS[unit ?? ''] ?? 0);
  } else ms = Number(text) * 1000;
  if (ms <= 0)
    throw new PosternError('deadline_in_past', 'Cancel-After is zero: the deadline would have passed already.');
  if (ms > MAX_CANCEL_AFTER_MS) throw badParameter(`Cancel-After is "${clip(text)}"; at most 24h is allowed.`);
  return ms;
}

/** A moment as ISO 8601 with a zone, or as epoch seconds or milliseconds → epoch ms; null when absent. */
export function parseDeadline(value: unknown, nowMs: number): number | null {
  if (value === undefined || value === null || value === '') return null;
  const at = momentOf(value);
  if (!Number.isFinite(at)) {
    const shown = typeof value === 'string' ? `"${clip(value)}"` : typeof value;
    throw badParameter(`deadline is ${shown}; expected a time such as 2026-01-31T12:00:00Z, or epoch seconds.`);
  }
  if (at <= nowMs) {
    const lateMs = Math.round(nowMs - at);
    throw new PosternError('deadline_in_past', `The deadline was ${lateMs} ms ago by the gateway's clock.`);
  }
  return at;
}

function momentOf(value: unknown): number {
  if (typeof value === 'number' || (typeof value === 'string' && /^\d{1,15}(?:\.\d{1,9})?$/.test(value))) {
    const number = Number(value);
    return number < FIRST_MILLISECONDS ? number * 1000 : number;
  }
  // Without a zone the answer would depend on where the gateway stands.
  if (
    typeof value !== 'string' ||
    !/^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)$/i.test(value)
  )
    return NaN;
  return Date.parse(value);
}

/** The nearer of the two ways to say it. */
export function earliest(a: number | null, b: number | null): number | null {
  return a === null ? b : b === null ? a : Math.min(a, b);
}

export function parseIdempotencyKey(header: Header): string | null {
  if (header === undefined) return null;
  const key = String(header);
  if (!/^[\x21-\x7e][\x20-\x7e]*$/.test(key) || key.length > MAX_IDEMPOTENCY_KEY_CHARS) {
    throw badParameter(`Idempotency-Key must be 1 to ${MAX_IDEMPOTENCY_KEY_CHARS} printable ASCII characters.`);
  }
  return key;
}

export function parsePriority(value: unknown): number {
  if (value === undefined || value === null || value === '') return 0;
  const priority = typeof value === 'string' ? Number(value) : value;
  if (typeof priority !== 'number' || !Number.isInteger(priority) || Math.abs(priority) > 100) {
    throw badParameter('priority must be a whole number from -100 to 100.');
  }
  return priority;
}

export interface ModelReference {
  readonly model: string;
  readonly version: string | null;
}

/** `plants`, `local/plants`, `plants@1`, `local/plants:1`. The owner is free: every model here is `local`. */
export function parseModelReference(text: string): ModelReference {
  const match = /^(?:[^/\s]{1,64}\/)?([^/:@\s]{1,64})(?:[:@]([^/:@\s]{1,64}))?$/.exec(text);
  const model = match?.[1];
  if (model === undefined) {
    throw badParameter(
      `The model is "${clip(text)}"; expected a name such as local/plants, perhaps with a version: local/plants:1.`,
    );
  }
  return { model: checkModel(model), version: match?.[2] === undefined ? null : checkVersion(match[2]) };
}

/** A name that no model can have is a model that does not exist. */
export function checkModel(name: string): string {
  if (modelName.safeParse(name).success) return name;
  throw new PosternError('model_not_found', `There is no model "${clip(name)}". GET /v1/models lists them.`);
}

export function checkVersion(version: string): string {
  if (modelVersion.safeParse(version).success) return version;
  throw new PosternError('model_not_found', `There is no version "${clip(version)}". GET /v1/models lists them.`);
}

const PARAMETER_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;

/** Collects parameters under their limits. Names are checked, so no name can reach a prototype. */
export class ParameterSet {
  readonly values: Record<string, Json> = {};
  #count = 0;
  #bytes = 0;

  add(name: string, value: Json): void {
    if (!PARAMETER_NAME.test(name) || Object.hasOwn(Object.prototype, name)) {
      throw badParameter(`"${clip(name)}" cannot be a parameter's name; expected letters, digits, "_", "." or "-".`);
    }
    if (Object.hasOwn(this.values, name)) throw badParameter(`The parameter "${name}" is given twice.`);
    this.#count += 1;
    this.#bytes += name.length + JSON.stringify(value).length;
    if (this.#count > MAX_PARAMETERS) throw badParameter(`More than ${MAX_PARAMETERS} parameters.`);
    if (this.#bytes > MAX_PARAMETERS_BYTES)
      throw badParameter(`The parameters are larger than ${MAX_PARAMETERS_BYTES} bytes in all.`);
    this.values[name] = value;
  }
}

/** A field or query value: JSON where it reads as JSON and survives the trip as a number, otherwise the text itself. */
export function readScalar(text: string): Json {
  if (!/^(?:-?\d|[{["]|true$|false$|null$)/.test(text)) return text;
  try {
    const value = parseJsonSafely(text, 'bad_parameter');
    const lossy =
      typeof value === 'number' &&
      (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)));
    return lossy ? text : value;
  } catch (error) {
    if (/^[{[]/.test(text)) throw error;
    return text;
  }
}

/** Deeper than any real input; far from what a recursive reader's stack can take. */
const MAX_JSON_DEPTH = 64;

/** JSON.parse, plus: bounded nesting, and no `__proto__` key that a later copy could turn into a prototype. */
export function parseJsonSafely(text: string, code: 'bad_json' | 'bad_parameter'): Json {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (error) {
    const reason = error instanceof SyntaxError ? jsonReason(error.message) : 'it cannot be parsed';
    throw new PosternError(code, `Expected JSON, but ${reason}.`);
  }
  checkJson(value, code);
  return value;
}

/** V8's message quotes the body; only the position is kept. */
function jsonReason(message: string): string {
  const at = / at position (\d+)/.exec(message)?.[1];
  if (at !== undefined) return `it is broken at character ${at}`;
  return message.includes('end of JSON') ? 'it ends too early' : 'it is broken';
}

function checkJson(root: Json, code: 'bad_json' | 'bad_parameter'): void {
  let level: Json[] = [root];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MAX_JSON_DEPTH)
      throw new PosternError(code, `The JSON is nested deeper than ${MAX_JSON_DEPTH} levels.`);
    const below: Json[] = [];
    for (const value of level) {
      if (typeof value !== 'object' || value === null) continue;
      if (Array.isArray(value)) {
        for (const item of value as Json[]) if (typeof item === 'object' && item !== null) below.push(item);
        continue;
      }
      if (Object.hasOwn(value, '__proto__')) throw new PosternError(code, 'The key "__proto__" is not allowed.');
      for (const item of Object.values(value)) if (typeof item === 'object' && item !== null) below.push(item);
    }
    level = below;
  }
}

/** What a caller sent, short enough to be shown back. */
export function clip(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}
