/**
 * One process of the simulation: it lives, may stand still, and dies without a word. Whatever it set in motion, timers,
 * answers, messages that reach it, goes through here: late while it stands still, never when it is dead.
 */
import type { Clock, Timer } from '../../src/clock.ts';
import type { World } from './world.ts';
import { repeat } from './virtual-time.ts';

export interface SimProcess {
  readonly name: string;
  readonly alive: boolean;
  /** As `src/clock.ts`, for what runs in this process. */
  readonly clock: Clock;
  /** Runs `fn` now, or when a pause is over; never when it is dead. */
  whenAwake(fn: () => void): void;
  defer(fn: () => void): void;
  /** SIGSTOP, and SIGCONT `ms` later: time goes on meanwhile. */
  pause(ms: number): void;
  /** SIGKILL. Twice is fine. */
  kill(): void;
  /** Called once, when it is killed. */
  onDeath(fn: () => void): void;
}

export function createProcess(world: World, name: string): SimProcess {
  const { clock } = world;
  let deaths: (() => void)[] | null = [];
  let awakeAt = 0;

  function whenAwake(fn: () => void): void {
    if (deaths === null) return;
    const waitMs = awakeAt - clock.monotonic();
    if (waitMs <= 0) fn();
    else world.after(waitMs, () => whenAwake(fn));
  }

  const after = (delayMs: number, fn: () => void): Timer => world.after(delayMs, () => whenAwake(fn));

  const every = (periodMs: number, fn: () => void): Timer => repeat(after, periodMs, fn);

  return {
    name,
    get alive() {
      return deaths !== null;
    },
    clock: { now: () => clock.now(), monotonic: () => clock.monotonic(), after, every },
    whenAwake,
    defer: (fn) => world.defer(() => whenAwake(fn)),
    pause(ms) {
      if (deaths !== null) world.trace(`${name} stands still for ${ms.toFixed(0)} ms`);
      awakeAt = Math.max(awakeAt, clock.monotonic() + ms);
    },
    kill() {
      if (deaths === null) return;
      world.trace(`${name} is killed`);
      const due = deaths;
      deaths = null;
      for (const fn of due) fn();
    },
    onDeath(fn) {
      deaths?.push(fn);
    },
  };
}
