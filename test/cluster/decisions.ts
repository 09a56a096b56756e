/**
 * What the database itself saw of every decision: a trigger notes each one, in the transaction that makes it, and each change or
 * removal of a job that is decided. Callers can only compare what they read; here nothing is missed between two reads.
 */
import type { TestPostgres } from '../support/postgres.ts';

const NOTE = `
CREATE SCHEMA audit;
CREATE TABLE audit.note (n bigserial PRIMARY KEY, id text NOT NULL, what text NOT NULL, detail text NOT NULL);
CREATE FUNCTION audit.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    INSERT INTO audit.note (id, what, detail) VALUES (OLD.id, 'removed', OLD.status);
  ELSIF OLD.completed_at IS NULL AND NEW.completed_at IS NOT NULL THEN
    INSERT INTO audit.note (id, what, detail) VALUES (NEW.id, 'decided', NEW.status || ' in attempt ' || NEW.attempt);
  ELSIF OLD.completed_at IS NOT NULL AND (OLD.status, OLD.attempt, OLD.completed_at, OLD.output_bytes, OLD.error_code)
      IS DISTINCT FROM (NEW.status, NEW.attempt, NEW.completed_at, NEW.output_bytes, NEW.error_code) THEN
    INSERT INTO audit.note (id, what, detail) VALUES (NEW.id, 'changed', OLD.status || ' became ' || NEW.status);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER note AFTER UPDATE OR DELETE ON postern.job FOR EACH ROW EXECUTE FUNCTION audit.note();
`;

/** Each gives rows when something is wrong: what is said of it. Nothing is old enough to be forgotten in these runs. */
const QUESTIONS = {
  'decided twice': `SELECT id || ': ' || string_agg(detail, ', ' ORDER BY n) AS said FROM audit.note WHERE what = 'decided'
    GROUP BY id HAVING count(*) > 1`,
  'changed after its decision': `SELECT id || ': ' || detail AS said FROM audit.note WHERE what = 'changed'`,
  'removed before its time': `SELECT id || ': ' || detail AS said FROM audit.note WHERE what = 'removed'`,
  'an output without its job, or a success without its output': `SELECT coalesce(j.id, o.seq::text) AS said FROM postern.job j
    FULL JOIN postern.output o ON o.seq = j.seq WHERE j.id IS NULL OR (j.status = 'succeeded') <> (o.seq IS NOT NULL)`,
  'a sum that is wrong: waiting and running jobs': `SELECT model || ': ' || lanes || ' for ' || jobs AS said FROM (
      SELECT l.model, concat_ws(' ', sum(l.waiting_jobs), sum(l.processing_jobs)) AS lanes FROM postern.lane l GROUP BY l.model) AS sums
    JOIN (SELECT j.model, concat_ws(' ', count(*) FILTER (WHERE j.status = 'starting'), count(*) FILTER (WHERE j.status = 'processing'))
      AS jobs FROM postern.job j GROUP BY j.model) AS counted USING (model) WHERE lanes <> jobs`,
  'a sum that is wrong: decided jobs': `SELECT jobs::text AS said FROM (SELECT sum(decided_jobs) AS jobs FROM postern.total) AS sums
    WHERE jobs IS DISTINCT FROM (SELECT count(*) FROM postern.job j WHERE j.completed_at IS NOT NULL)`,
} as const;
const MAX_SAID = 10;

export const noteDecisions = async (postgres: TestPostgres, database: string): Promise<void> => {
  await postgres.query(NOTE, database);
};

export async function inspectDecisions(postgres: TestPostgres, database: string): Promise<string[]> {
  const problems: string[] = [];
  for (const [what, sql] of Object.entries(QUESTIONS)) {
    const rows = await postgres.query(`${sql} LIMIT ${MAX_SAID}`, database);
    for (const { said } of rows) problems.push(`${what}: ${String(said)}`);
  }
  return problems;
}
