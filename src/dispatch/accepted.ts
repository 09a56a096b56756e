import type { Job, NewJob } from './job.ts';

/** One for all: nearly no job has any. */
export const NO_ATTEMPTS: Job['pastAttempts'] = [];

/** A job as it stands in the moment of its acceptance. Written field by field: every job then has the same shape for V8. */
export function acceptedJob(job: NewJob, createdAt: number): Job {
  return {
    id: job.id,
    model: job.model,
    version: job.version,
    input: job.input,
    parameters: job.parameters,
    rows: job.rows,
    priority: job.priority,
    caller: job.caller,
    deadlineAt: job.deadlineAt,
    idempotencyKey: job.idempotencyKey,
    webhook: job.webhook,
    status: 'starting',
    createdAt,
    startedAt: null,
    completedAt: null,
    attempt: 0,
    worker: null,
    session: null,
    servedVersion: null,
    progress: null,
    cancelRequested: false,
    nextAttemptAt: null,
    solo: false,
    pastAttempts: NO_ATTEMPTS,
    output: null,
    error: null,
    timings: null,
  };
}
