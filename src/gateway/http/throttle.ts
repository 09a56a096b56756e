/** Buckets by name, at most so many: for what strangers may do only now and then. Owner of them. */
import type { Clock } from '../../clock.ts';
import type { ThrottleLimits } from '../ports.ts';

export interface Throttle {
  /** Takes one: 0, or the milliseconds until there is one. */
  take(name: string): number;
}

interface Bucket {
  tokens: number;
  /** Monotonic. */
  filledAt: number;
}

export interface ThrottleOptions extends ThrottleLimits {
  readonly clock: Clock;
}

export function createThrottle({ clock, burst, everyMs, maxNames }: ThrottleOptions): Throttle {
  const buckets = new Map<string, Bucket>();
  return {
    take(name) {
      const now = clock.monotonic();
      const bucket = buckets.get(name) ?? { tokens: burst, filledAt: now };
      bucket.tokens = Math.min(burst, bucket.tokens + (now - bucket.filledAt) / everyMs);
      bucket.filledAt = now;
      // To the end of the order: the first name in it is the one that was heard of longest ago.
      buckets.delete(name);
      buckets.set(name, bucket);
      if (buckets.size > maxNames) {
        const [oldest] = buckets.keys();
        if (oldest !== undefined) buckets.delete(oldest);
      }
      if (bucket.tokens < 1) return (1 - bucket.tokens) * everyMs;
      bucket.tokens -= 1;
      return 0;
    },
  };
}
