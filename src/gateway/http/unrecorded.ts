/** Work that is answered on the line and recorded nowhere: it ends with its answer, its time, or its caller. */
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { TERMINAL, type Job } from '../../dispatch/job.ts';
import type { PredictionRequest, Predictions } from '../ports.ts';
import { CallerGone } from './body.ts';

export interface UnrecordedOptions {
  readonly predictions: Predictions;
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Aborted when the caller goes: the work is cancelled. */
  readonly signal: AbortSignal;
}

export type UnrecordedRequest = Omit<PredictionRequest, 'recorded' | 'deadlineAt' | 'idempotencyKey'>;

/** Resolves with a job that succeeded. Rejects with what it failed with. */
export async function runUnrecorded(request: UnrecordedRequest, options: UnrecordedOptions): Promise<Job> {
  const { predictions, clock, timeoutMs, signal } = options;
  const deadlineAt = clock.now() + timeoutMs;
  const { id } = await predictions.submit({ ...request, deadlineAt, idempotencyKey: null, recorded: false });
  const job = await predictions.wait(id, timeoutMs, signal).catch(async (error: unknown) => {
    await predictions.cancel(id);
    throw error;
  });
  if (job === null) throw new PosternError('internal', 'The work was lost.');
  if (TERMINAL.has(job.status)) return succeeded(job);
  await predictions.cancel(id);
  if (signal.aborted) throw new CallerGone('the caller left while the work ran');
  throw new PosternError('deadline_exceeded', `There was no answer within ${timeoutMs} ms. The work was cancelled.`);
}

function succeeded(job: Job): Job {
  if (job.status === 'succeeded') return job;
  if (job.error !== null) throw new PosternError(job.error.code, job.error.message);
  // Nobody but a gateway that stops cancels what another one waits for.
  throw new PosternError('draining', 'The gateway stops before this was begun. Try again.', { retryAfterS: 1 });
}
