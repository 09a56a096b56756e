/** Is there a worker for a guide's model, and when was one last heard? Asked by every poll, so that one answer serves many. */
import type { AppHost } from '../../gateway/ports.ts';

export interface WorkerState {
  /** `busy`: connected, but the model is not loaded. `never`: none ever announced it. */
  readonly state: 'ready' | 'busy' | 'away' | 'never';
  /** Epoch ms. */
  readonly lastSeenAt: number | null;
  readonly waitingJobs: number;
}

const KEPT_MS = 500;

export function createWorkerStates({ predictions, clock }: Pick<AppHost, 'predictions' | 'clock'>) {
  let askedAt = -Infinity;
  let answer: ReturnType<AppHost['predictions']['models']> | null = null;

  return async (model: string): Promise<WorkerState> => {
    const now = clock.monotonic();
    if (answer === null || now - askedAt > KEPT_MS) {
      askedAt = now;
      answer = predictions.models();
    }
    const view = (await answer).find(({ name }) => name === model);
    if (view === undefined) return { state: 'never', lastSeenAt: null, waitingJobs: 0 };
    const state = view.state === 'ready' || view.state === 'away' ? view.state : 'busy';
    return { state, lastSeenAt: view.lastSeenAt, waitingJobs: view.waitingJobs };
  };
}

export type WorkerStates = ReturnType<typeof createWorkerStates>;
