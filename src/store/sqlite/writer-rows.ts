/** Rows as the writer reads them: a job's columns, no payload or its input, and what only the writer needs behind them. */
import type { JobStatus, PastAttempt } from '../../dispatch/job.ts';
import { NO_ATTEMPTS } from '../../dispatch/accepted.ts';
import { isSuspect } from '../../dispatch/verdict.ts';
import type { Place } from './ledger.ts';
import { JOB_COLUMNS, NO_PAYLOAD, ROW_SEQ, type JobRow } from './rows.ts';

/** What the writer reads beside a `JobRow`, after its columns. */
interface Extra {
  readonly tag: number;
  readonly inputBytes: number;
  readonly spentAttempts: number;
}

export const EXTRA = 'job.tag, job.input_bytes, job.spent_attempts';
const EXTRA_COLUMNS = 3;
/** The columns that every row of the writer needs, without a payload. */
export const WRITER_COLUMNS = `${JOB_COLUMNS}, ${NO_PAYLOAD}, ${EXTRA}`;

export function fields(row: JobRow) {
  return {
    seq: row[ROW_SEQ] as number,
    id: row[1] as string,
    model: row[2] as string,
    version: row[3] as string,
    rows: row[6] as number,
    priority: row[7] as number,
    caller: row[8] as string,
    deadlineAt: row[9] as number | null,
    idempotencyKey: row[10] as string | null,
    status: row[11] as JobStatus,
    createdAt: row[12] as number,
    attempt: row[15] as number,
    worker: (row[16] ?? '') as string,
    session: row[17] as string | null,
    cancelRequested: row[20] === 1,
    suspicion: row[25] as number,
  };
}

/** Where a waiting job stands. */
export function placeOf(row: JobRow): Place {
  if (row[24] !== null) return 'deferred';
  return isSuspect(row[25] as number) ? 'solo' : 'line';
}

export const pastOf = (row: JobRow): readonly PastAttempt[] =>
  row[26] === null ? NO_ATTEMPTS : (JSON.parse(row[26] as string) as PastAttempt[]);

export function extraOf(row: JobRow): Extra {
  const from = row.length - EXTRA_COLUMNS;
  const [tag, inputBytes, spentAttempts] = row.slice(from) as [number, number, number];
  return { tag, inputBytes, spentAttempts };
}

/** Without what only the writer reads. */
export function bare(row: JobRow): JobRow {
  row.length -= EXTRA_COLUMNS;
  return row;
}
