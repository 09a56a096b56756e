/**
 * How long to wait before dialling again. Most losses are blips, so three quick tries come first (200 ms ± 50 %); then full
 * jitter, rand(0, 1 s · 2ⁿ) up to 30 s, so that a thousand workers do not come back to a restarted gateway in step.
 */

const QUICK_TRIES = 3;
const QUICK_MS = 200;
const STEP_MS = 1_000;
const MAX_MS = 30_000;

export interface Backoff {
  /** The next delay, milliseconds. */
  next(): number;
  /** The link was stable: begin again with the quick tries. */
  reset(): void;
  /** The gateway answered and refused: coming back at once cannot help, so the longest steps apply. */
  discourage(): void;
}

/** `random` gives numbers in [0, 1). */
export function createBackoff(random: () => number): Backoff {
  let tries = 0;
  return {
    next() {
      tries += 1;
      if (tries <= QUICK_TRIES) return QUICK_MS * (0.5 + random());
      // From 2^5 on the ceiling holds, so the exponent needs no more room than that.
      const exponent = Math.min(tries - QUICK_TRIES - 1, 5);
      return random() * Math.min(MAX_MS, STEP_MS * 2 ** exponent);
    },
    reset() {
      tries = 0;
    },
    discourage() {
      tries = Math.max(tries, QUICK_TRIES + 5);
    },
  };
}
