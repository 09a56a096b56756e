/** A job between its row and the object that callers see. Rows cross the thread as arrays: a third of the cost of objects. */
import type { SQLOutputValue } from 'node:sqlite';
import { NO_ATTEMPTS } from '../../dispatch/accepted.ts';
import { isSuspect } from '../../dispatch/verdict.ts';
import type { Webhook } from '../../dispatch/webhook.ts';
import type { Job, JobError, JobStatus, Json, Payload } from '../../dispatch/job.ts';

/** The columns of `Job`, in the order that `toJob` reads them. */
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
  'status',
  'created_at',
  'started_at',
  'completed_at',
  'attempt',
  'worker',
  'session',
  'served_version',
  'progress',
  'cancel_requested',
  'error_code',
  'error_message',
  'timings',
  'not_before',
  'suspicion',
  'past_attempts',
  // Only ever longer: rows that stand in `delivery.snapshot` have the columns of the day on which they were written.
  'webhook',
] as const;

const POSITIONS: ReadonlyMap<string, number> = new Map(COLUMNS.map((column, position) => [column, position]));
export const JOB_COLUMNS = COLUMNS.map((column) => `job.${column}`).join(', ');

/** One job with one payload beside it: the columns, then the payload's type (outputs only), bytes and blob. */
export type JobRow = SQLOutputValue[];
export const ROW_SEQ = 0;
export const ROW_ID = 1;
export const ROW_CALLER = 8;
export const ROW_STATUS = 11;
export const ROW_ATTEMPT = 15;
const ROW_WEBHOOK = POSITIONS.get('webhook')!;
const PAYLOAD_TYPE = COLUMNS.length;
const PAYLOAD_BYTES = PAYLOAD_TYPE + 1;
const PAYLOAD_BLOB = PAYLOAD_TYPE + 2;
/** Select these, and the row is a `JobRow`. */
export const NO_PAYLOAD = 'NULL, NULL, NULL';
export const INPUT_PAYLOAD = 'NULL, input.bytes, input.blob';
export const OUTPUT_PAYLOAD = 'output.content_type, output.bytes, output.blob';

const NO_BYTES = new Uint8Array(0);

export const payloadBlob = (row: JobRow): string | null => (row[PAYLOAD_BLOB] ?? null) as string | null;
export const payloadBytes = (row: JobRow): Uint8Array => (row[PAYLOAD_BYTES] ?? NO_BYTES) as Uint8Array;
const payloadType = (row: JobRow): string | null => (row[PAYLOAD_TYPE] ?? null) as string | null;

/** The webhook as JSON; null: none. */
export const webhookText = (row: JobRow): string | null => (row[ROW_WEBHOOK] ?? null) as string | null;

/** A row without payloads as text, and back. */
export const snapshotOf = (row: JobRow): string => JSON.stringify(row.slice(0, COLUMNS.length));
export const rowOfSnapshot = (text: string): JobRow => JSON.parse(text) as JobRow;
/** The same by the names of the columns. */
export function namedSnapshot(text: string): Record<string, SQLOutputValue> {
  return Object.fromEntries(rowOfSnapshot(text).map((value, position) => [COLUMNS[position]!, value]));
}

/** Changes columns of a row that was read, as the statement beside it changes them on the disk. */
export function patchRow(row: JobRow, changes: Partial<Record<(typeof COLUMNS)[number], SQLOutputValue>>): JobRow {
  for (const [column, value] of Object.entries(changes)) row[POSITIONS.get(column)!] = value;
  return row;
}

/** The output that a row of `OUTPUT_PAYLOAD` carries; `blob`: what was read for it. */
export function outputOf(row: JobRow, blob: Uint8Array | null): Payload | null {
  const contentType = payloadType(row);
  return contentType === null ? null : { contentType, bytes: blob ?? payloadBytes(row) };
}

export function toJob(row: JobRow, input: Uint8Array, output: Payload | null): Job {
  const text = (index: number): string => row[index] as string;
  const textOrNull = (index: number): string | null => row[index] as string | null;
  const number = (index: number): number => row[index] as number;
  const numberOrNull = (index: number): number | null => row[index] as number | null;
  const version = text(3);
  const parameters = text(5);
  const code = textOrNull(21);
  const progress = textOrNull(19);
  const timings = textOrNull(23);
  const past = textOrNull(26);
  const webhook = webhookText(row);
  return {
    id: text(1),
    model: text(2),
    version: version === '' ? null : version,
    input: { contentType: text(4), bytes: input },
    parameters: parameters === '{}' ? {} : (JSON.parse(parameters) as Readonly<Record<string, Json>>),
    rows: number(6),
    priority: number(7),
    caller: text(8),
    deadlineAt: numberOrNull(9),
    idempotencyKey: textOrNull(10),
    webhook: webhook === null ? null : (JSON.parse(webhook) as Webhook),
    status: text(11) as JobStatus,
    createdAt: number(12),
    startedAt: numberOrNull(13),
    completedAt: numberOrNull(14),
    attempt: number(15),
    worker: textOrNull(16),
    session: textOrNull(17),
    servedVersion: textOrNull(18),
    progress: progress === null ? null : (JSON.parse(progress) as Job['progress']),
    cancelRequested: number(20) === 1,
    nextAttemptAt: numberOrNull(24),
    solo: isSuspect(number(25)),
    pastAttempts: past === null ? NO_ATTEMPTS : (JSON.parse(past) as Job['pastAttempts']),
    output,
    error: code === null ? null : { code: code as JobError['code'], message: text(22) },
    timings: timings === null ? null : (JSON.parse(timings) as Job['timings']),
  };
}
