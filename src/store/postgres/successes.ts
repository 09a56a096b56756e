/** Successes of one batch as one statement, `succeed_1`: the fence is all that they need, so that nobody looks at the job before. */
import { MAX_DELIVERY_OUTPUT_BYTES } from '../../dispatch/delivery.ts';
import type { Job } from '../../dispatch/job.ts';
import type { DiskLimits } from '../disk-limits.ts';
import { int4s, int8s, texts } from './arrays.ts';
import type { Row, Statement } from './connection.ts';
import type { Times } from './options.ts';
import { createParcel, toJob, type JobRecord } from './rows.ts';
import type { Ruling } from './ruling.ts';

/** A ruling that it succeeded, and its place among the rulings of the batch. */
export interface Success {
  readonly n: number;
  readonly ruling: Ruling & Required<Pick<Ruling, 'output'>>;
}

/** A row of `succeed_1`, with what it leaves out because its ruling says it. */
const toRecord = (row: Row, { id, attempt, session, status, timings }: Ruling): JobRecord => ({
  seq: row[1] as number,
  id,
  model: row[2] as string,
  version: row[3] as string,
  content_type: row[4] as string,
  parameters: row[5] as string,
  rows: row[6] as number,
  priority: row[7] as number,
  caller: row[8] as string,
  deadline_at: row[9] as number | null,
  idempotency_key: row[10] as string | null,
  webhook: row[11] as string | null,
  status,
  created_at: row[12] as number,
  started_at: row[13] as number | null,
  completed_at: row[14] as number,
  attempt,
  spent_attempts: row[15] as number,
  suspicion: row[16] as number,
  past_attempts: row[17] as string | null,
  not_before: null,
  worker: row[18] as string | null,
  session,
  served_version: row[19] as string | null,
  progress: row[20] as string | null,
  cancel_requested: row[21] as boolean,
  error_code: null,
  error_message: null,
  timings: timings ?? null,
});

export function createSuccesses(limits: DiskLimits, times: Times, slot: number) {
  const keyedTtlMs = Math.max(limits.resultTtlMs, limits.idempotencyTtlMs);
  return {
    statement(successes: readonly Success[]): Statement {
      const parcel = createParcel();
      // In the order of their names: see the function.
      const sorted = successes.toSorted((a, b) => (a.ruling.id < b.ruling.id ? -1 : 1));
      const of = <T>(value: (ruling: Success['ruling']) => T): T[] => sorted.map(({ ruling }) => value(ruling));
      const values = [
        int4s(sorted.map(({ n }) => n)),
        texts(of(({ id }) => id)),
        int4s(of(({ attempt }) => attempt)),
        texts(of(({ session }) => session)),
        texts(of(({ timings }) => timings ?? null)),
        texts(of(({ output }) => output.contentType)),
        int8s(of(({ output }) => output.bytes.byteLength)),
        int4s(of(({ output }) => (output.blob === null ? parcel.add(output.bytes) : 0))),
        texts(of(({ output }) => output.blob)),
        parcel.bytes(),
        slot,
        times.now(),
        limits.resultTtlMs,
        keyedTtlMs,
        MAX_DELIVERY_OUTPUT_BYTES,
        limits.maxDeliveryBytes,
      ];
      const parameters = values.map((_, index) => `$${index + 1}`).join(', ');
      return { text: `SELECT * FROM postern.succeed_1(${parameters})`, values };
    },
    /** The job of one row of the answer. */
    job(row: Row, ruling: Ruling): Job {
      const { output } = ruling;
      // The output that was just written is at hand: it need not come back from the disk.
      const kept = output === undefined ? null : { contentType: output.contentType, bytes: output.bytes };
      return toJob(toRecord(row, ruling), undefined, kept);
    },
  };
}
