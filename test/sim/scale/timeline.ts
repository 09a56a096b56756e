/**
 * Virtual time for a whole installation: millions of events in one thread. Events run one by one in the order of their time, then of
 * their making; what they deferred runs behind them; and promises settle only where somebody said that there are some, because
 * a turn of the real event loop for each event would be most of the time. A seed decides everything all the same.
 */
import type { Clock, Timer } from '../../../src/clock.ts';
import type { Random } from '../../support/random.ts';
import { createEventHeap, type PlannedEvent } from '../event-heap.ts';

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
  const heap = createEventHeap();
  let deferred: (() => void)[] = [];
  let nowMs = 0;
  let order = 0;
  let events = 0;
  let hasPromises = false;
  let hashLow = 0x811c9dc5;
  let hashHigh = 0x1b873593;

  function after(delayMs: number, fn: () => void): Timer {
    const event: PlannedEvent = { atMs: nowMs + Math.max(0, delayMs), order: order++, fn };
    heap.push(event);
    return {
      cancel() {
        event.fn = null;
      },
    };
  }

  function every(periodMs: number, fn: () => void): Timer {
    let timer = after(periodMs, tick);
    function tick(): void {
      timer = after(periodMs, tick);
      fn();
    }
    return { cancel: () => timer.cancel() };
  }

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
    clock: { now: () => Math.floor(START_WALL_MS + nowMs), monotonic: () => nowMs, after, every },
    random,
    get nowMs() {
      return nowMs;
    },
    after,
    defer: (fn) => void deferred.push(fn),
    promised() {
      hasPromises = true;
    },
    note(what) {
      const text = `${nowMs.toFixed(3)} ${what}`;
      for (let i = 0; i < text.length; i += 1) {
        const code = text.charCodeAt(i);
        hashLow = Math.imul(hashLow ^ code, 0x01000193);
        hashHigh = Math.imul(hashHigh + code, 0x85ebca6b) ^ (hashLow >>> 13);
      }
    },
    async run(untilMs, stop) {
      await settle();
      for (;;) {
        const next = heap.first;
        if (!next || next.atMs > untilMs || stop?.()) break;
        heap.pop();
        if (!next.fn) continue;
        nowMs = next.atMs;
        if (++events > maxEvents) throw new Error(`more than ${maxEvents} events: something repeats itself`);
        next.fn();
        if (hasPromises || deferred.length > 0) await settle();
      }
      if (!stop?.()) nowMs = Math.max(nowMs, untilMs);
    },
    get hash() {
      return `${(hashHigh >>> 0).toString(16).padStart(8, '0')}${(hashLow >>> 0).toString(16).padStart(8, '0')}`;
    },
    get events() {
      return events;
    },
  };
}
