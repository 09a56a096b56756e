/** What was ruled upon an attempt or a job (see `ends.ts`), on its way into the database. */
import type { JobStatus } from '../../dispatch/job.ts';

/** What becomes of a job, and in which state that was ruled. */
export interface Ruling {
  readonly id: string;
  readonly from_status: JobStatus;
  readonly attempt: number;
  readonly session: string | null;
  /** Whether its cancel was asked for; null: it does not matter. */
  readonly cancel: boolean | null;
  readonly status: JobStatus;
  readonly spent?: number;
  readonly suspicion?: number;
  readonly past?: string;
  readonly delay_ms?: number;
  readonly code?: string;
  readonly message?: string;
  readonly timings?: string;
  readonly output?: { readonly contentType: string; readonly bytes: Uint8Array; readonly blob: string | null };
}
