/**
 * What the end of an attempt means for its job: the rule that every store driver applies inside its own step, so that no
 * two drivers can disagree. Pure.
 */
import type { JobError, Outcome } from './job.ts';

/** How one earlier attempt was lost; kept for the message of a job that runs out of attempts. */
export interface LostAttempt {
  readonly attempt: number;
  readonly worker: string;
  readonly code: string;
}

/** What the rule needs to know about the job whose attempt ended. */
export interface AttemptRecord {
  /** The fence: every claim adds one, so no two attempts of a job share a number. */
  readonly attempt: number;
  /** Attempts that count against the limit, before this one. */
  readonly spentAttempts: number;
  readonly cancelRequested: boolean;
  readonly worker: string;
  readonly lost: readonly LostAttempt[];
}

export type Verdict =
  | { readonly type: 'succeed' }
  | { readonly type: 'fail'; readonly error: JobError }
  | { readonly type: 'cancel' }
  | { readonly type: 'requeue'; readonly spentAttempts: number; readonly lost: LostAttempt };

/** Interruptions by drain or release are free, but not without end: a worker that always gives back would spin forever. */
export const MAX_FENCES = 50;

const UNASKED: JobError = { code: 'worker_lost', message: 'the worker gave the attempt up without being asked' };

export function verdict(record: AttemptRecord, outcome: Outcome, maxAttempts: number): Verdict {
  switch (outcome.type) {
    case 'succeeded':
      return { type: 'succeed' };
    case 'failed':
      if (!outcome.retryable) return { type: 'fail', error: outcome.error };
      if (record.cancelRequested) return { type: 'cancel' };
      // The last failure is what the caller can act on; "attempts exhausted" would hide it.
      return retry(record, outcome.error, true, maxAttempts, outcome.error);
    case 'canceled':
      if (record.cancelRequested) return { type: 'cancel' };
      return retry(record, UNASKED, true, maxAttempts, null);
    case 'interrupted':
      if (record.cancelRequested) return { type: 'cancel' };
      return retry(record, outcome.error, outcome.countsAttempt, maxAttempts, null);
  }
}

function retry(
  record: AttemptRecord,
  cause: JobError,
  counts: boolean,
  maxAttempts: number,
  lastError: JobError | null,
): Verdict {
  const spentAttempts = record.spentAttempts + (counts ? 1 : 0);
  const lost: LostAttempt = { attempt: record.attempt, worker: record.worker, code: cause.code };
  if (spentAttempts < maxAttempts && record.attempt < MAX_FENCES) return { type: 'requeue', spentAttempts, lost };
  return { type: 'fail', error: lastError ?? exhausted([...record.lost, lost]) };
}

function exhausted(lost: readonly LostAttempt[]): JobError {
  const history = lost.slice(-10).map((one) => `${one.attempt} on ${one.worker}: ${one.code}`);
  return { code: 'attempts_exhausted', message: `${lost.length} attempts were interrupted (${history.join('; ')})` };
}
