/** A job between its row and the object that callers see. */
import { NO_ATTEMPTS } from '../../dispatch/accepted.ts';
import type { Job, JobError, JobStatus, Json, Payload } from '../../dispatch/job.ts';
import { isSuspect } from '../../dispatch/verdict.ts';
import type { Webhook } from '../../dispatch/webhook.ts';
import type { Row } from './connection.ts';

const COLUMNS = [
  'seq',
  'id',
  'model',
  'version',
  'content_type',
  'parameters',
  'rows',
  'priority',
  'caller',
  'deadline_at',
  'idempotency_key',
  'webhook',
  'status',
  'created_at',
  'started_at',
  'completed_at',
  'attempt',
  'spent_attempts',
  'suspicion',
  'past_attempts',
  'not_before',
  'worker',
  'session',
  'served_version',
  'progress',
  'cancel_requested',
  'error_code',
  'error_message',
  'timings',
] as const;

/** How many columns stand before what is selected beside a job. */
export const JOB_WIDTH = COLUMNS.length;
/** The columns of a job, in the order that `toRecord` reads them; `of`: the table's name, or an expression of its type. */
export const jobColumns = (of: string): string => COLUMNS.map((column) => `${of}.${column}`).join(', ');

/** A row by names. */
export interface JobRecord {
  readonly seq: number;
  readonly id: string;
  readonly model: string;
  readonly version: string;
  readonly content_type: string;
  readonly parameters: string;
  readonly rows: number;
  readonly priority: number;
  readonly caller: string;
  readonly deadline_at: number | null;
  readonly idempotency_key: string | null;
  readonly webhook: string | null;
  readonly status: JobStatus;
  readonly created_at: number;
  readonly started_at: number | null;
  readonly completed_at: number | null;
  readonly attempt: number;
  readonly spent_attempts: number;
  readonly suspicion: number;
  readonly past_attempts: string | null;
  readonly not_before: number | null;
  readonly worker: string | null;
  readonly session: string | null;
  readonly served_version: string | null;
  readonly progress: string | null;
  readonly cancel_requested: boolean;
  readonly error_code: JobError['code'] | null;
  readonly error_message: string | null;
  readonly timings: string | null;
}

const NO_BYTES = new Uint8Array(0);

/** `at`: where the columns of the job begin. */
export function toRecord(row: Row, at = 0): JobRecord {
  const record: Record<string, unknown> = {};
  for (let index = 0; index < COLUMNS.length; index += 1) record[COLUMNS[index]!] = row[at + index];
  return record as unknown as JobRecord;
}

const parsed = <T>(text: string | null): T | null => (text === null ? null : (JSON.parse(text) as T));

export function toJob(row: JobRecord, input: Uint8Array = NO_BYTES, output: Payload | null = null): Job {
  return {
    id: row.id,
    model: row.model,
    version: row.version === '' ? null : row.version,
    input: { contentType: row.content_type, bytes: input },
    parameters: row.parameters === '{}' ? {} : (JSON.parse(row.parameters) as Readonly<Record<string, Json>>),
    rows: row.rows,
    priority: row.priority,
    caller: row.caller,
    deadlineAt: row.deadline_at,
    idempotencyKey: row.idempotency_key,
    webhook: parsed<Webhook>(row.webhook),
    status: row.status,
    createdAt: row.created_at,
    startedAt: row.started_at,
    completedAt: row.completed_at,
    attempt: row.attempt,
    worker: row.worker,
    session: row.session,
    servedVersion: row.served_version,
    progress: parsed<NonNullable<Job['progress']>>(row.progress),
    cancelRequested: row.cancel_requested,
    nextAttemptAt: row.not_before,
    solo: isSuspect(row.suspicion),
    pastAttempts: parsed<Job['pastAttempts']>(row.past_attempts) ?? NO_ATTEMPTS,
    output,
    error: row.error_code === null ? null : { code: row.error_code, message: row.error_message ?? '' },
    timings: parsed<NonNullable<Job['timings']>>(row.timings),
  };
}

/**
 * Rows on their way in, as one parameter. PostgreSQL's texts hold neither U+0000 nor half a surrogate pair: those become U+FFFD,
 * wherever a worker or a caller had them from.
 */
export function toRows(rows: readonly object[]): string {
  const text = JSON.stringify(rows);
  if (!/\\u(0000|d[89a-f])/.test(text)) return text;
  return JSON.stringify(rows, (_key, value: unknown) =>
    typeof value === 'string' ? value.toWellFormed().replaceAll('\0', '\uFFFD') : value,
  );
}

/** Payloads of one statement in one parameter, which travels as it is. */
export function createParcel() {
  const parts: Uint8Array[] = [];
  let size = 0;
  return {
    /** Where these bytes begin. */
    add(bytes: Uint8Array): number {
      const at = size;
      parts.push(bytes);
      size += bytes.byteLength;
      return at;
    },
    bytes: (): Buffer => Buffer.concat(parts, size),
  };
}
