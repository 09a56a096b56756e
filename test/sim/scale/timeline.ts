/**
 * Virtual time for a whole installation: millions of events in one thread. Events run one by one in the order of their time, then of
 * their making; what they deferred runs behind them; and promises settle only where somebody said that there are some, because
 * a turn of the real event loop for each event would be most of the time. A seed decides everything all the same.
 */
import type { Clock, Timer } from '../../../src/clock.ts';
import type { Random } from '../../support/random.ts';
import { createTraceHash, createVirtualTime } from '../virtual-time.ts';

export interface Timeline {
  readonly clock: Clock;
  readonly random: Random;
  readonly nowMs: number;
  /** Runs `fn` after `delayMs` of virtual time. */
  after(delayMs: number, fn: () => void): Timer;
  /** Runs `fn` when the present event is over, at the same time. */
  defer(fn: () => void): void;
  /** There are promises on their way: they settle before the next event. */
  promised(): void;
  /** Mixes what happened into the run's hash. */
  note(what: string): void;
  /** Runs events until `untilMs`, or until `stop` says so. */
  run(untilMs: number, stop?: () => boolean): Promise<void>;
  readonly hash: string;
  readonly events: number;
}

const START_WALL_MS = 1_700_000_000_000;

export function createTimeline(random: Random, maxEvents: number): Timeline {
  const time = createVirtualTime({
    maxEvents,
    settle: () => (hasPromises || deferred.length > 0 ? settle() : null),
  });
  const trace = createTraceHash();
  let deferred: (() => void)[] = [];
  let hasPromises = false;

  async function settle(): Promise<void> {
    while (hasPromises || deferred.length > 0) {
      const due = deferred;
      deferred = [];
      for (const fn of due) fn();
      if (!hasPromises) continue;
      hasPromises = false;
      // No promise is left after a turn of the real event loop, whoever made it.
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  return {
    clock: {
      now: () => Math.floor(START_WALL_MS + time.nowMs),
      monotonic: () => time.nowMs,
      after: time.after,
      every: time.every,
    },
    random,
    get nowMs() {
      return time.nowMs;
    },
    after: time.after,
    defer: (fn) => void deferred.push(fn),
    promised() {
      hasPromises = true;
    },
    note: (what) => trace.mix(`${time.nowMs.toFixed(3)} ${what}`),
    run: time.run,
    get hash() {
      return trace.hash;
    },
    get events() {
      return time.events;
    },
  };
}
