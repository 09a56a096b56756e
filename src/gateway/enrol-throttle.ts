/**
 * How often somebody may fail to enrol. A guess at a secret of 256 bits is hopeless however often it is tried; what a failure
 * costs is a signature check, so they are rationed: by address, so that one cannot use up the ration of all, and in all.
 * Successes cost nothing here. Owner of: the tallies.
 */
import type { Clock } from '../clock.ts';

export interface ThrottleLimits {
  /** Failures in a row, and then one per `refillMs`. */
  readonly burst: number;
  readonly refillMs: number;
  readonly burstInAll: number;
  readonly refillInAllMs: number;
  readonly maxAddresses: number;
}

export const ENROL_THROTTLE: ThrottleLimits = {
  burst: 5,
  refillMs: 12_000,
  burstInAll: 100,
  refillInAllMs: 600,
  maxAddresses: 4_096,
};

export interface Throttle {
  /** 0: go on, and a failure is counted already, so that many at once count too. Otherwise milliseconds to wait. */
  take(address: string): number;
  /** It was no failure. */
  giveBack(address: string): void;
}

interface Bucket {
  level: number;
  at: number;
}

export function createThrottle(clock: Clock, limits: ThrottleLimits = ENROL_THROTTLE): Throttle {
  /** The one that failed last is the last of the map. */
  const addresses = new Map<string, Bucket>();
  const all: Bucket = { level: 0, at: clock.monotonic() };

  function levelOf(bucket: Bucket, refillMs: number): number {
    return Math.max(0, bucket.level - (clock.monotonic() - bucket.at) / refillMs);
  }

  function add(bucket: Bucket, refillMs: number, by: 1 | -1): void {
    bucket.level = Math.max(0, levelOf(bucket, refillMs) + by);
    bucket.at = clock.monotonic();
  }

  const waitOf = (bucket: Bucket, burst: number, refillMs: number): number =>
    Math.max(0, Math.ceil((levelOf(bucket, refillMs) - (burst - 1)) * refillMs));

  return {
    take(address) {
      const bucket = addresses.get(address) ?? { level: 0, at: clock.monotonic() };
      const waitMs = Math.max(
        waitOf(bucket, limits.burst, limits.refillMs),
        waitOf(all, limits.burstInAll, limits.refillInAllMs),
      );
      if (waitMs > 0) return waitMs;
      add(bucket, limits.refillMs, 1);
      add(all, limits.refillInAllMs, 1);
      addresses.delete(address);
      addresses.set(address, bucket);
      const oldest = addresses.keys().next().value;
      if (addresses.size > limits.maxAddresses && oldest !== undefined) addresses.delete(oldest);
      return 0;
    },
    giveBack(address) {
      const bucket = addresses.get(address);
      if (bucket !== undefined) add(bucket, limits.refillMs, -1);
      add(all, limits.refillInAllMs, -1);
    },
  };
}
