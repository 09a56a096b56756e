/**
 * How many jobs of a model are decided per second, observed: what `Retry-After` is computed from. A decaying count: each
 * decision adds one, and everything fades with a half-life, so the rate follows the last half minute and needs no list.
 */
const HALF_LIFE_MS = 10_000;
/** The mean age of a fading count: half-life / ln 2. */
const TIME_CONSTANT_MS = HALF_LIFE_MS / Math.LN2;
/** A longer wait than this is a guess; a caller who asks again every five minutes costs nothing. */
const MAX_RETRY_S = 300;
/** Nothing was decided lately: no worker, or a very slow model. */
const UNKNOWN_RETRY_S = 60;
/** A full queue has room again as soon as one job ends, but not for everyone who was refused: wait for a tenth of it. */
const ROOM_SHARE = 0.1;

export interface ServiceRate {
  add(nowMs: number, jobs: number): void;
  perSecond(nowMs: number): number;
  retryAfterS(nowMs: number, waitingJobs: number): number;
}

export function createServiceRate(): ServiceRate {
  let count = 0;
  let atMs = 0;
  const fade = (nowMs: number): void => {
    if (nowMs <= atMs) return;
    count *= Math.exp((atMs - nowMs) / TIME_CONSTANT_MS);
    atMs = nowMs;
  };
  const perSecond = (nowMs: number): number => {
    fade(nowMs);
    return (count * 1000) / TIME_CONSTANT_MS;
  };
  return {
    add(nowMs, jobs) {
      fade(nowMs);
      count += jobs;
    },
    perSecond,
    retryAfterS(nowMs, waitingJobs) {
      const rate = perSecond(nowMs);
      if (rate < 1e-3) return UNKNOWN_RETRY_S;
      return Math.min(MAX_RETRY_S, Math.max(1, Math.ceil((waitingJobs * ROOM_SHARE) / rate)));
    },
  };
}
