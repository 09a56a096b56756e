/** A job as the console sees it: whose it is, and where its time went; not what went in and came out. */
import type { Job } from '../../dispatch/job.ts';
import { totalMs } from '../activity/activity.ts';

export function adminJobBody(job: Job, names: (caller: string) => string | null): object {
  return {
    id: job.id,
    model: job.model,
    version: job.servedVersion ?? job.version,
    status: job.status,
    cancel_requested: job.cancelRequested,
    caller: job.caller,
    caller_name: names(job.caller),
    priority: job.priority,
    rows: job.rows,
    content_type: job.input.contentType,
    worker: job.worker,
    attempt: job.attempt,
    past_attempts: job.pastAttempts.map(({ attempt, worker, code, message, endedAt }) => {
      return { attempt, worker, error_code: code, error: message, ended_at: moment(endedAt) };
    }),
    progress: job.progress,
    error: job.error?.message ?? null,
    error_code: job.error?.code ?? null,
    output_bytes: job.output?.bytes.byteLength ?? null,
    created_at: moment(job.createdAt),
    started_at: moment(job.startedAt),
    completed_at: moment(job.completedAt),
    deadline_at: moment(job.deadlineAt),
    next_attempt_at: moment(job.nextAttemptAt),
    timings: timingsBody(job),
  };
}

/** The parts add up to the whole: what nobody has measured is the way of the result back into the store. */
function timingsBody({ timings, createdAt, completedAt }: Job): object | null {
  if (timings === null) return null;
  const { queueMs, linkMs, workerQueueMs, decodeMs, batchMs, computeMs } = timings;
  const measuredMs = totalMs(timings);
  // The whole comes from a clock of whole milliseconds.
  const wholeMs = Math.max(measuredMs, (completedAt ?? 0) - createdAt);
  return {
    queue_ms: round(queueMs),
    link_ms: round(linkMs),
    batch_wait_ms: round(workerQueueMs + batchMs),
    decode_ms: round(decodeMs),
    compute_ms: round(computeMs),
    return_ms: round(wholeMs - measuredMs),
    total_ms: round(wholeMs),
  };
}

const round = (value: number): number => Math.round(value * 1000) / 1000;

const moment = (epochMs: number | null): string | null => (epochMs === null ? null : new Date(epochMs).toISOString());
