/** The statements of a move: see `move.ts`. */
import type { Statement } from './connection.ts';

/** Jobs with their numbers and payloads. A batch that was committed and not answered is simply there already. */
export const TAKE_JOBS = `WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset($1) AS x (
      seq bigint, id text, model text, version text, content_type text, parameters text, rows int, priority int, tag bigint, caller text,
      deadline_at bigint, idempotency_key text, digest text, webhook text, webhook_url text, webhook_host text, webhook_events smallint,
      input_bytes bigint, status text, created_at bigint, started_at bigint, completed_at bigint, attempt int, spent_attempts int,
      suspicion int, past_attempts text, not_before bigint, worker text, session text, served_version text, progress text,
      cancel_requested int, error_code text, error_message text, timings text, output_bytes bigint, due_at bigint, has_input int,
      input_at int, input_size int, input_blob text, output_type text, output_at int, output_size int, output_blob text)
  ), added AS (
    INSERT INTO postern.job (seq, id, model, version, content_type, parameters, rows, priority, tag, caller, deadline_at, idempotency_key,
      digest, webhook, webhook_url, webhook_host, webhook_events, input_bytes, status, created_at, started_at, completed_at, attempt,
      spent_attempts, suspicion, past_attempts, not_before, worker, session, served_version, progress, cancel_requested, error_code,
      error_message, timings, output_bytes, due_at)
    OVERRIDING SYSTEM VALUE
    SELECT seq, id, model, version, content_type, parameters, rows, priority, tag, caller, deadline_at, idempotency_key,
      digest, webhook, webhook_url, webhook_host, webhook_events, input_bytes, status, created_at, started_at, completed_at, attempt,
      spent_attempts, suspicion, past_attempts, not_before, worker, session, served_version, progress, cancel_requested = 1, error_code,
      error_message, timings, output_bytes, due_at
    FROM given ORDER BY seq ON CONFLICT (seq) DO NOTHING RETURNING seq
  ), inputs AS (
    INSERT INTO postern.input
    SELECT g.seq, CASE WHEN g.input_blob IS NULL THEN substring($2::bytea FROM g.input_at + 1 FOR g.input_size) END, g.input_blob
    FROM given g JOIN added a ON a.seq = g.seq WHERE g.has_input = 1
  )
  INSERT INTO postern.output
  SELECT g.seq, g.output_type, CASE WHEN g.output_blob IS NULL THEN substring($2::bytea FROM g.output_at + 1 FOR g.output_size) END, g.output_blob
  FROM given g JOIN added a ON a.seq = g.seq WHERE g.output_type IS NOT NULL`;

export const TAKE_DELIVERIES = `INSERT INTO postern.delivery (seq, id, job, caller, event, url, host, status, attempt, created_at, due_at, ended_at,
    answer, reason, snapshot, output_type, output_bytes, output, output_blob)
  OVERRIDING SYSTEM VALUE
  SELECT g.seq, g.id, g.job, g.caller, g.event, g.url, g.host, g.status, g.attempt, g.created_at, g.due_at, g.ended_at, g.answer, g.reason,
    g.snapshot::json, g.output_type, g.output_bytes,
    CASE WHEN g.output_blob IS NULL THEN substring($2::bytea FROM g.output_at + 1 FOR g.output_size) END, g.output_blob
  FROM json_to_recordset($1) AS g (
    seq bigint, id text, job text, caller text, event text, url text, host text, status text, attempt int, created_at bigint, due_at bigint,
    ended_at bigint, answer int, reason text, snapshot text, output_type text, output_bytes bigint, output_at int, output_size int, output_blob text)
  ORDER BY g.seq ON CONFLICT (seq) DO NOTHING`;

const IN_LINE = 'not_before IS NULL AND suspicion < 2';
const SOLO = 'not_before IS NULL AND suspicion >= 2';

/** The sums, the sequences, a whole lease for who holds something; all in the transaction that says that it is done. */
export const FINISH = (leaseMs: number): Statement[] =>
  [
    `INSERT INTO postern.lane (model, version, slot, waiting_jobs, waiting_rows, solo_jobs, processing_jobs)
     SELECT model, version, 0, count(*) FILTER (WHERE status = 'starting'),
       coalesce(sum(rows) FILTER (WHERE status = 'starting' AND ${IN_LINE}), 0),
       count(*) FILTER (WHERE status = 'starting' AND ${SOLO}), count(*) FILTER (WHERE status = 'processing')
     FROM postern.job WHERE completed_at IS NULL GROUP BY model, version`,
    `INSERT INTO postern.total (slot, input_bytes, decided_jobs, output_bytes, failed_input_bytes, pending_deliveries, delivery_bytes)
     SELECT 0, coalesce(sum(input_bytes) FILTER (WHERE completed_at IS NULL), 0), count(*) FILTER (WHERE completed_at IS NOT NULL),
       coalesce(sum(output_bytes), 0), (SELECT coalesce(sum(bytes), 0) FROM postern.failed_input),
       (SELECT count(*) FROM postern.delivery WHERE status = 'pending'), (SELECT coalesce(sum(output_bytes), 0) FROM postern.delivery)
     FROM postern.job`,
    `INSERT INTO postern.caller_load SELECT caller, 0, count(*) FROM postern.job
     WHERE completed_at IS NULL AND caller <> 'anonymous' GROUP BY caller`,
    `INSERT INTO postern.session SELECT DISTINCT session, postern.ms_1(NULL) + ${Math.round(leaseMs)} FROM postern.job WHERE status = 'processing'`,
    `SELECT setval(pg_get_serial_sequence('postern.job', 'seq'), (SELECT coalesce(max(seq), 0) + 1 FROM postern.job), false),
       setval(pg_get_serial_sequence('postern.delivery', 'seq'), (SELECT coalesce(max(seq), 0) + 1 FROM postern.delivery), false),
       setval(pg_get_serial_sequence('postern.failed_input', 'place'), (SELECT coalesce(max(place), 0) + 1 FROM postern.failed_input), false)`,
    'UPDATE postern.move SET is_done = true',
  ].map((text) => ({ text, values: [] }));
