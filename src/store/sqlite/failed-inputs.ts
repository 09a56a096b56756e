/** The same as `memory-failed-inputs.ts`, in rows. Owner of `failed_input`; a trigger keeps its sum. */
import type { DatabaseSync } from 'node:sqlite';
import type { JobId } from '../../dispatch/job.ts';
import { keepsInput, type Ended } from '../failed-inputs.ts';
import type { DroppedInput } from './calls.ts';

export function createFailedInputs(db: DatabaseSync, maxBytes: number) {
  const insert = db.prepare('INSERT INTO failed_input (job, bytes) VALUES (?, ?)');
  const total = db.prepare('SELECT bytes FROM failed_input_total');
  const oldest = db.prepare('SELECT place, job FROM failed_input ORDER BY place LIMIT 1');
  const remove = db.prepare('DELETE FROM failed_input WHERE place = ?');
  const removeInput = db.prepare('DELETE FROM input WHERE seq = ?');
  const of = db.prepare(
    `SELECT failed_input.place, job.seq, job.created_at, input.blob FROM job
       JOIN failed_input ON failed_input.job = job.seq JOIN input ON input.seq = job.seq WHERE job.id = ?`,
  );

  return {
    /** Of a job that is decided now. False: its input is to go. */
    keep(seq: number, ended: Ended): boolean {
      if (!keepsInput(ended, maxBytes)) return false;
      insert.run(seq, ended.bytes);
      while ((total.get() as { bytes: number }).bytes > maxBytes) {
        const first = oldest.get() as { place: number; job: number };
        remove.run(first.place);
        removeInput.run(first.job);
      }
      return true;
    },
    /** null: none is kept of it. */
    drop(id: JobId): DroppedInput | null {
      const found = of.get(id) as { place: number; seq: number; created_at: number; blob: string | null } | undefined;
      if (found === undefined) return null;
      remove.run(found.place);
      removeInput.run(found.seq);
      return { id, createdAt: found.created_at, blob: found.blob };
    },
  };
}
