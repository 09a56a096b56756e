/** Figures of a run: distributions, counts, and what is fair. */

/** Each bucket is 5 % wider than the one before: a quantile is within 5 %. */
const GROWTH = Math.log(1.05);

export interface Histogram {
  add(value: number): void;
  quantile(part: number): number;
  readonly count: number;
  readonly max: number;
}

export function createHistogram(): Histogram {
  const buckets: number[] = [];
  let count = 0;
  let max = 0;
  return {
    add(value) {
      const bucket = value <= 0.01 ? 0 : 1 + Math.floor(Math.log(value / 0.01) / GROWTH);
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
      count += 1;
      max = Math.max(max, value);
    },
    quantile(part) {
      let left = part * count;
      for (let bucket = 0; bucket < buckets.length; bucket += 1) {
        left -= buckets[bucket] ?? 0;
        if (left <= 0 && count > 0) return Math.min(max, 0.01 * Math.exp(bucket * GROWTH));
      }
      return max;
    },
    get count() {
      return count;
    },
    get max() {
      return max;
    },
  };
}

/** Counts by name. */
export class Tally {
  readonly counts = new Map<string, number>();
  add(name: string, by = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by);
  }
  of(name: string): number {
    return this.counts.get(name) ?? 0;
  }
  clear(): void {
    this.counts.clear();
  }
}

/** Jain's index: 1 when all have the same, 1/n when one has everything (Jain, Chiu, Hawe 1984). */
export function jain(values: readonly number[]): number {
  let sum = 0;
  let squares = 0;
  for (const value of values) {
    sum += value;
    squares += value * value;
  }
  return squares === 0 ? 1 : (sum * sum) / (values.length * squares);
}

/** What each would get of `capacity` if nobody got more than it asked for, and nobody more than another who still wants. */
export function fairShares(demands: readonly number[], capacity: number): number[] {
  const shares = demands.map(() => 0);
  const open = demands.map((_, index) => index).sort((a, b) => demands[a]! - demands[b]!);
  let left = capacity;
  open.forEach((index, place) => {
    const share = Math.min(demands[index]!, left / (open.length - place));
    shares[index] = share;
    left -= share;
  });
  return shares;
}
