/**
 * Job ids: UUIDv7 (RFC 9562), growing within one process even when the clock stands still or goes back. A job that is not
 * recorded has an id of the same making with the version 8, so that everybody can tell it by its id.
 */
import type { Clock } from '../clock.ts';
import type { JobId } from './job.ts';

/** rand_a, 12 bits, is a counter within the millisecond; it starts in its lower half, so at least 2,048 ids follow. */
const COUNTER_LIMIT = 0x1000;
const COUNTER_START_MASK = 0x7ff;
/** One call for many ids: a system call per id costs more than the id. */
const POOL_BYTES = 4096;
/** Two bytes seed the counter, eight are rand_b. */
const ID_BYTES = 10;

const DIGITS = Buffer.from('0123456789abcdef', 'latin1');

export type CreateId = (recorded?: boolean) => JobId;

const VERSION_AT = 14;
const RECORDED = 0x37;
const UNRECORDED = 0x38;

/** It lives in the memory of one process, for as long as its caller is on the line. */
export const isUnrecorded = (id: JobId): boolean => id.charCodeAt(VERSION_AT) === UNRECORDED;

/** `randomBytes` must be unpredictable: an id is a capability as long as there are no API keys. */
export function createIds(clock: Pick<Clock, 'now'>, randomBytes: (count: number) => Uint8Array): CreateId {
  // Written as bytes and read once: a string that is added up from parts stays a tree of parts in the heap.
  const text = Buffer.from('00000000-0000-7000-8000-000000000000', 'latin1');
  let pool: Uint8Array = new Uint8Array(0);
  let used = 0;
  let lastMs = -1;
  let counter = 0;

  function put(at: number, digits: number, value: number): void {
    let left = value;
    for (let i = at + digits - 1; i >= at; i -= 1) {
      text[i] = DIGITS[left & 15] ?? 0;
      left >>>= 4;
    }
  }

  return (recorded = true) => {
    if (used + ID_BYTES > pool.length) {
      pool = randomBytes(POOL_BYTES);
      used = 0;
    }
    const byte = (index: number): number => pool[used + index] ?? 0;
    const nowMs = clock.now();
    if (nowMs > lastMs) {
      lastMs = nowMs;
      counter = ((byte(0) << 8) | byte(1)) & COUNTER_START_MASK;
    } else if (++counter === COUNTER_LIMIT) {
      // More than the counter holds in one millisecond: borrow the next one, as RFC 9562 section 6.2 allows.
      lastMs += 1;
      counter = 0;
    }
    put(0, 8, Math.floor(lastMs / 2 ** 16));
    put(9, 4, lastMs % 2 ** 16);
    put(15, 3, counter);
    text[VERSION_AT] = recorded ? RECORDED : UNRECORDED;
    // The variant's two bits, then 62 random ones.
    put(19, 4, 0x8000 | ((byte(2) & 0x3f) << 8) | byte(3));
    for (let i = 0; i < 6; i += 1) put(24 + 2 * i, 2, byte(4 + i));
    used += ID_BYTES;
    return text.toString('latin1');
  };
}
