/**
 * Virtual time and the one thread of the simulation. Owner of: the queue of events, both clocks, and the trace. Events run
 * one by one in the order of their time, then of their making; after each one all promises and deferred work settle. So
 * a seed decides everything, and the trace's hash says whether two runs were the same.
 */
import type { Clock, Timer } from '../../src/clock.ts';
import type { Random } from '../support/random.ts';
import { createEventHeap, type PlannedEvent } from './event-heap.ts';

export interface World {
  readonly clock: Clock;
  readonly random: Random;
  /** Runs `fn` after `delayMs` of virtual time. */
  after(delayMs: number, fn: () => void): Timer;
  /** The wall clock jumps; nothing else notices. */
  jump(ms: number): void;
  /** The latest wall time that anybody could have read. */
  readonly latestWall: number;
  /** For the engine: called when the turn is over. */
  defer(flush: () => void): void;
  trace(line: string): void;
  /** Runs events until virtual time reaches `until`, `stop` says so, or nothing is left. */
  run(until: number, stop?: () => boolean): Promise<void>;
  readonly hash: string;
  readonly lines: readonly string[];
  readonly events: number;
}

/** A run that needs more is stuck in a loop of its own. */
const MAX_EVENTS = 2_000_000;

export function createWorld(random: Random, keepLines: boolean): World {
  const heap = createEventHeap();
  let deferred: (() => void)[] = [];
  let monotonic = 0;
  let wallOffset = 1_700_000_000_000;
  let latestWall = wallOffset;
  let order = 0;
  let events = 0;
  let hashLow = 0x811c9dc5;
  let hashHigh = 0x1b873593;
  const lines: string[] = [];

  function after(delayMs: number, fn: () => void): Timer {
    const event: PlannedEvent = { atMs: monotonic + Math.max(0, delayMs), order: order++, fn };
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

  /** A turn of the real event loop: no promise and no tick is left after it, whoever called, in a thread or not. */
  const settlePromises = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  /** All promises first, then what was deferred. */
  async function settle(): Promise<void> {
    for (;;) {
      await settlePromises();
      if (deferred.length === 0) return;
      const due = deferred;
      deferred = [];
      for (const flush of due) flush();
    }
  }

  return {
    random,
    clock: { now: () => Math.floor(wallOffset + monotonic), monotonic: () => monotonic, after, every },
    after,
    jump(ms) {
      latestWall = Math.max(latestWall, wallOffset + monotonic);
      wallOffset += ms;
      latestWall = Math.max(latestWall, wallOffset + monotonic);
    },
    get latestWall() {
      return Math.max(latestWall, wallOffset + monotonic);
    },
    defer: (flush) => void deferred.push(flush),
    trace(line) {
      const text = `${monotonic.toFixed(3)} ${line}`;
      for (let i = 0; i < text.length; i += 1) {
        const code = text.charCodeAt(i);
        hashLow = Math.imul(hashLow ^ code, 0x01000193);
        hashHigh = Math.imul(hashHigh + code, 0x85ebca6b) ^ (hashLow >>> 13);
      }
      if (keepLines) lines.push(text);
    },
    async run(until, stop) {
      await settle();
      for (;;) {
        const next = heap.first;
        if (!next || next.atMs > until || stop?.()) break;
        heap.pop();
        if (!next.fn) continue;
        monotonic = next.atMs;
        if (++events > MAX_EVENTS) throw new Error(`more than ${MAX_EVENTS} events: something repeats itself`);
        next.fn();
        await settle();
      }
      if (!stop?.()) monotonic = Math.max(monotonic, until);
    },
    get hash() {
      return `${(hashHigh >>> 0).toString(16).padStart(8, '0')}${(hashLow >>> 0).toString(16).padStart(8, '0')}`;
    },
    lines,
    get events() {
      return events;
    },
  };
}
