/** Whose input is kept beyond the end: of a job that did not succeed and that nobody took back, so that it can be tried again. */
import type { JobStatus } from '../dispatch/job.ts';

/** One larger than all that may be kept is not kept at all: it would only push the others out. */
export function keepsInput(status: JobStatus, bytes: number, maxBytes: number): boolean {
  return (status === 'failed' || status === 'aborted') && bytes <= maxBytes && maxBytes > 0;
}
