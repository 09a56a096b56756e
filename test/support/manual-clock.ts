/** A clock that moves when told to. Timers fire in their order, at their time, inside `advance`. */
import type { Clock, Timer } from '../../src/clock.ts';

export interface ManualClock extends Clock {
  /** Lets `durationMs` pass on both clocks. */
  advance(durationMs: number): void;
  /** Sleep: the wall clock goes on, the monotonic clock and its timers do not. */
  suspend(durationMs: number): void;
  /** How many timers are set: what a test leaves behind is a leak. */
  readonly timerCount: number;
}

interface Entry {
  dueAt: number;
  readonly periodMs: number | null;
  readonly fn: () => void;
}

export function createManualClock(startAt = Date.now()): ManualClock {
  const timers = new Set<Entry>();
  let wall = startAt;
  let monotonic = 1_000;

  function add(delayMs: number, periodMs: number | null, fn: () => void): Timer {
    const entry: Entry = { dueAt: monotonic + Math.max(0, delayMs), periodMs, fn };
    timers.add(entry);
    return { cancel: () => void timers.delete(entry) };
  }

  function nextDue(until: number): Entry | undefined {
    let next: Entry | undefined;
    for (const entry of timers) if (entry.dueAt <= until && (!next || entry.dueAt < next.dueAt)) next = entry;
    return next;
  }

  return {
    now: () => wall,
    monotonic: () => monotonic,
    after: (delayMs, fn) => add(delayMs, null, fn),
    every: (periodMs, fn) => add(periodMs, periodMs, fn),
    advance(durationMs) {
      const until = monotonic + durationMs;
      for (let entry = nextDue(until); entry; entry = nextDue(until)) {
        wall += entry.dueAt - monotonic;
        monotonic = entry.dueAt;
        if (entry.periodMs === null) timers.delete(entry);
        else entry.dueAt += entry.periodMs;
        entry.fn();
      }
      wall += until - monotonic;
      monotonic = until;
    },
    suspend(durationMs) {
      wall += durationMs;
    },
    get timerCount() {
      return timers.size;
    },
  };
}
