/** What a test left behind: timers and sockets. A leak fails the test that made it. */
import assert from 'node:assert/strict';
import { systemClock } from '../../src/clock.ts';
import type { Clock, Timer } from '../../src/clock.ts';

export interface CountingClock extends Clock {
  /** Timers set, not fired (unless periodic) and not cancelled. */
  readonly timerCount: number;
}

/** The real clock, counting. */
export function createCountingClock(): CountingClock {
  const timers = new Set<Timer>();
  return {
    now: () => systemClock.now(),
    monotonic: () => systemClock.monotonic(),
    after(delayMs, fn) {
      const inner = systemClock.after(delayMs, () => {
        timers.delete(timer);
        fn();
      });
      const timer = tracked(inner);
      return timer;
    },
    every: (periodMs, fn) => tracked(systemClock.every(periodMs, fn)),
    get timerCount() {
      return timers.size;
    },
  };

  function tracked(inner: Timer): Timer {
    const timer: Timer = {
      cancel() {
        timers.delete(timer);
        inner.cancel();
      },
    };
    timers.add(timer);
    return timer;
  }
}

/** Resolves in the turn of the event loop in which the condition holds. The test's own timeout bounds it. */
export async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}

/** Sockets and servers that are open in this process. */
export const openSockets = (): string[] => process.getActiveResourcesInfo().filter((kind) => /^(TCP|TLS)/.test(kind));

/** The kernel may need some turns to report that the last sockets are closed; then no more may be open than before. */
export async function assertNothingLeft(before: string[], clock: { readonly timerCount: number }): Promise<void> {
  const until = performance.now() + 3_000;
  const left = (): number => openSockets().length - before.length + clock.timerCount;
  while (left() > 0 && performance.now() < until) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(openSockets(), before, 'sockets left open');
  assert.equal(clock.timerCount, 0, 'timers left set');
}
