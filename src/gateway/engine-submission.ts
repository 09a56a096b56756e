/** A request as the store takes it. */
import { ANONYMOUS, type JobId } from '../dispatch/job.ts';
import type { SubmittedJob } from '../store/store.ts';
import type { PredictionRequest } from './ports.ts';

/** `maxUndecidedJobsOfKey` is for keys without a quota of their own; who has no key shares the queue with all who have none. */
export function submissionOf(
  request: PredictionRequest,
  id: JobId,
  maxUndecidedJobsOfKey: number | null,
): SubmittedJob {
  return {
    id,
    model: request.model,
    version: request.version,
    input: request.input,
    parameters: request.parameters,
    rows: request.rows ?? 1,
    priority: request.priority,
    caller: request.caller,
    maxUndecidedJobs: request.maxUndecidedJobs ?? (request.caller === ANONYMOUS ? null : maxUndecidedJobsOfKey),
    deadlineAt: request.deadlineAt,
    idempotencyKey: request.idempotencyKey,
    webhook: request.webhook ?? null,
  };
}
