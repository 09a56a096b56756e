/** A store's file from outside: whole, and its sums right. */
import { DatabaseSync } from 'node:sqlite';

export function inspect(path: string): string[] {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    return inspectDatabase(db);
  } finally {
    db.close();
  }
}

export function inspectDatabase(db: DatabaseSync): string[] {
  const problems: string[] = [];
  for (const row of db.prepare('PRAGMA integrity_check').all() as { integrity_check: string }[]) {
    if (row.integrity_check !== 'ok') problems.push(row.integrity_check);
  }
  if (db.prepare('PRAGMA foreign_key_check').all().length > 0) problems.push('a payload has no job');
  for (const [what, sql] of Object.entries(SUMS)) {
    if (db.prepare(sql).all().length > 0) problems.push(`the sums are wrong: ${what}`);
  }
  return problems;
}

/** Each gives a row when something is wrong. */
const SUMS = {
  lanes: `SELECT 1 FROM lane WHERE (waiting_jobs, waiting_rows, solo_jobs, processing_jobs) IS NOT (
      SELECT count(*) FILTER (WHERE status = 'starting'),
        coalesce(sum(rows) FILTER (WHERE status = 'starting' AND not_before IS NULL AND suspicion < 2), 0),
        count(*) FILTER (WHERE status = 'starting' AND not_before IS NULL AND suspicion >= 2),
        count(*) FILTER (WHERE status = 'processing')
      FROM job WHERE job.model = lane.model AND job.version = lane.version)`,
  'lanes of every job': `SELECT 1 FROM job WHERE completed_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM lane WHERE lane.model = job.model AND lane.version = job.version)`,
  'decided jobs': 'SELECT 1 FROM total WHERE decided_jobs <> (SELECT count(*) FROM job WHERE completed_at IS NOT NULL)',
  'input bytes': `SELECT 1 FROM total WHERE input_bytes <>
      (SELECT coalesce(sum(input_bytes), 0) FROM job WHERE completed_at IS NULL)`,
  'output bytes': `SELECT 1 FROM total WHERE output_bytes <>
      (SELECT coalesce(sum(output_bytes), 0) FROM job WHERE completed_at IS NOT NULL)`,
  inputs: `SELECT 1 FROM job LEFT JOIN input ON input.seq = job.seq LEFT JOIN failed_input ON failed_input.job = job.seq
      WHERE (completed_at IS NULL OR failed_input.job IS NOT NULL) <> (input.seq IS NOT NULL)`,
  'inputs of failed jobs': `SELECT 1 FROM failed_input JOIN job ON job.seq = failed_input.job
      WHERE status NOT IN ('failed', 'aborted') OR bytes <> input_bytes`,
  'bytes of failed inputs': `SELECT 1 FROM failed_input_total WHERE bytes <>
      (SELECT coalesce(sum(bytes), 0) FROM failed_input)`,
  'numbers used twice': 'SELECT 1 FROM total WHERE next_seq <= (SELECT coalesce(max(seq), 0) FROM job)',
};
