/**
 * The time in which another gateway still works on the same store: from `activate` until the one before has let everything go.
 * A job that was accepted here may be held there and decided there, and nobody says so. So no job counts as ours alone
 * meanwhile, and at the end those are looked for that were decided there and that nobody asked for.
 */
import type { Clock, Timer } from '../clock.ts';
import type { Job, JobId } from '../dispatch/job.ts';
import { isUnrecorded } from '../dispatch/id.ts';
import type { Store } from '../store/store.ts';

export interface BesideOptions {
  readonly clock: Clock;
  readonly store: Pick<Store, 'decidedAmong' | 'get'>;
  readonly undecided: ReadonlySet<JobId>;
  /** It was decided there. */
  readonly decided: (job: Job) => void;
  readonly failed: (error: unknown) => void;
}

/** Of one question. */
const MAX_ASKED = 500;

export function createBeside({ clock, store, undecided, decided, failed }: BesideOptions) {
  let timer: Timer | null = null;

  async function catchUp(): Promise<void> {
    const ids = [...undecided].filter((id) => !isUnrecorded(id));
    for (let at = 0; at < ids.length; at += MAX_ASKED) {
      for (const id of await store.decidedAmong(ids.slice(at, at + MAX_ASKED))) {
        const job = await store.get(id);
        if (job !== null) decided(job);
      }
    }
  }

  return {
    get isOver(): boolean {
      return timer === null;
    },
    begin(durationMs: number): void {
      timer ??= clock.after(durationMs, () => {
        timer = null;
        catchUp().catch(failed);
      });
    },
    stop(): void {
      timer?.cancel();
      timer = null;
    },
  };
}
