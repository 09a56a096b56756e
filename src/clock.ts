/**
 * Time, injected. Everything that asks for the time or sets a timer does so through a {@link Clock}, so that the
 * simulation can own time and a test never sleeps. This file is the only one that touches `Date.now` and timers.
 */

/** A timer that can be called off. Cancelling twice, or after it fired, is fine. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall clock, milliseconds since 1970. May jump (sleep, NTP): never subtract two of these for a duration. */
  now(): number;
  /** Milliseconds since an arbitrary start; never goes back. For durations and deadlines inside one process. */
  monotonic(): number;
  /** Calls `fn` once after `delayMs`. The timer does not keep the process alive. */
  after(delayMs: number, fn: () => void): Timer;
  /** Calls `fn` every `periodMs` until cancelled. The timer does not keep the process alive. */
  every(periodMs: number, fn: () => void): Timer;
}

/** setTimeout takes a signed 32-bit delay and fires at once beyond it; 24 days is later than any timer here. */
const MAX_DELAY_MS = 0x7fffffff;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, fn) {
    const handle = setTimeout(fn, Math.min(Math.max(delayMs, 0), MAX_DELAY_MS)).unref();
    return { cancel: () => clearTimeout(handle) };
  },
  every(periodMs, fn) {
    const handle = setInterval(fn, Math.min(periodMs, MAX_DELAY_MS)).unref();
    return { cancel: () => clearInterval(handle) };
  },
};

/** Resolves after `delayMs`, or rejects with the signal's reason when it is aborted first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason as Error);
    };
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
