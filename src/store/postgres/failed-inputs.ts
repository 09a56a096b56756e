/** Inputs that are kept of failed jobs, dropped before their time. Kept they are by `end_1` and `forget_1`. */
import type { JobId } from '../../dispatch/job.ts';
import type { Row } from './connection.ts';

export interface FailedInputsOptions {
  readonly write: (text: string, values: readonly unknown[]) => Promise<Row[]>;
  readonly slot: number;
}

export interface DroppedInput {
  readonly id: JobId;
  /** When its job was accepted, by the database's clock. */
  readonly createdAt: number;
  readonly blob: string | null;
}

export function createFailedInputs({ write, slot }: FailedInputsOptions) {
  return {
    /** Of those that had one. In the order of their places, as `end_1` takes them away. */
    async drop(ids: readonly JobId[]): Promise<DroppedInput[]> {
      const rows = await write(
        `WITH held AS (
           SELECT f.place, f.job, j.id, j.created_at FROM postern.job j JOIN postern.failed_input f ON f.job = j.seq
           WHERE j.id = ANY ($1) ORDER BY f.place FOR UPDATE OF f
         ), gone AS (
           DELETE FROM postern.failed_input f USING held h WHERE f.place = h.place RETURNING f.job, f.bytes, h.id, h.created_at
         ), dropped AS (
           DELETE FROM postern.input i USING gone g WHERE i.seq = g.job RETURNING i.seq, i.blob
         ), unnamed AS (
           INSERT INTO postern.unnamed_blob SELECT DISTINCT d.blob FROM dropped d WHERE d.blob IS NOT NULL ORDER BY 1
           ON CONFLICT DO NOTHING
         ), totals AS (
           INSERT INTO postern.total AS own (slot, failed_input_bytes)
           SELECT $2::smallint, -coalesce(sum(g.bytes), 0) FROM gone g HAVING count(*) > 0
           ON CONFLICT (slot) DO UPDATE SET failed_input_bytes = own.failed_input_bytes + excluded.failed_input_bytes
         )
         SELECT g.id, g.created_at, d.blob FROM gone g JOIN dropped d ON d.seq = g.job`,
        [ids, slot],
      );
      return rows.map(([id, createdAt, blob]) => ({
        id: id as JobId,
        createdAt: createdAt as number,
        blob: blob as string | null,
      }));
    },
  };
}
