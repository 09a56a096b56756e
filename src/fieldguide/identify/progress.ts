/** How far the predictions of an identification are. */
import type { Predictions } from '../../gateway/ports.ts';
import type { Identification } from '../records/records.ts';

export interface JobProgress {
  readonly running: boolean;
  /** 0 … 1, as the runner says; null: it does not. */
  readonly fraction: number | null;
  /** 0 is next; null: it does not stand in line. */
  readonly queuePosition: number | null;
}

/** Of each photo without a result, by its number. */
export async function progressOf(
  { photos }: Pick<Identification, 'photos'>,
  predictions: Predictions,
): Promise<ReadonlyMap<number, JobProgress>> {
  const progress = new Map<number, JobProgress>();
  for (const { n, job: id, result } of photos) {
    if (result !== null || id === null) continue;
    const job = await predictions.get(id);
    if (job === null) continue;
    const queuePosition = job.status === 'starting' ? await predictions.queuePosition(id) : null;
    progress.set(n, { running: job.status !== 'starting', fraction: job.progress?.fraction ?? null, queuePosition });
  }
  return progress;
}
