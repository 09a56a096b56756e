/** What an engine does once a second: tells the store who lives, takes back what time ended, looks for work that others brought. */
import type { Dispatcher } from '../dispatch/dispatcher.ts';
import type { Job } from '../dispatch/job.ts';
import type { Store } from '../store/store.ts';
import type { Turn } from './engine-turn.ts';
import type { createModelMemory } from './model-memory.ts';
import type { RolloutDesk } from './rollouts/rollouts.ts';
import type { Streams } from './streams.ts';

export interface SweepOptions {
  readonly store: Pick<Store, 'sweep' | 'counts'>;
  readonly dispatcher: Dispatcher;
  readonly turn: Pick<Turn, 'schedule'>;
  readonly streams: Pick<Streams, 'prune'>;
  readonly rollouts: Pick<RolloutDesk, 'tick'>;
  readonly modelMemory: Pick<ReturnType<typeof createModelMemory>, 'keep'>;
  readonly isStoreUp: () => Promise<boolean>;
  readonly heartbeats: () => Promise<void>;
  /** False while or after this engine leaves. */
  readonly mayClaim: () => boolean;
  readonly cameBack: (jobs: readonly Job[]) => void;
  readonly storeFailed: (step: string, error: unknown) => void;
}

/** Per sweep and kind: some ms of work. What is left waits for the next second. */
const SWEEP_LIMIT = 2_000;

export function createSweep(options: SweepOptions) {
  const { store, dispatcher, turn, streams, cameBack } = options;
  let sweeping = false;
  let claims = false;

  async function sweep(): Promise<void> {
    if (sweeping) return;
    sweeping = true;
    try {
      if (!(await options.isStoreUp())) return;
      await options.heartbeats();
      const { reclaimed, expired, claims: hasRole } = await store.sweep(SWEEP_LIMIT);
      claims = hasRole && options.mayClaim();
      for (const { id, attempt } of reclaimed) {
        // Its next attempt may be here by now: others than this step claim too, on connections of their own.
        if (dispatcher.flight(id)?.fence.attempt === attempt) dispatcher.cancel(id, 'stale');
      }
      for (const job of expired) dispatcher.cancel(job.id, 'deadline');
      cameBack(reclaimed);
      cameBack(expired);
      dispatcher.tick();
      options.rollouts.tick();
      streams.prune((id) => dispatcher.flight(id) !== undefined);
      for (const [model, { waitingRows, soloJobs }] of await store.counts()) {
        if (waitingRows + soloJobs > 0) dispatcher.seenWaiting(model, waitingRows, soloJobs);
      }
      turn.schedule();
      await options.modelMemory.keep();
    } catch (error) {
      options.storeFailed('sweep', error);
    } finally {
      sweeping = false;
    }
  }

  return {
    sweep,
    /** This process gives out the jobs of the store; false: another one does. */
    get claims(): boolean {
      return claims;
    },
  };
}
