/**
 * Durations of one window, counted in buckets that grow by a twelfth of a doubling: a quantile read from them is off by at most
 * 3 %, and adding one costs a logarithm and an addition, whatever the load.
 */
const PER_DOUBLING = 12;
/** 2⁻⁶ ms is 16 µs, below what the clocks tell apart; 2²⁷ ms are 37 hours, more than a job may wait. */
const LEAST_EXPONENT = -6;
const MOST_EXPONENT = 27;
const BUCKETS = (MOST_EXPONENT - LEAST_EXPONENT) * PER_DOUBLING;

export interface Durations {
  readonly count: number;
  add(durationMs: number): void;
  /** Milliseconds below which `share` (0 … 1) of them lie; null: there are none. */
  quantile(share: number): number | null;
  clear(): void;
}

export function createDurations(): Durations {
  const counts = new Uint32Array(BUCKETS);
  let count = 0;

  return {
    get count() {
      return count;
    },
    add(durationMs) {
      const place = Math.floor((Math.log2(durationMs) - LEAST_EXPONENT) * PER_DOUBLING);
      // Zero and less have no logarithm: they are the shortest there are.
      const index = place > 0 ? Math.min(place, BUCKETS - 1) : 0;
      counts[index] = counts[index]! + 1;
      count += 1;
    },
    quantile(share) {
      if (count === 0) return null;
      let left = Math.max(1, Math.ceil(share * count));
      let index = 0;
      while (index < BUCKETS - 1 && (left -= counts[index]!) > 0) index += 1;
      // The middle of the bucket, on the scale on which buckets are alike.
      return 2 ** (LEAST_EXPONENT + (index + 0.5) / PER_DOUBLING);
    },
    clear() {
      counts.fill(0);
      count = 0;
    },
  };
}
