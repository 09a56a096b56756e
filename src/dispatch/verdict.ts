/**
 * What the end of an attempt means for its job: the rule that every store driver applies inside its own step, so that no
 * two drivers can disagree. Pure.
 *
 * An attempt that was lost with its worker may be what the worker died of, and may as well have been beside it. So nobody is
 * condemned for company: a loss counts against a job only when it was alone with its worker. Jobs that were lost together
 * are suspects: at once when the worker crashed, the second time when it only fell silent (a cut cable is likelier than a
 * poisonous photo). A suspect is run alone, so its next loss counts, and takes nothing with it.
 */
import type { ErrorCode } from '../errors.ts';
import { backoffMs } from './backoff.ts';
import type { JobError, JobId, Loss, Outcome, PastAttempt } from './job.ts';

/** What the rule needs to know about the job whose attempt ended. */
export interface AttemptRecord {
  readonly job: JobId;
  /** The fence: every claim adds one, so no two attempts of a job share a number. */
  readonly attempt: number;
  /** Attempts that count against the limit, before this one. */
  readonly spentAttempts: number;
  readonly suspicion: number;
  /** Its session held nothing else when it ended. */
  readonly alone: boolean;
  readonly cancelRequested: boolean;
  readonly worker: string;
  readonly past: readonly PastAttempt[];
  readonly nowMs: number;
}

export type Verdict =
  | { readonly type: 'succeed' }
  | { readonly type: 'fail'; readonly error: JobError; readonly past: readonly PastAttempt[] }
  | { readonly type: 'cancel' }
  | {
      readonly type: 'requeue';
      readonly spentAttempts: number;
      readonly suspicion: number;
      readonly delayMs: number;
      readonly past: readonly PastAttempt[];
    };

/** Interruptions by drain or release are free, but not without end: a worker that always gives back would spin forever. */
export const MAX_FENCES = 50;
/** The latest ones are kept of a job that was tried more often. */
export const MAX_PAST_ATTEMPTS = 20;
const MAX_MESSAGE_CHARACTERS = 200;

/** From here on a job is run alone. */
const SUSPECT_FROM = 2;
const SUSPICION: Readonly<Record<Loss, number>> = { free: 0, silent: 1, crashed: 2 };

const UNASKED: JobError = { code: 'worker_lost', message: 'the worker gave the attempt up without being asked' };

/** Must this job be run alone? */
export const isSuspect = (suspicion: number): boolean => suspicion >= SUSPECT_FROM;

export function verdict(record: AttemptRecord, outcome: Outcome, maxAttempts: number): Verdict {
  switch (outcome.type) {
    case 'succeeded':
      return { type: 'succeed' };
    case 'failed':
      if (!outcome.retryable) return { type: 'fail', error: outcome.error, past: record.past };
      if (record.cancelRequested) return { type: 'cancel' };
      if (outcome.error.code === 'runner_crashed') return lost(record, outcome.error, 'crashed', maxAttempts);
      // The last failure is what the caller can act on; "attempts exhausted" would hide it.
      return retry(record, { error: outcome.error, counts: true, lastError: outcome.error }, maxAttempts);
    case 'canceled':
      if (record.cancelRequested) return { type: 'cancel' };
      return retry(record, { error: UNASKED, counts: true }, maxAttempts);
    case 'interrupted':
      if (record.cancelRequested) return { type: 'cancel' };
      return lost(record, outcome.error, outcome.loss, maxAttempts);
  }
}

/** The attempt went down with what ran it. A runner that crashed has more in hand than the session can tell. */
function lost(record: AttemptRecord, error: JobError, loss: Loss, maxAttempts: number): Verdict {
  const isGuilty = isSuspect(record.suspicion) || (record.alone && error.code !== 'runner_crashed');
  return retry(
    record,
    { error, counts: loss !== 'free' && isGuilty, suspicion: SUSPICION[loss], isLoss: true },
    maxAttempts,
  );
}

interface Retry {
  readonly error: JobError;
  readonly counts: boolean;
  readonly suspicion?: number;
  /** Its worker was waited for already: the first such loss is not waited for again. */
  readonly isLoss?: boolean;
  /** What the caller is told when no attempt is left. */
  readonly lastError?: JobError;
}

function retry(record: AttemptRecord, retry: Retry, maxAttempts: number): Verdict {
  const { job, attempt, worker } = record;
  const { error, counts, suspicion = 0, isLoss = false, lastError } = retry;
  const message = error.message.slice(0, MAX_MESSAGE_CHARACTERS);
  const ended: PastAttempt = { attempt, worker, code: error.code, message, endedAt: record.nowMs };
  const past = [...record.past, ended].slice(-MAX_PAST_ATTEMPTS);
  const spentAttempts = record.spentAttempts + (counts ? 1 : 0);
  if (spentAttempts >= maxAttempts || attempt >= MAX_FENCES) {
    return { type: 'fail', error: lastError ?? exhausted(attempt, past), past };
  }
  const isDelayed = counts && !(isLoss && record.spentAttempts === 0);
  return {
    type: 'requeue',
    spentAttempts,
    suspicion: record.suspicion + suspicion,
    delayMs: isDelayed ? backoffMs(job, attempt, record.spentAttempts) : 0,
    past,
  };
}

const MAX_TOLD = 10;

function exhausted(attempts: number, past: readonly PastAttempt[]): JobError {
  const history = past.slice(-MAX_TOLD).map(({ attempt, worker, code }) => `${attempt} on ${worker}: ${code}`);
  const code: ErrorCode = 'attempts_exhausted';
  return { code, message: `${attempts} attempts were interrupted (${history.join('; ')})` };
}
