/**
 * Owner of what the worker holds: attempts that run, and results (or failures) that the gateway has not acked yet. This is
 * what a resume message lists, and what a reconnect sends again.
 *
 * An attempt is: unknown → running → kept (ended, not acked) → past; or, canceled, running → past.
 */
import { PosternError } from '../errors.ts';
import type { Connection } from '../protocol/connection.ts';
import type { Assign, MessageOf } from '../protocol/messages.ts';
import type { Assignment, Attempt, AttemptEnd } from './ports.ts';
import type { SpoolFile } from './spool.ts';

/** Results wait in memory; beyond this no credit is granted until a gateway acked some. Of all links together. */
const MAX_KEPT_BYTES = 256 * 1024 * 1024;
/** A resume message lists at most 16,384 attempts; half of them is left for what runs. */
const MAX_KEPT_COUNT = 8_192;
/** Cancels that overtook their assign (a large input is slower than a cancel). */
const MAX_EARLY_CANCELS = 1_024;
/** Attempts that are over, remembered in case a late copy of their assign comes: seconds' worth at full speed. */
const MAX_PAST = 4_096;

export interface Running extends Attempt {
  readonly model: string;
  readonly version: string;
  readonly rows: number;
  /** The latest word on how far it is, told again after a reconnect. */
  progress: MessageOf<'progress'> | null;
}

export interface Kept {
  /** With the session that it belongs to, if that is not the one that it is sent in. */
  message: MessageOf<'result'> | MessageOf<'failure'>;
  readonly payload: Uint8Array | undefined;
  /** The data connection that carries it; null: the control connection, or not sent yet. */
  via: Connection | null;
  /** When it ended, in the outbox's ticks. */
  tick: number;
  /** The file of the spool that it lies in; null: it is in memory only. */
  file: SpoolFile | null;
  acked: boolean;
}

/** What waits for acks, over all links of a worker. */
export class KeptTotals {
  readonly #onRoom: () => void;
  #bytes = 0;
  #count = 0;

  /** `onRoom`: it was full, and is not any more. Whichever link the acks came to, others may have waited for them. */
  constructor(onRoom: () => void = () => undefined) {
    this.#onRoom = onRoom;
  }

  add({ payload }: Kept): void {
    this.#count += 1;
    this.#bytes += payload?.byteLength ?? 0;
  }

  remove({ payload }: Kept): void {
    const wasFull = this.full;
    this.#count -= 1;
    this.#bytes -= payload?.byteLength ?? 0;
    if (wasFull && !this.full) this.#onRoom();
  }

  /** Too much waits: nothing more should be accepted. */
  get full(): boolean {
    return this.#bytes >= MAX_KEPT_BYTES || this.#count >= MAX_KEPT_COUNT;
  }
}

export class Attempts {
  readonly #running = new Map<string, Running>();
  readonly #kept = new Map<string, Kept>();
  readonly #earlyCancels = new Set<string>();
  readonly #past = new Set<string>();
  readonly #totals: KeptTotals;

  constructor(totals = new KeptTotals()) {
    this.#totals = totals;
  }

  get runningCount(): number {
    return this.#running.size;
  }

  get keptCount(): number {
    return this.#kept.size;
  }

  /** Too much waits for acks, here or on other links: nothing more should be accepted. */
  get full(): boolean {
    return this.#totals.full;
  }

  /** `early`: it was canceled before it came. `duplicate`: it is held already, or over; it must not run twice. */
  begin(running: Running): 'begun' | 'duplicate' | 'early' {
    const key = keyOf(running);
    if (this.#running.has(key) || this.#kept.has(key) || this.#past.has(key)) return 'duplicate';
    if (this.#earlyCancels.delete(key)) return 'early';
    this.#running.set(key, running);
    return 'begun';
  }

  isRunning(attempt: Attempt): boolean {
    return this.#running.has(keyOf(attempt));
  }

  find(attempt: Attempt): Running | undefined {
    return this.#running.get(keyOf(attempt));
  }

  /** Ends a running attempt; undefined when it does not run (ended before, or never came). */
  finish(attempt: Attempt): Running | undefined {
    const key = keyOf(attempt);
    const running = this.#running.get(key);
    if (!running) return undefined;
    this.#running.delete(key);
    remember(this.#past, key, MAX_PAST);
    return running;
  }

  keep(kept: Kept): void {
    this.#kept.set(keyOf(kept.message), kept);
    this.#totals.add(kept);
  }

  /** What was kept of it; undefined: nothing (any more). */
  forget(attempt: Attempt): Kept | undefined {
    const key = keyOf(attempt);
    const kept = this.#kept.get(key);
    if (!kept) return undefined;
    this.#kept.delete(key);
    this.#totals.remove(kept);
    return kept;
  }

  /** Remembers the cancel of an attempt that has not come. What ended already needs no cancel: its end was sent. */
  cancelEarly(attempt: Attempt): void {
    const key = keyOf(attempt);
    if (this.#kept.has(key) || this.#past.has(key)) return;
    remember(this.#earlyCancels, key, MAX_EARLY_CANCELS);
  }

  /** A new connection: what the old one still carried will never come. */
  restart(): void {
    this.#earlyCancels.clear();
  }

  kept(): Iterable<Kept> {
    return this.#kept.values();
  }

  running(): Iterable<Running> {
    return this.#running.values();
  }

  /** Everything that this run of the worker holds, for a resume message. */
  held(): [string, number][] {
    const held: [string, number][] = [];
    for (const { job, attempt } of this.#running.values()) held.push([job, attempt]);
    for (const { message } of this.#kept.values()) {
      if (message.session === undefined) held.push([message.job, message.attempt]);
    }
    return held;
  }
}

export function assignmentOf(message: Assign, input: Buffer, receivedAt: number): Assignment {
  const { job, attempt, model, version, rows, contentType, parameters = {}, timeoutMs } = message;
  const deadlineAt = timeoutMs === undefined ? null : receivedAt + timeoutMs;
  return { job, attempt, model, version, rows, contentType, input, parameters, deadlineAt, receivedAt };
}

export function progressOf(
  { job, attempt }: Attempt,
  fraction: number | null,
  message: string | null,
): MessageOf<'progress'> {
  return {
    type: 'progress',
    job,
    attempt,
    ...(fraction === null ? {} : { fraction }),
    ...(message === null ? {} : { message: message.slice(0, 2_000) }),
  };
}

/** The end of an attempt as its message. An output beyond what the gateway takes becomes a failure. */
export function keptOf(
  { job, attempt }: Attempt,
  end: Exclude<AttemptEnd, { type: 'canceled' }>,
  maxOutputBytes: number,
  tick: number,
): Kept {
  if (end.type === 'result' && end.output.byteLength <= maxOutputBytes) {
    const { contentType, output, timings } = end;
    const message = { type: 'result' as const, job, attempt, contentType, bytes: output.byteLength, timings };
    return { message, payload: output, via: null, tick, file: null, acked: false };
  }
  const error =
    end.type === 'failure'
      ? end.error
      : new PosternError('output_too_large', `${end.output.byteLength} bytes, the gateway takes ${maxOutputBytes}`);
  const retryable = end.type === 'failure' && end.retryable;
  const message = {
    type: 'failure' as const,
    job,
    attempt,
    code: error.code,
    message: error.message.slice(0, 2_000),
    retryable,
  };
  return { message, payload: undefined, via: null, tick, file: null, acked: false };
}

/** Adds, and drops the oldest beyond the limit. */
function remember(set: Set<string>, key: string, max: number): void {
  set.add(key);
  if (set.size <= max) return;
  for (const oldest of set) {
    set.delete(oldest);
    return;
  }
}

function keyOf({ job, attempt }: Attempt): string {
  return `${job}/${attempt}`;
}
