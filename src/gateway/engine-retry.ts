/** A failed job once more: a new job with the same input, for the same caller. */
import { PosternError } from '../errors.ts';
import type { Job, JobId } from '../dispatch/job.ts';
import type { Store } from '../store/store.ts';
import type { PredictionRequest } from './ports.ts';

export interface RetryOptions {
  readonly store: Pick<Store, 'get' | 'failedInput'>;
  readonly submit: (request: PredictionRequest) => Promise<Job>;
}

export function createRetry({ store, submit }: RetryOptions): (id: JobId) => Promise<Job | null> {
  return async (id) => {
    const job = await store.get(id);
    if (job === null) return null;
    const { status, model, version, parameters, priority, caller, rows, webhook } = job;
    if (status !== 'failed' && status !== 'aborted') {
      throw refused(`the prediction is ${status}: only one that failed or was aborted is tried again`);
    }
    const input = await store.failedInput(id);
    if (input === null) throw refused('its input is not kept any more: send it again as a new prediction');
    return submit({
      model,
      version,
      input,
      parameters,
      priority,
      caller,
      rows,
      webhook,
      // The old one has passed, or was meant for the old attempt.
      deadlineAt: null,
      // Asked for twice, over a bad line or by two people, it is tried once.
      idempotencyKey: `retry-of:${id}`,
    });
  };
}

const refused = (message: string): PosternError => new PosternError('retry_refused', message);
