/** The same as `memory-failed-inputs.ts`, in rows. Owner of `failed_input`; a trigger keeps its sum. */
import type { DatabaseSync } from 'node:sqlite';
import type { JobStatus } from '../../dispatch/job.ts';
import { keepsInput } from '../failed-inputs.ts';

export function createFailedInputs(db: DatabaseSync, maxBytes: number) {
  const insert = db.prepare('INSERT INTO failed_input (job, bytes) VALUES (?, ?)');
  const total = db.prepare('SELECT bytes FROM failed_input_total');
  const oldest = db.prepare('SELECT place, job FROM failed_input ORDER BY place LIMIT 1');
  const remove = db.prepare('DELETE FROM failed_input WHERE place = ?');
  const removeInput = db.prepare('DELETE FROM input WHERE seq = ?');

  return {
    /** Of a job that is decided now. False: its input is to go. */
    keep(seq: number, status: JobStatus, bytes: number): boolean {
      if (!keepsInput(status, bytes, maxBytes)) return false;
      insert.run(seq, bytes);
      while ((total.get() as { bytes: number }).bytes > maxBytes) {
        const first = oldest.get() as { place: number; job: number };
        remove.run(first.place);
        removeInput.run(first.job);
      }
      return true;
    },
  };
}
