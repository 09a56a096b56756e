/** How attempts and jobs end that nobody ends in so many words: the same for every driver of the store. */
import type { JobError, Loss, Outcome } from './job.ts';

type Interrupted = Extract<Outcome, { type: 'interrupted' }>;

export const WAITED_TOO_LONG: JobError = {
  code: 'deadline_exceeded',
  message: 'the deadline passed before a worker took it',
};
export const RAN_TOO_LONG: JobError = { code: 'deadline_exceeded', message: 'the deadline passed while it ran' };

export const LEASE_LOST: Interrupted = {
  type: 'interrupted',
  error: { code: 'worker_lost', message: 'the worker was not heard for a whole lease' },
  loss: 'silent',
};

export const LOST_ON_THE_WAY: Interrupted = {
  type: 'interrupted',
  error: { code: 'connection_lost', message: 'the link was lost before the worker had the job' },
  loss: 'free',
};

export const NOT_ALLOWED: Interrupted = {
  type: 'interrupted',
  error: { code: 'handshake_refused', message: 'the worker may not run this model any more' },
  loss: 'free',
};

export function sessionEnded(loss: Loss): Interrupted {
  return { type: 'interrupted', error: { code: 'worker_lost', message: 'the session of the worker ended' }, loss };
}
