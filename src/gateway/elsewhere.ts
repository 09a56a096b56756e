/**
 * Callers who wait here for jobs that another process decides (two gateways on one store, while a release is switched): its
 * decisions are not heard, so they are looked for. One question for all of them, five times a second, and none while every
 * wait is for what runs here.
 */
import type { Clock, Timer } from '../clock.ts';
import type { Job, JobId } from '../dispatch/job.ts';
import type { Store } from '../store/store.ts';
import type { Waiters } from './waiters.ts';

const LOOK_MS = 200;
/** Of one question. Where more wait, they take turns. */
const MAX_ASKED = 500;

export interface ElsewhereOptions {
  readonly clock: Clock;
  readonly store: Pick<Store, 'decidedAmong' | 'get'>;
  readonly waiters: Pick<Waiters, 'awaited'>;
  /** It will be decided by this process, which then hears of it. */
  readonly isHere: (id: JobId) => boolean;
  readonly decided: (job: Job) => void;
  readonly failed: (error: unknown) => void;
}

export function createElsewhere({ clock, store, waiters, isHere, decided, failed }: ElsewhereOptions) {
  let timer: Timer | null = null;
  let isLooking = false;
  /** Somebody asked for a look while one was under way. */
  let isDue = false;
  let turn = 0;

  async function look(): Promise<void> {
    isDue = isLooking;
    if (isLooking) return;
    const ids = [...waiters.awaited()].filter((id) => !isHere(id));
    if (ids.length === 0) return;
    isLooking = true;
    try {
      if (turn >= ids.length || ids.length <= MAX_ASKED) turn = 0;
      const asked = ids.slice(turn, turn + MAX_ASKED);
      turn += asked.length;
      for (const id of await store.decidedAmong(asked)) {
        const job = await store.get(id);
        if (job !== null) decided(job);
      }
    } catch (error) {
      failed(error);
    } finally {
      isLooking = false;
    }
    // A decision is told once: it may have come after the store was asked.
    if (isDue) await look();
  }

  return {
    /** Now, and not only with the next look. */
    look: (): void => void look(),
    start(): void {
      timer ??= clock.every(LOOK_MS, () => void look());
    },
    stop(): void {
      timer?.cancel();
      timer = null;
    },
  };
}
