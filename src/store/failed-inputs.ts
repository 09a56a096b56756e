/** Whose input is kept beyond the end: of a job that did not succeed and that nobody took back, so that it can be tried again. */
import type { JobStatus } from '../dispatch/job.ts';

export interface Ended {
  readonly status: JobStatus;
  /** It was taken back while it ran, and may have ended otherwise all the same. */
  readonly cancelRequested: boolean;
  /** Of its input. */
  readonly bytes: number;
}

/** One larger than all that may be kept is not kept at all: it would only push the others out. */
export function keepsInput({ status, cancelRequested, bytes }: Ended, maxBytes: number): boolean {
  return (status === 'failed' || status === 'aborted') && !cancelRequested && bytes <= maxBytes && maxBytes > 0;
}
