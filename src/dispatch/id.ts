/** Job ids: UUIDv7 (RFC 9562), growing within one process even when the clock stands still or goes back. */
import type { Clock } from '../clock.ts';
import type { JobId } from './job.ts';

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
/** rand_a, 12 bits, is a counter within the millisecond; it starts in its lower half, so at least 2,048 ids follow. */
const COUNTER_LIMIT = 0x1000;
const COUNTER_START_MASK = 0x7ff;
/** One call for many ids: a system call per id costs more than the id. */
const POOL_BYTES = 4096;
/** Two bytes seed the counter, eight are rand_b. */
const ID_BYTES = 10;

/** `randomBytes` must be unpredictable: an id is a capability as long as there are no API keys. */
export function createIds(clock: Pick<Clock, 'now'>, randomBytes: (count: number) => Uint8Array): () => JobId {
  let pool: Uint8Array = new Uint8Array(0);
  let used = 0;
  let lastMs = -1;
  let counter = 0;
  return () => {
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
    const time = lastMs.toString(16).padStart(12, '0');
    const hex = (index: number): string => HEX[byte(index)] ?? '';
    const id = `${time.slice(0, 8)}-${time.slice(8)}-${(0x7000 | counter).toString(16)}-${
      HEX[(byte(2) & 0x3f) | 0x80] ?? ''
    }${hex(3)}-${hex(4)}${hex(5)}${hex(6)}${hex(7)}${hex(8)}${hex(9)}`;
    used += ID_BYTES;
    return id;
  };
}
