/**
 * Tells when jobs that wait for their next attempt may be tried: the store gives them out from that moment on, and somebody
 * must ask. One coarse tick serves all of them. What is lost with this process, or comes when too many wait, is found by the
 * engine's sweep, up to a second later.
 */
import type { Clock, Timer } from '../clock.ts';
import type { Job } from '../dispatch/job.ts';

type Waiting = Pick<Job, 'model' | 'version' | 'rows' | 'solo'>;

const TICK_MS = 100;
const MAX_WAITING = 10_000;

export interface WakeupsOptions {
  readonly clock: Clock;
  readonly due: (job: Waiting) => void;
}

export function createWakeups({ clock, due }: WakeupsOptions) {
  /** By the tick in which they are due. */
  const ticks = new Map<number, Waiting[]>();
  let count = 0;
  let timer: Timer | null = null;

  const tickOf = (monotonicMs: number): number => Math.floor(monotonicMs / TICK_MS);

  function look(): void {
    const now = tickOf(clock.monotonic());
    for (const [tick, jobs] of ticks) {
      if (tick > now) continue;
      ticks.delete(tick);
      count -= jobs.length;
      for (const job of jobs) due(job);
    }
    if (count > 0) return;
    timer?.cancel();
    timer = null;
  }

  return {
    add(delayMs: number, { model, version, rows, solo }: Waiting): void {
      if (count >= MAX_WAITING) return;
      count += 1;
      // The tick after its time: asked for a moment too early, the store has nothing.
      const tick = tickOf(clock.monotonic() + Math.max(0, delayMs)) + 1;
      const jobs = ticks.get(tick);
      if (jobs) jobs.push({ model, version, rows, solo });
      else ticks.set(tick, [{ model, version, rows, solo }]);
      timer ??= clock.every(TICK_MS, look);
    },
    stop(): void {
      timer?.cancel();
      timer = null;
      ticks.clear();
      count = 0;
    },
  };
}
