-- The three steps that every job takes, cheaper: rows come as arrays, which cost a fifth of what JSON does, whole rows are never
-- formed where columns do, and nothing is looked for twice. What they promise is what `submit_1`, `claim_1` and `end_1` promise, which
-- the release before this one goes on using. Measured: `docs/scaling.md`.
--
-- Where one known row is asked whether it waits or runs, the status comes from a variable (`v_waits`, `v_runs`): PostgreSQL cannot prove
-- then that a partial index of all that wait or run would do, and go through that for every batch, which it did.

-- ---- submit ----
-- `p_lines`: each model, version, priority and caller of the batch, with their sums; a job names its line by number. `p_offset`: rows of
-- the same model, priority and caller before it in this batch. Arrays of what no job has are NULL.
-- Answers with the moment of acceptance of all, or -1: see `submit_1`. A name or a key that another gateway used in this moment
-- is a unique violation, and nothing is written: the caller looks what it is.
CREATE FUNCTION postern.submit_2(
  p_lines json, p_line int[], p_offset bigint[], p_id text[], p_content_type text[], p_parameters text[], p_rows int[], p_deadline bigint[],
  p_key text[], p_digest text[], p_webhook text[], p_url text[], p_host text[], p_events int[], p_size bigint[], p_at int[], p_blob text[],
  p_bytes bytea, p_slot int, p_now bigint, p_wait_ttl_ms bigint, p_lock_space int, p_locks int[], p_bounds json
) RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  v_now bigint;
  v_tight boolean;
  v_empty text[];
BEGIN
  IF p_bounds IS NOT NULL THEN
    PERFORM pg_advisory_xact_lock_shared(p_lock_space, k) FROM unnest(p_locks) AS k;
    SELECT bool_or(b.wanted * 32 > b.bound OR b.wanted + b.used > b.bound / 2) INTO v_tight
      FROM (
        SELECT x.bound, x.wanted, CASE x.kind
          WHEN 'model' THEN (SELECT coalesce(sum(l.waiting_jobs), 0) FROM postern.lane l WHERE l.model = x.name)
          WHEN 'caller' THEN (SELECT coalesce(sum(c.undecided), 0) FROM postern.caller_load c WHERE c.caller = x.name)
          WHEN 'bytes' THEN (SELECT coalesce(sum(t.input_bytes), 0) FROM postern.total t)
          ELSE (SELECT coalesce(sum(t.pending_deliveries), 0) FROM postern.total t) END AS used
        FROM json_to_recordset(p_bounds) AS x (kind text, name text, wanted bigint, bound bigint)
      ) AS b;
    IF v_tight THEN
      RETURN -1;
    END IF;
  END IF;
  v_now := postern.ms_1(p_now);

  -- A queue that is empty ends the busy period.
  SELECT array_agg(m.model) INTO v_empty
    FROM (SELECT DISTINCT x.model FROM json_to_recordset(p_lines) AS x (model text)) AS m
    WHERE (SELECT coalesce(sum(l.waiting_jobs), 0) FROM postern.lane l WHERE l.model = m.model) = 0;
  IF v_empty IS NOT NULL THEN
    INSERT INTO postern.busy_period AS own (model, slot, period)
      SELECT m, p_slot, (SELECT coalesce(max(b.period), 0) + 1 FROM postern.busy_period b WHERE b.model = m)
      FROM unnest(v_empty) AS m ORDER BY m
      ON CONFLICT (model, slot) DO UPDATE SET period = greatest(own.period, excluded.period);
  END IF;

  WITH line AS MATERIALIZED (
    SELECT x.*, b.period, greatest(
      (SELECT max(s.tag) FROM postern.served_tag s WHERE s.model = x.model AND s.priority = x.priority AND s.period = b.period),
      (SELECT max(t.tag) FROM postern.next_tag t
        WHERE t.model = x.model AND t.priority = x.priority AND t.caller = x.caller AND t.period = b.period),
      0) AS start
    FROM json_to_recordset(p_lines) AS x (
        k int, model text, version text, priority int, caller text, jobs bigint, rows bigint, bytes bigint)
      CROSS JOIN LATERAL (SELECT coalesce(max(p.period), 0) AS period FROM postern.busy_period p WHERE p.model = x.model) AS b
  ), given AS MATERIALIZED (
    SELECT nextval('postern.job_seq_seq') AS seq, g.*
    FROM unnest(p_line, p_offset, p_id, p_content_type, p_parameters, p_rows, p_deadline, p_key, p_digest, p_webhook, p_url, p_host,
        p_events, p_size, p_at, p_blob)
      AS g (line, tag_offset, id, content_type, parameters, rows, deadline_at, idempotency_key, digest, webhook, url, host,
        events, size, at, blob)
  ), added AS (
    INSERT INTO postern.job (seq, id, model, version, content_type, parameters, rows, priority, tag, caller, deadline_at, idempotency_key,
      digest, webhook, webhook_url, webhook_host, webhook_events, input_bytes, created_at, due_at)
    OVERRIDING SYSTEM VALUE
    SELECT g.seq, g.id, l.model, l.version, g.content_type, g.parameters, g.rows, l.priority, l.start + g.tag_offset, l.caller,
      g.deadline_at, g.idempotency_key, g.digest, g.webhook, g.url, g.host, coalesce(g.events, 0), g.size, v_now,
      least(g.deadline_at, v_now + p_wait_ttl_ms)
    FROM given g JOIN line l ON l.k = g.line
  ), inputs AS (
    INSERT INTO postern.input
    SELECT g.seq, CASE WHEN g.blob IS NULL THEN substring(p_bytes FROM g.at + 1 FOR g.size::int) END, g.blob FROM given g
  ), tags AS (
    INSERT INTO postern.next_tag AS own (model, priority, caller, slot, period, tag)
    SELECT l.model, l.priority, l.caller, p_slot, l.period, l.start + sum(l.rows) FROM line l
    GROUP BY l.model, l.priority, l.caller, l.period, l.start ORDER BY 1, 2, 3
    ON CONFLICT (model, priority, caller, slot) DO UPDATE SET period = excluded.period, tag = excluded.tag
  ), lanes AS (
    INSERT INTO postern.lane AS own (model, version, slot, waiting_jobs, waiting_rows)
    SELECT l.model, l.version, p_slot, sum(l.jobs), sum(l.rows) FROM line l GROUP BY l.model, l.version ORDER BY 1, 2
    ON CONFLICT (model, version, slot) DO UPDATE
      SET waiting_jobs = own.waiting_jobs + excluded.waiting_jobs, waiting_rows = own.waiting_rows + excluded.waiting_rows
  ), loads AS (
    INSERT INTO postern.caller_load AS own (caller, slot, undecided)
    SELECT l.caller, p_slot, sum(l.jobs) FROM line l WHERE l.caller <> 'anonymous' GROUP BY l.caller ORDER BY 1
    ON CONFLICT (caller, slot) DO UPDATE SET undecided = own.undecided + excluded.undecided
  )
  INSERT INTO postern.total AS own (slot, input_bytes) SELECT p_slot, sum(l.bytes) FROM line l HAVING sum(l.bytes) > 0
    ON CONFLICT (slot) DO UPDATE SET input_bytes = own.input_bytes + excluded.input_bytes;
  RETURN v_now;
END $$;

-- ---- claim ----
-- As `claim_1`; of a job only what was not known before: it runs, for this request's worker and session, since `started_at`.
CREATE FUNCTION postern.claim_2(
  p_requests json, p_slot int, p_now bigint, p_mono bigint, p_max_backoff_ms bigint, p_max_bytes bigint,
  p_writer bigint, p_epoch bigint, p_claim bigint, p_lock_space int
) RETURNS TABLE (n int, left_rows bigint, solo_jobs bigint, seq bigint, id text, model text, version text, content_type text,
  parameters text, rows int, priority int, caller text, deadline_at bigint, idempotency_key text, webhook text, created_at bigint,
  started_at bigint, attempt int, spent_attempts int, suspicion int, past_attempts text, cancel_requested boolean, bytes bytea, blob text)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  v_waits CONSTANT text := 'starting';
  v_now bigint;
  v_mono bigint;
  r record;
  v_most int;
  v_look int;
  v_seqs bigint[];
  v_places tid[];
  v_rows int[];
  v_sizes bigint[];
  v_found int;
  v_taken int;
  v_told boolean;
  v_room bigint;
  v_bytes bigint;
  v_left bigint;
  v_solo bigint;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(p_lock_space, hashint8(p_writer));
  IF NOT EXISTS (SELECT 1 FROM postern.writer w WHERE w.id = p_writer AND w.epoch = p_epoch) THEN
    RAISE EXCEPTION 'this writer has a newer epoch' USING ERRCODE = 'P0002';
  END IF;
  v_now := postern.ms_1(p_now);
  v_mono := postern.ms_1(p_mono);
  IF EXISTS (SELECT 1 FROM postern.job j WHERE j.status = 'starting' AND j.not_before IS NOT NULL) THEN
    PERFORM postern.promote_1(1000, p_slot, p_now, p_max_backoff_ms);
  END IF;

  FOR r IN
    SELECT * FROM json_to_recordset(p_requests) AS x (
      n int, session text, worker text, model text, version text, max_rows int, capacity_rows int, lease_ms bigint, solo boolean,
      named_only boolean)
    ORDER BY n
  LOOP
    v_most := CASE WHEN r.solo THEN least(1, r.max_rows) ELSE r.max_rows END;
    v_taken := 0;
    -- Usually the first look is enough; the second one is for rows that others hold just now, and for those that never fit.
    FOR v_try IN 0..1 LOOP
      EXIT WHEN v_most = 0;
      v_look := CASE v_try WHEN 0 THEN v_most + 32 ELSE 4 * v_most + 512 END;
      IF r.solo THEN
        SELECT array_agg(t.seq), array_agg(t.place), array_agg(t.rows), array_agg(t.input_bytes), count(*), sum(t.rows), sum(t.input_bytes),
          bool_or(t.is_told) INTO v_seqs, v_places, v_rows, v_sizes, v_found, v_room, v_bytes, v_told FROM (
          SELECT j.seq, j.ctid AS place, j.rows, j.input_bytes, j.webhook_events & 1 = 1 AND j.attempt = 0 AS is_told FROM (
            (SELECT w.ctid AS place, w.seq, w.priority, w.tag, w.rows FROM postern.job w
              WHERE w.model = r.model AND w.version = '' AND w.status = 'starting' AND w.not_before IS NULL AND w.suspicion >= 2
              ORDER BY w.priority DESC, w.tag, w.seq LIMIT CASE WHEN r.named_only THEN 0 ELSE v_look END)
            UNION ALL
            (SELECT w.ctid AS place, w.seq, w.priority, w.tag, w.rows FROM postern.job w
              WHERE w.model = r.model AND w.version = r.version AND w.status = 'starting' AND w.not_before IS NULL AND w.suspicion >= 2
              ORDER BY w.priority DESC, w.tag, w.seq LIMIT CASE WHEN r.version = '' THEN 0 ELSE v_look END)
          ) AS c JOIN postern.job j ON j.ctid = c.place
          WHERE c.rows <= r.capacity_rows AND j.status = v_waits AND j.not_before IS NULL AND j.suspicion >= 2
          ORDER BY c.priority DESC, c.tag, c.seq LIMIT v_most FOR UPDATE OF j SKIP LOCKED
        ) AS t;
      ELSE
        SELECT array_agg(t.seq), array_agg(t.place), array_agg(t.rows), array_agg(t.input_bytes), count(*), sum(t.rows), sum(t.input_bytes),
          bool_or(t.is_told) INTO v_seqs, v_places, v_rows, v_sizes, v_found, v_room, v_bytes, v_told FROM (
          SELECT j.seq, j.ctid AS place, j.rows, j.input_bytes, j.webhook_events & 1 = 1 AND j.attempt = 0 AS is_told FROM (
            (SELECT w.ctid AS place, w.seq, w.priority, w.tag, w.rows FROM postern.job w
              WHERE w.model = r.model AND w.version = '' AND w.status = 'starting' AND w.not_before IS NULL AND w.suspicion < 2
              ORDER BY w.priority DESC, w.tag, w.seq LIMIT CASE WHEN r.named_only THEN 0 ELSE v_look END)
            UNION ALL
            (SELECT w.ctid AS place, w.seq, w.priority, w.tag, w.rows FROM postern.job w
              WHERE w.model = r.model AND w.version = r.version AND w.status = 'starting' AND w.not_before IS NULL AND w.suspicion < 2
              ORDER BY w.priority DESC, w.tag, w.seq LIMIT CASE WHEN r.version = '' THEN 0 ELSE v_look END)
          ) AS c JOIN postern.job j ON j.ctid = c.place
          WHERE c.rows <= r.capacity_rows AND j.status = v_waits AND j.not_before IS NULL AND j.suspicion < 2
          ORDER BY c.priority DESC, c.tag, c.seq LIMIT v_most FOR UPDATE OF j SKIP LOCKED
        ) AS t;
      END IF;
      -- In order, until one does not fit: passing it over would let small jobs starve it.
      IF v_found = 0 THEN
        v_taken := 0;
        v_room := r.max_rows;
      ELSIF v_room <= r.max_rows AND v_bytes < p_max_bytes THEN
        v_taken := v_found;
        v_room := r.max_rows - v_room;
      ELSE
        v_taken := 0;
        v_room := r.max_rows;
        v_bytes := 0;
        FOR i IN 1..v_found LOOP
          EXIT WHEN v_rows[i] > v_room OR v_bytes >= p_max_bytes;
          v_taken := i;
          v_room := v_room - v_rows[i];
          v_bytes := v_bytes + v_sizes[i];
        END LOOP;
      END IF;
      EXIT WHEN v_found >= v_most OR v_room = 0 OR v_taken < v_found;
      SELECT coalesce(sum(CASE WHEN r.solo THEN l.solo_jobs ELSE l.waiting_rows END), 0) INTO v_left FROM postern.lane l
        WHERE l.model = r.model AND ((l.version = '' AND NOT r.named_only) OR (l.version = r.version AND r.version <> ''));
      EXIT WHEN v_left <= CASE WHEN r.solo THEN v_taken ELSE r.max_rows - v_room END;
    END LOOP;

    IF v_taken > 0 THEN
      INSERT INTO postern.session AS own VALUES (r.session, v_mono + r.lease_ms)
        ON CONFLICT (session) DO UPDATE SET lease_until = greatest(own.lease_until, excluded.lease_until);
      RETURN QUERY
      -- By their places: they are locked, so they stay there.
      WITH taken AS (
        UPDATE postern.job j SET status = 'processing', started_at = v_now, attempt = j.attempt + 1, worker = r.worker,
          session = r.session, served_version = r.version, progress = NULL, due_at = j.deadline_at, claim = p_claim
        WHERE j.ctid = ANY (v_places[1:v_taken])
        RETURNING j.seq, j.priority, j.tag, j.model, j.version, j.rows, j.id, j.content_type, j.parameters, j.caller, j.deadline_at,
          j.idempotency_key, j.webhook, j.created_at, j.attempt, j.spent_attempts, j.suspicion, j.past_attempts, j.cancel_requested
      ), lanes AS (
        INSERT INTO postern.lane AS own (model, version, slot, waiting_jobs, waiting_rows, solo_jobs, processing_jobs)
        SELECT t.model, t.version, p_slot, -count(*), CASE WHEN r.solo THEN 0 ELSE -sum(t.rows) END,
          CASE WHEN r.solo THEN -count(*) ELSE 0 END, count(*)
        FROM taken t GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (model, version, slot) DO UPDATE SET
          waiting_jobs = own.waiting_jobs + excluded.waiting_jobs, waiting_rows = own.waiting_rows + excluded.waiting_rows,
          solo_jobs = own.solo_jobs + excluded.solo_jobs, processing_jobs = own.processing_jobs + excluded.processing_jobs
      ), tags AS (
        INSERT INTO postern.served_tag AS own (model, priority, slot, period, tag)
        SELECT r.model, t.priority, p_slot, (SELECT coalesce(max(b.period), 0) FROM postern.busy_period b WHERE b.model = r.model), max(t.tag)
        FROM taken t GROUP BY 2 ORDER BY 2
        ON CONFLICT (model, priority, slot) DO UPDATE SET period = excluded.period,
          tag = CASE WHEN own.period = excluded.period THEN greatest(own.tag, excluded.tag) ELSE excluded.tag END
      )
      SELECT r.n, 0::bigint, 0::bigint, t.seq, t.id, t.model, t.version, t.content_type, t.parameters, t.rows, t.priority, t.caller,
        t.deadline_at, t.idempotency_key, t.webhook, t.created_at, v_now, t.attempt, t.spent_attempts, t.suspicion, t.past_attempts,
        t.cancel_requested, i.bytes, i.blob
      -- Sorted while they are small.
      FROM (SELECT * FROM taken s ORDER BY s.priority DESC, s.tag, s.seq) AS t LEFT JOIN postern.input i ON i.seq = t.seq
      ORDER BY t.priority DESC, t.tag, t.seq;
      IF v_told THEN
        WITH told AS (
          INSERT INTO postern.delivery AS d (id, job, caller, event, url, host, created_at, due_at, snapshot, output_bytes)
          SELECT 'msg_' || j.id || '_start', j.id, j.caller, 'start', j.webhook_url, j.webhook_host, v_now, v_now, to_json(j), 0
          FROM postern.job j WHERE j.seq = ANY (v_seqs[1:v_taken]) AND j.webhook_events & 1 = 1 AND j.attempt = 1
          ORDER BY j.priority DESC, j.tag, j.seq
          ON CONFLICT DO NOTHING RETURNING 1
        )
        INSERT INTO postern.total AS own (slot, pending_deliveries) SELECT p_slot, count(*) FROM told HAVING count(*) > 0
          ON CONFLICT (slot) DO UPDATE SET pending_deliveries = own.pending_deliveries + excluded.pending_deliveries;
      END IF;
    END IF;

    SELECT coalesce(sum(l.waiting_rows), 0), coalesce(sum(l.solo_jobs), 0) INTO v_left, v_solo FROM postern.lane l
      WHERE l.model = r.model AND ((l.version = '' AND NOT r.named_only) OR (l.version = r.version AND r.version <> ''));
    n := r.n;
    left_rows := v_left;
    solo_jobs := v_solo;
    RETURN NEXT;
  END LOOP;
END $$;

-- ---- succeed: ends that are successes, where the fence holds ----
-- What `end_1` does of a success, which needs no ruling. In the order of the jobs' names, so that two of these never wait for each other.
-- Answers with those that were changed: `p_n` of each, and what the caller does not know of it.
CREATE FUNCTION postern.succeed_1(
  p_n int[], p_id text[], p_attempt int[], p_session text[], p_timings text[], p_output_type text[], p_size bigint[], p_at int[], p_blob text[],
  p_bytes bytea, p_slot int, p_now bigint, p_result_ttl_ms bigint, p_keyed_ttl_ms bigint, p_max_delivery_bytes bigint, p_max_outbox_bytes bigint
) RETURNS TABLE (n int, seq bigint, model text, version text, content_type text, parameters text, rows int, priority int, caller text,
  deadline_at bigint, idempotency_key text, webhook text, created_at bigint, started_at bigint, completed_at bigint, spent_attempts int,
  suspicion int, past_attempts text, worker text, served_version text, progress text, cancel_requested boolean)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  v_runs CONSTANT text := 'processing';
  v_now bigint := postern.ms_1(p_now);
  v_room bigint;
BEGIN
  SELECT p_max_outbox_bytes - coalesce(sum(t.delivery_bytes), 0) INTO v_room FROM postern.total t;

  RETURN QUERY
  WITH given AS MATERIALIZED (
    SELECT * FROM unnest(p_n, p_id, p_attempt, p_session, p_timings, p_output_type, p_size, p_at, p_blob)
      AS g (n, id, attempt, session, timings, output_type, size, at, blob)
  ), changed AS (
    UPDATE postern.job j SET
      status = 'succeeded',
      completed_at = v_now,
      error_code = NULL,
      error_message = NULL,
      timings = g.timings,
      output_bytes = g.size,
      due_at = v_now + CASE WHEN j.idempotency_key IS NULL THEN p_result_ttl_ms ELSE p_keyed_ttl_ms END
    FROM given g WHERE j.id = g.id AND j.status = v_runs AND j.attempt = g.attempt AND j.session = g.session
    RETURNING j.seq, g.n, g.output_type, g.size, g.at, g.blob, j.webhook_events, j.model, j.version, j.caller, j.input_bytes,
      j.content_type, j.parameters, j.rows, j.priority, j.deadline_at, j.idempotency_key, j.webhook, j.created_at, j.started_at,
      j.spent_attempts, j.suspicion, j.past_attempts, j.worker, j.served_version, j.progress, j.cancel_requested,
      CASE WHEN j.webhook_events & 2 = 2 THEN j END AS job
  ), sums AS MATERIALIZED (
    SELECT c.model, c.version, c.caller, count(*) AS jobs, sum(c.input_bytes) AS input_bytes, sum(c.size) AS output_bytes
    FROM changed c GROUP BY c.model, c.version, c.caller
  ), dropped AS (
    -- Nobody needs the input any more, and it is the largest part.
    DELETE FROM postern.input i USING changed c WHERE i.seq = c.seq RETURNING i.blob
  ), unnamed AS (
    INSERT INTO postern.unnamed_blob SELECT DISTINCT b.blob FROM dropped b WHERE b.blob IS NOT NULL ORDER BY 1 ON CONFLICT DO NOTHING
  ), outputs AS (
    INSERT INTO postern.output
    SELECT c.seq, c.output_type, CASE WHEN c.blob IS NULL THEN substring(p_bytes FROM c.at + 1 FOR c.size::int) END, c.blob FROM changed c
  ), told AS (
    INSERT INTO postern.delivery (id, job, caller, event, url, host, created_at, due_at, snapshot, output_type, output_bytes, output, output_blob)
    SELECT 'msg_' || (c.job).id || '_completed', (c.job).id, c.caller, 'completed', (c.job).webhook_url, (c.job).webhook_host,
      v_now, v_now, to_json(c.job), c.output_type, CASE WHEN c.carries THEN c.size ELSE 0 END,
      CASE WHEN c.carries AND c.blob IS NULL THEN substring(p_bytes FROM c.at + 1 FOR c.size::int) END,
      CASE WHEN c.carries THEN c.blob END
    FROM (
      SELECT w.*, w.size <= p_max_delivery_bytes AND sum(w.size) OVER (ORDER BY w.n) <= v_room AS carries
      FROM changed w WHERE w.webhook_events & 2 = 2
    ) AS c ORDER BY c.n
    ON CONFLICT DO NOTHING RETURNING output_bytes
  ), lanes AS (
    INSERT INTO postern.lane AS own (model, version, slot, processing_jobs)
    SELECT s.model, s.version, p_slot, -sum(s.jobs) FROM sums s GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (model, version, slot) DO UPDATE SET processing_jobs = own.processing_jobs + excluded.processing_jobs
  ), loads AS (
    INSERT INTO postern.caller_load AS own (caller, slot, undecided)
    SELECT s.caller, p_slot, -sum(s.jobs) FROM sums s WHERE s.caller <> 'anonymous' GROUP BY 1 ORDER BY 1
    ON CONFLICT (caller, slot) DO UPDATE SET undecided = own.undecided + excluded.undecided
  ), totals AS (
    INSERT INTO postern.total AS own (slot, input_bytes, decided_jobs, output_bytes, pending_deliveries, delivery_bytes)
    SELECT p_slot, -sum(s.input_bytes), sum(s.jobs), sum(s.output_bytes),
      (SELECT count(*) FROM told), (SELECT coalesce(sum(t.output_bytes), 0) FROM told t)
    FROM sums s HAVING count(*) > 0
    ON CONFLICT (slot) DO UPDATE SET input_bytes = own.input_bytes + excluded.input_bytes,
      decided_jobs = own.decided_jobs + excluded.decided_jobs, output_bytes = own.output_bytes + excluded.output_bytes,
      pending_deliveries = own.pending_deliveries + excluded.pending_deliveries,
      delivery_bytes = own.delivery_bytes + excluded.delivery_bytes
  )
  SELECT c.n, c.seq, c.model, c.version, c.content_type, c.parameters, c.rows, c.priority, c.caller, c.deadline_at, c.idempotency_key,
    c.webhook, c.created_at, c.started_at, v_now, c.spent_attempts, c.suspicion, c.past_attempts, c.worker, c.served_version, c.progress,
    c.cancel_requested
  FROM changed c;
END $$;
