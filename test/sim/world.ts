/**
 * Virtual time and the one thread of the simulation. Owner of: the queue of events, both clocks, and the trace. Events run
 * one by one in the order of their time, then of their making; after each one all promises and deferred work settle. So
 * a seed decides everything, and the trace's hash says whether two runs were the same.
 */
import type { Clock, Timer } from '../../src/clock.ts';
import type { Random } from '../support/random.ts';
import { createTraceHash, createVirtualTime } from './virtual-time.ts';

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
  const time = createVirtualTime({ maxEvents: MAX_EVENTS, settle });
  const trace = createTraceHash();
  let deferred: (() => void)[] = [];
  let wallOffset = 1_700_000_000_000;
  let latestWall = wallOffset;
  const lines: string[] = [];
  const wall = (): number => wallOffset + time.nowMs;

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
    clock: { now: () => Math.floor(wall()), monotonic: () => time.nowMs, after: time.after, every: time.every },
    after: time.after,
    jump(ms) {
      latestWall = Math.max(latestWall, wall());
      wallOffset += ms;
      latestWall = Math.max(latestWall, wall());
    },
    get latestWall() {
      return Math.max(latestWall, wall());
    },
    defer: (flush) => void deferred.push(flush),
    trace(line) {
      const text = `${time.nowMs.toFixed(3)} ${line}`;
      trace.mix(text);
      if (keepLines) lines.push(text);
    },
    run: time.run,
    get hash() {
      return trace.hash;
    },
    lines,
    get events() {
      return time.events;
    },
  };
}
