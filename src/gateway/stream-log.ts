/**
 * The parts of one attempt's output, put into order, for whoever reads along. Bounded: beyond its share it keeps no more
 * parts and only counts them; who reads along gets the rest from the result, which is the sum of all parts.
 */
import { MAX_PARTIAL_BYTES, PARTIAL_WINDOW_BYTES, PARTIAL_WINDOW_COUNT } from '../protocol/limits.ts';
import type { Payload } from '../dispatch/job.ts';

/** Of one attempt. Some 80,000 tokens, or 16 MB of sound. */
export const MAX_LOG_BYTES = 16 * 1024 * 1024;
/** Of all attempts that run. */
export const MAX_LOGS_BYTES = 256 * 1024 * 1024;
/** What a part costs beside its bytes. */
const PART_OVERHEAD_BYTES = 200;
/** What may wait for the parts before it: the window, and the one part that may go beyond. */
const MAX_EARLY_BYTES = PARTIAL_WINDOW_BYTES + MAX_PARTIAL_BYTES;

/** What all logs hold together. */
export interface LogBudget {
  usedBytes: number;
}

export class StreamLog {
  readonly attempt: number;
  readonly #budget: LogBudget;
  readonly #parts: Payload[] = [];
  /** Came before their turn. */
  readonly #early = new Map<number, Payload>();
  #earlyBytes = 0;
  #next = 0;
  #bytes = 0;
  #full = false;

  constructor(attempt: number, budget: LogBudget) {
    this.attempt = attempt;
    this.#budget = budget;
  }

  /** Parts that can be read, from number 0. */
  get count(): number {
    return this.#parts.length;
  }

  /** All up to this one have come. */
  get highest(): number {
    return this.#next - 1;
  }

  part(seq: number): Payload | undefined {
    return this.#parts[seq];
  }

  /** False: beyond what may be on its way. A part that came before changes nothing. */
  add(seq: number, part: Payload): boolean {
    if (seq < this.#next || this.#early.has(seq)) return true;
    if (seq > this.#next + PARTIAL_WINDOW_COUNT || part.bytes.byteLength > MAX_PARTIAL_BYTES) return false;
    if (seq > this.#next) {
      if (this.#earlyBytes + part.bytes.byteLength > MAX_EARLY_BYTES) return false;
      this.#early.set(seq, part);
      this.#earlyBytes += part.bytes.byteLength;
      return true;
    }
    this.#keep(part);
    for (;;) {
      const early = this.#early.get(this.#next);
      if (early === undefined) return true;
      this.#early.delete(this.#next);
      this.#earlyBytes -= early.bytes.byteLength;
      this.#keep(early);
    }
  }

  /** Its bytes count no more; what it holds is let go when the last reader is done. */
  close(): void {
    this.#budget.usedBytes -= this.#bytes;
    this.#bytes = 0;
    this.#early.clear();
  }

  #keep(part: Payload): void {
    this.#next += 1;
    const bytes = part.bytes.byteLength + PART_OVERHEAD_BYTES;
    // Once one was left out, none after it may be kept: readers must see no gap.
    this.#full ||= this.#bytes + bytes > MAX_LOG_BYTES || this.#budget.usedBytes + bytes > MAX_LOGS_BYTES;
    if (this.#full) return;
    this.#bytes += bytes;
    this.#budget.usedBytes += bytes;
    this.#parts.push(part);
  }
}
