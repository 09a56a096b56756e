-- The steps that change jobs, each one function: one round trip, plans that stay with the connection without named statements, and
-- a fresh snapshot for each statement inside. A function is never changed once a release has it: a new release brings `_2` beside it,
-- so that gateways of both may run, and a later one drops `_1`.
--
-- `p_now` and `p_mono` are NULL but in tests, which bring their own time: then the database's clock counts for both.
-- Tables that are sometimes empty and sometimes not make plans that go over the whole table; `enable_seqscan` rules those out. A small
-- table without an index for the question then seems so dear that PostgreSQL would compile the statement: `jit` rules that out.

CREATE FUNCTION postern.ms_1(p_given bigint) RETURNS bigint LANGUAGE sql VOLATILE PARALLEL RESTRICTED AS
$$ SELECT coalesce(p_given, (extract(epoch FROM clock_timestamp()) * 1000)::bigint) $$;

-- ---- submit ----
-- `p_rows`: in the order of their arrival. `tag_offset`: rows of the same caller, model and priority before it in this batch.
-- `p_locks`: of all bounds that these jobs touch. They are shared, because nothing here is near a bound: at most half of each is used,
-- and this batch takes no more than a thirty-second of it, so that sixteen of these at once cannot pass one. Where that does not hold
-- the answer is one row with n = -1, nothing was written, and the caller takes the locks for itself and counts (then `p_bounds` is NULL).
CREATE FUNCTION postern.submit_1(
  p_rows json, p_bytes bytea, p_slot int, p_now bigint, p_wait_ttl_ms bigint, p_lock_space int, p_locks int[], p_bounds json
) RETURNS TABLE (n int, created_at bigint)
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
      RETURN QUERY SELECT -1, 0::bigint;
      RETURN;
    END IF;
  END IF;
  v_now := postern.ms_1(p_now);

  -- A queue that is empty ends the busy period.
  SELECT array_agg(m.model) INTO v_empty
    FROM (SELECT DISTINCT x.model FROM json_to_recordset(p_rows) AS x (model text)) AS m
    WHERE (SELECT coalesce(sum(l.waiting_jobs), 0) FROM postern.lane l WHERE l.model = m.model) = 0;
  IF v_empty IS NOT NULL THEN
    INSERT INTO postern.busy_period AS own (model, slot, period)
      SELECT m, p_slot, (SELECT coalesce(max(b.period), 0) + 1 FROM postern.busy_period b WHERE b.model = m)
      FROM unnest(v_empty) AS m ORDER BY m
      ON CONFLICT (model, slot) DO UPDATE SET period = greatest(own.period, excluded.period);
  END IF;

  RETURN QUERY
  WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(p_rows) AS x (
      n int, id text, model text, version text, content_type text, parameters text, rows int, priority int, tag_offset bigint,
      caller text, deadline_at bigint, idempotency_key text, digest text, webhook text, webhook_url text, webhook_host text,
      webhook_events smallint, input_bytes bigint, at int, blob text)
  ), period AS MATERIALIZED (
    SELECT m.model, (SELECT coalesce(max(b.period), 0) FROM postern.busy_period b WHERE b.model = m.model) AS period
    FROM (SELECT DISTINCT g.model FROM given g) AS m
  ), line AS MATERIALIZED (
    SELECT w.*, greatest(
      (SELECT max(s.tag) FROM postern.served_tag s WHERE s.model = w.model AND s.priority = w.priority AND s.period = w.period),
      (SELECT max(t.tag) FROM postern.next_tag t
        WHERE t.model = w.model AND t.priority = w.priority AND t.caller = w.caller AND t.period = w.period),
      0) AS start
    FROM (
      SELECT g.model, g.priority, g.caller, p.period, sum(g.rows) AS rows FROM given g JOIN period p ON p.model = g.model
      GROUP BY g.model, g.priority, g.caller, p.period
    ) AS w
  ), added AS (
    INSERT INTO postern.job AS j (id, model, version, content_type, parameters, rows, priority, tag, caller, deadline_at, idempotency_key,
      digest, webhook, webhook_url, webhook_host, webhook_events, input_bytes, created_at, due_at)
    SELECT g.id, g.model, g.version, g.content_type, g.parameters, g.rows, g.priority, l.start + g.tag_offset, g.caller, g.deadline_at,
      g.idempotency_key, g.digest, g.webhook, g.webhook_url, g.webhook_host, g.webhook_events, g.input_bytes, v_now,
      least(g.deadline_at, v_now + p_wait_ttl_ms)
    FROM given g JOIN line l ON l.model = g.model AND l.priority = g.priority AND l.caller = g.caller
    ORDER BY g.n
    -- A name or a key that another gateway used in this moment: the caller looks what it is.
    ON CONFLICT DO NOTHING
    RETURNING j.seq, j.id, j.model, j.version, j.rows, j.caller, j.input_bytes
  ), inputs AS (
    INSERT INTO postern.input
    SELECT a.seq, CASE WHEN g.blob IS NULL THEN substring(p_bytes FROM g.at + 1 FOR g.input_bytes::int) END, g.blob
    FROM added a JOIN given g ON g.id = a.id
  ), tags AS (
    INSERT INTO postern.next_tag AS own (model, priority, caller, slot, period, tag)
    SELECT l.model, l.priority, l.caller, p_slot, l.period, l.start + l.rows FROM line l ORDER BY 1, 2, 3
    ON CONFLICT (model, priority, caller, slot) DO UPDATE SET period = excluded.period, tag = excluded.tag
  ), lanes AS (
    INSERT INTO postern.lane AS own (model, version, slot, waiting_jobs, waiting_rows)
    SELECT a.model, a.version, p_slot, count(*), sum(a.rows) FROM added a GROUP BY a.model, a.version ORDER BY 1, 2
    ON CONFLICT (model, version, slot) DO UPDATE
      SET waiting_jobs = own.waiting_jobs + excluded.waiting_jobs, waiting_rows = own.waiting_rows + excluded.waiting_rows
  ), totals AS (
    INSERT INTO postern.total AS own (slot, input_bytes) SELECT p_slot, sum(a.input_bytes) FROM added a HAVING sum(a.input_bytes) > 0
    ON CONFLICT (slot) DO UPDATE SET input_bytes = own.input_bytes + excluded.input_bytes
  ), loads AS (
    INSERT INTO postern.caller_load AS own (caller, slot, undecided)
    SELECT a.caller, p_slot, count(*) FROM added a WHERE a.caller <> 'anonymous' GROUP BY a.caller ORDER BY 1
    ON CONFLICT (caller, slot) DO UPDATE SET undecided = own.undecided + excluded.undecided
  )
  SELECT g.n, v_now FROM added a JOIN given g ON g.id = a.id;
END $$;

-- ---- promote: jobs whose time has come go back in line ----
CREATE FUNCTION postern.promote_1(p_limit int, p_slot int, p_now bigint, p_max_backoff_ms bigint) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_now bigint := postern.ms_1(p_now);
BEGIN
  WITH near AS (
    SELECT j.seq FROM postern.job j
    WHERE j.status = 'starting' AND j.not_before IS NOT NULL AND j.not_before <= v_now
    ORDER BY j.not_before LIMIT p_limit FOR UPDATE SKIP LOCKED
  ), far AS (
    -- Further away than any wait: the clock was put back.
    SELECT j.seq FROM postern.job j
    WHERE j.status = 'starting' AND j.not_before IS NOT NULL AND j.not_before > v_now + p_max_backoff_ms
    ORDER BY j.not_before LIMIT p_limit FOR UPDATE SKIP LOCKED
  ), back AS (
    UPDATE postern.job j SET not_before = NULL WHERE j.seq IN (SELECT seq FROM near UNION ALL SELECT seq FROM far)
    RETURNING j.model, j.version, j.rows, j.suspicion
  )
  INSERT INTO postern.lane AS own (model, version, slot, waiting_rows, solo_jobs)
    SELECT b.model, b.version, p_slot, coalesce(sum(b.rows) FILTER (WHERE b.suspicion < 2), 0), count(*) FILTER (WHERE b.suspicion >= 2)
    FROM back b GROUP BY b.model, b.version ORDER BY 1, 2
    ON CONFLICT (model, version, slot) DO UPDATE
      SET waiting_rows = own.waiting_rows + excluded.waiting_rows, solo_jobs = own.solo_jobs + excluded.solo_jobs;
END $$;

-- ---- claim ----
-- One row for each request first (`job` NULL: what is left), then the jobs that it got, in order. `p_epoch`: of the writer; a claim of
-- an older one raises P0002, and nothing is taken.
CREATE FUNCTION postern.claim_1(
  p_requests json, p_slot int, p_now bigint, p_mono bigint, p_max_backoff_ms bigint, p_max_bytes bigint,
  p_writer bigint, p_epoch bigint, p_claim bigint, p_lock_space int
) RETURNS TABLE (n int, left_rows bigint, solo_jobs bigint, job postern.job, bytes bytea, blob text)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  v_now bigint;
  v_mono bigint;
  r record;
  v_most int;
  v_look int;
  v_seqs bigint[];
  v_rows int[];
  v_sizes bigint[];
  v_taken bigint[];
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
    v_taken := '{}';
    -- Usually the first look is enough; the second one is for rows that others hold just now, and for those that never fit.
    FOR v_try IN 0..1 LOOP
      EXIT WHEN v_most = 0;
      v_look := CASE v_try WHEN 0 THEN v_most + 32 ELSE 4 * v_most + 512 END;
      IF r.solo THEN
        SELECT array_agg(t.seq), array_agg(t.rows), array_agg(t.input_bytes) INTO v_seqs, v_rows, v_sizes FROM (
          SELECT j.seq, j.rows, j.input_bytes FROM (
            (SELECT w.seq, w.priority, w.tag, w.rows FROM postern.job w
              WHERE w.model = r.model AND w.version = '' AND w.status = 'starting' AND w.not_before IS NULL AND w.suspicion >= 2
              ORDER BY w.priority DESC, w.tag, w.seq LIMIT CASE WHEN r.named_only THEN 0 ELSE v_look END)
            UNION ALL
            (SELECT w.seq, w.priority, w.tag, w.rows FROM postern.job w
              WHERE w.model = r.model AND w.version = r.version AND w.status = 'starting' AND w.not_before IS NULL AND w.suspicion >= 2
              ORDER BY w.priority DESC, w.tag, w.seq LIMIT CASE WHEN r.version = '' THEN 0 ELSE v_look END)
          ) AS c JOIN postern.job j ON j.seq = c.seq
          WHERE c.rows <= r.capacity_rows AND j.status = 'starting' AND j.not_before IS NULL AND j.suspicion >= 2
          ORDER BY c.priority DESC, c.tag, c.seq LIMIT v_most FOR UPDATE OF j SKIP LOCKED
        ) AS t;
      ELSE
        SELECT array_agg(t.seq), array_agg(t.rows), array_agg(t.input_bytes) INTO v_seqs, v_rows, v_sizes FROM (
          SELECT j.seq, j.rows, j.input_bytes FROM (
            (SELECT w.seq, w.priority, w.tag, w.rows FROM postern.job w
              WHERE w.model = r.model AND w.version = '' AND w.status = 'starting' AND w.not_before IS NULL AND w.suspicion < 2
              ORDER BY w.priority DESC, w.tag, w.seq LIMIT CASE WHEN r.named_only THEN 0 ELSE v_look END)
            UNION ALL
            (SELECT w.seq, w.priority, w.tag, w.rows FROM postern.job w
              WHERE w.model = r.model AND w.version = r.version AND w.status = 'starting' AND w.not_before IS NULL AND w.suspicion < 2
              ORDER BY w.priority DESC, w.tag, w.seq LIMIT CASE WHEN r.version = '' THEN 0 ELSE v_look END)
          ) AS c JOIN postern.job j ON j.seq = c.seq
          WHERE c.rows <= r.capacity_rows AND j.status = 'starting' AND j.not_before IS NULL AND j.suspicion < 2
          ORDER BY c.priority DESC, c.tag, c.seq LIMIT v_most FOR UPDATE OF j SKIP LOCKED
        ) AS t;
      END IF;
      -- In order, until one does not fit: passing it over would let small jobs starve it.
      v_taken := '{}';
      v_room := r.max_rows;
      v_bytes := 0;
      FOR i IN 1..coalesce(cardinality(v_seqs), 0) LOOP
        EXIT WHEN v_rows[i] > v_room OR v_bytes >= p_max_bytes;
        v_taken := v_taken || v_seqs[i];
        v_room := v_room - v_rows[i];
        v_bytes := v_bytes + v_sizes[i];
      END LOOP;
      EXIT WHEN coalesce(cardinality(v_seqs), 0) >= v_most OR v_room = 0 OR cardinality(v_taken) < coalesce(cardinality(v_seqs), 0);
      SELECT coalesce(sum(CASE WHEN r.solo THEN l.solo_jobs ELSE l.waiting_rows END), 0) INTO v_left FROM postern.lane l
        WHERE l.model = r.model AND ((l.version = '' AND NOT r.named_only) OR (l.version = r.version AND r.version <> ''));
      EXIT WHEN v_left <= CASE WHEN r.solo THEN cardinality(v_taken) ELSE r.max_rows - v_room END;
    END LOOP;

    IF cardinality(v_taken) > 0 THEN
      INSERT INTO postern.session AS own VALUES (r.session, v_mono + r.lease_ms)
        ON CONFLICT (session) DO UPDATE SET lease_until = greatest(own.lease_until, excluded.lease_until);
      RETURN QUERY
      WITH taken AS (
        UPDATE postern.job j SET status = 'processing', started_at = v_now, attempt = j.attempt + 1, worker = r.worker,
          session = r.session, served_version = r.version, progress = NULL, due_at = j.deadline_at, claim = p_claim
        WHERE j.seq = ANY (v_taken) RETURNING j AS job
      ), lanes AS (
        INSERT INTO postern.lane AS own (model, version, slot, waiting_jobs, waiting_rows, solo_jobs, processing_jobs)
        SELECT (t.job).model, (t.job).version, p_slot, -count(*), CASE WHEN r.solo THEN 0 ELSE -sum((t.job).rows) END,
          CASE WHEN r.solo THEN -count(*) ELSE 0 END, count(*)
        FROM taken t GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (model, version, slot) DO UPDATE SET
          waiting_jobs = own.waiting_jobs + excluded.waiting_jobs, waiting_rows = own.waiting_rows + excluded.waiting_rows,
          solo_jobs = own.solo_jobs + excluded.solo_jobs, processing_jobs = own.processing_jobs + excluded.processing_jobs
      ), tags AS (
        INSERT INTO postern.served_tag AS own (model, priority, slot, period, tag)
        SELECT r.model, (t.job).priority, p_slot, (SELECT coalesce(max(b.period), 0) FROM postern.busy_period b WHERE b.model = r.model),
          max((t.job).tag)
        FROM taken t GROUP BY 2 ORDER BY 2
        ON CONFLICT (model, priority, slot) DO UPDATE SET period = excluded.period,
          tag = CASE WHEN own.period = excluded.period THEN greatest(own.tag, excluded.tag) ELSE excluded.tag END
      ), told AS (
        INSERT INTO postern.delivery AS d (id, job, caller, event, url, host, created_at, due_at, snapshot, output_bytes)
        SELECT 'msg_' || (t.job).id || '_start', (t.job).id, (t.job).caller, 'start', (t.job).webhook_url, (t.job).webhook_host,
          v_now, v_now, to_json(t.job), 0
        FROM taken t WHERE (t.job).webhook_events & 1 = 1 AND (t.job).attempt = 1
        ORDER BY (t.job).priority DESC, (t.job).tag, (t.job).seq
        ON CONFLICT DO NOTHING RETURNING 1
      ), totals AS (
        INSERT INTO postern.total AS own (slot, pending_deliveries) SELECT p_slot, count(*) FROM told HAVING count(*) > 0
        ON CONFLICT (slot) DO UPDATE SET pending_deliveries = own.pending_deliveries + excluded.pending_deliveries
      )
      SELECT r.n, 0::bigint, 0::bigint, t.job, i.bytes, i.blob FROM taken t LEFT JOIN postern.input i ON i.seq = (t.job).seq
      ORDER BY (t.job).priority DESC, (t.job).tag, (t.job).seq;
    END IF;

    SELECT coalesce(sum(l.waiting_rows), 0), coalesce(sum(l.solo_jobs), 0) INTO v_left, v_solo FROM postern.lane l
      WHERE l.model = r.model AND ((l.version = '' AND NOT r.named_only) OR (l.version = r.version AND r.version <> ''));
    RETURN QUERY SELECT r.n, v_left, v_solo, NULL::postern.job, NULL::bytea, NULL::text;
  END LOOP;
END $$;

-- ---- end: attempts and jobs that end, as `verdict.ts` ruled ----
-- An element changes its job only where that is still in the state that the ruling was made for: `from_status`, `attempt`, `session`,
-- and `cancel` where the ruling depends on it (NULL: it does not). `p_reclaim`: and only while its session's lease is over.
-- Answers with those that were changed, as they are now. An element is the only one of its job in a batch.
CREATE FUNCTION postern.end_1(
  p_rows json, p_bytes bytea, p_slot int, p_now bigint, p_mono bigint, p_reclaim boolean, p_wait_ttl_ms bigint, p_result_ttl_ms bigint,
  p_keyed_ttl_ms bigint, p_max_failed_bytes bigint, p_max_delivery_bytes bigint, p_max_outbox_bytes bigint
) RETURNS TABLE (n int, job postern.job)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  v_now bigint;
  v_mono bigint;
  v_room bigint;
  v_over bigint;
  v_row record;
BEGIN
  IF p_reclaim THEN
    -- A heartbeat that comes now waits, and finds nothing; one that came first has moved the lease.
    PERFORM 1 FROM postern.session s
      WHERE s.session IN (SELECT x.session FROM json_to_recordset(p_rows) AS x (session text)) ORDER BY s.session FOR UPDATE;
  END IF;
  v_now := postern.ms_1(p_now);
  v_mono := postern.ms_1(p_mono);
  SELECT p_max_outbox_bytes - coalesce(sum(t.delivery_bytes), 0) INTO v_room FROM postern.total t;

  RETURN QUERY
  WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(p_rows) AS x (
      n int, id text, from_status text, attempt int, session text, cancel boolean, status text, spent int, suspicion int, past text,
      delay_ms bigint, code text, message text, timings text, output_type text, output_bytes bigint, at int, blob text)
  ), held AS MATERIALIZED (
    SELECT g.*, j.seq, j.status AS old_status, j.not_before AS old_not_before, j.suspicion AS old_suspicion
    FROM given g JOIN postern.job j ON j.id = g.id
    WHERE j.status = g.from_status AND j.attempt = g.attempt AND (g.from_status = 'starting' OR j.session = g.session)
      AND (g.cancel IS NULL OR g.cancel = j.cancel_requested)
      AND (NOT p_reclaim OR EXISTS (SELECT 1 FROM postern.session s WHERE s.session = j.session AND s.lease_until <= v_mono))
    ORDER BY j.seq FOR UPDATE OF j
  ), changed AS (
    UPDATE postern.job j SET
      status = h.status,
      session = CASE WHEN h.status = 'starting' THEN NULL ELSE j.session END,
      progress = CASE WHEN h.status = 'starting' THEN NULL ELSE j.progress END,
      spent_attempts = coalesce(h.spent, j.spent_attempts),
      suspicion = coalesce(h.suspicion, j.suspicion),
      past_attempts = coalesce(h.past, j.past_attempts),
      not_before = CASE WHEN h.status = 'starting' AND h.delay_ms > 0 THEN v_now + h.delay_ms END,
      completed_at = CASE WHEN h.status <> 'starting' THEN v_now END,
      error_code = h.code,
      error_message = h.message,
      timings = h.timings,
      output_bytes = coalesce(h.output_bytes, 0),
      due_at = CASE
        WHEN h.status = 'starting' THEN least(j.deadline_at, j.created_at + p_wait_ttl_ms)
        WHEN j.idempotency_key IS NULL THEN v_now + p_result_ttl_ms
        ELSE v_now + p_keyed_ttl_ms END
    FROM held h WHERE j.seq = h.seq
    RETURNING h.n, h.old_status, h.old_not_before, h.old_suspicion, h.output_type, h.at, h.blob, j AS job
  ), decided AS MATERIALIZED (
    SELECT c.*,
      (c.job).status IN ('failed', 'aborted') AND NOT (c.job).cancel_requested AND p_max_failed_bytes > 0 AND (c.job).input_bytes <= p_max_failed_bytes AS keeps_input,
      (c.job).output_bytes <= p_max_delivery_bytes
        AND sum(CASE WHEN (c.job).webhook_events & 2 = 2 THEN (c.job).output_bytes ELSE 0 END) OVER (ORDER BY c.n) <= v_room AS carries
    FROM changed c WHERE (c.job).status <> 'starting'
  ), dropped AS (
    -- Nobody needs the input any more, unless the job is tried again; and it is the largest part.
    DELETE FROM postern.input i USING decided d WHERE i.seq = (d.job).seq AND NOT d.keeps_input RETURNING i.blob
  ), unnamed AS (
    INSERT INTO postern.unnamed_blob SELECT DISTINCT b.blob FROM dropped b WHERE b.blob IS NOT NULL ORDER BY 1 ON CONFLICT DO NOTHING
  ), kept AS (
    INSERT INTO postern.failed_input (job, bytes) SELECT (d.job).seq, (d.job).input_bytes FROM decided d WHERE d.keeps_input ORDER BY d.n
    RETURNING bytes
  ), outputs AS (
    INSERT INTO postern.output
    SELECT (d.job).seq, d.output_type, CASE WHEN d.blob IS NULL THEN substring(p_bytes FROM d.at + 1 FOR (d.job).output_bytes::int) END, d.blob
    FROM decided d WHERE d.output_type IS NOT NULL
  ), told AS (
    INSERT INTO postern.delivery (id, job, caller, event, url, host, created_at, due_at, snapshot, output_type, output_bytes, output, output_blob)
    SELECT 'msg_' || (d.job).id || '_completed', (d.job).id, (d.job).caller, 'completed', (d.job).webhook_url, (d.job).webhook_host,
      v_now, v_now, to_json(d.job), d.output_type, CASE WHEN d.carries THEN (d.job).output_bytes ELSE 0 END,
      CASE WHEN d.carries AND d.output_type IS NOT NULL AND d.blob IS NULL
        THEN substring(p_bytes FROM d.at + 1 FOR (d.job).output_bytes::int) END,
      CASE WHEN d.carries THEN d.blob END
    FROM decided d WHERE (d.job).webhook_events & 2 = 2 ORDER BY d.n
    ON CONFLICT DO NOTHING RETURNING output_bytes
  ), lanes AS (
    INSERT INTO postern.lane AS own (model, version, slot, waiting_jobs, waiting_rows, solo_jobs, processing_jobs)
    SELECT (c.job).model, (c.job).version, p_slot,
      count(*) FILTER (WHERE (c.job).status = 'starting') - count(*) FILTER (WHERE c.old_status = 'starting'),
      coalesce(sum((c.job).rows) FILTER (WHERE (c.job).status = 'starting' AND (c.job).not_before IS NULL AND (c.job).suspicion < 2), 0)
        - coalesce(sum((c.job).rows) FILTER (WHERE c.old_status = 'starting' AND c.old_not_before IS NULL AND c.old_suspicion < 2), 0),
      count(*) FILTER (WHERE (c.job).status = 'starting' AND (c.job).not_before IS NULL AND (c.job).suspicion >= 2)
        - count(*) FILTER (WHERE c.old_status = 'starting' AND c.old_not_before IS NULL AND c.old_suspicion >= 2),
      -count(*) FILTER (WHERE c.old_status = 'processing')
    FROM changed c GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (model, version, slot) DO UPDATE SET
      waiting_jobs = own.waiting_jobs + excluded.waiting_jobs, waiting_rows = own.waiting_rows + excluded.waiting_rows,
      solo_jobs = own.solo_jobs + excluded.solo_jobs, processing_jobs = own.processing_jobs + excluded.processing_jobs
  ), loads AS (
    INSERT INTO postern.caller_load AS own (caller, slot, undecided)
    SELECT (d.job).caller, p_slot, -count(*) FROM decided d WHERE (d.job).caller <> 'anonymous' GROUP BY 1 ORDER BY 1
    ON CONFLICT (caller, slot) DO UPDATE SET undecided = own.undecided + excluded.undecided
  ), totals AS (
    INSERT INTO postern.total AS own
      (slot, input_bytes, decided_jobs, output_bytes, failed_input_bytes, pending_deliveries, delivery_bytes)
    SELECT p_slot, -coalesce(sum((d.job).input_bytes), 0), count(*), coalesce(sum((d.job).output_bytes), 0),
      (SELECT coalesce(sum(k.bytes), 0) FROM kept k), (SELECT count(*) FROM told), (SELECT coalesce(sum(t.output_bytes), 0) FROM told t)
    FROM decided d HAVING count(*) > 0
    ON CONFLICT (slot) DO UPDATE SET input_bytes = own.input_bytes + excluded.input_bytes,
      decided_jobs = own.decided_jobs + excluded.decided_jobs, output_bytes = own.output_bytes + excluded.output_bytes,
      failed_input_bytes = own.failed_input_bytes + excluded.failed_input_bytes,
      pending_deliveries = own.pending_deliveries + excluded.pending_deliveries,
      delivery_bytes = own.delivery_bytes + excluded.delivery_bytes
  )
  SELECT c.n, c.job FROM changed c;

  -- Inputs of failed jobs beyond what may be kept: the oldest go.
  SELECT coalesce(sum(t.failed_input_bytes), 0) - p_max_failed_bytes INTO v_over FROM postern.total t;
  IF v_over > 0 THEN
    FOR v_row IN SELECT f.place, f.job, f.bytes FROM postern.failed_input f ORDER BY f.place LIMIT 1000 FOR UPDATE SKIP LOCKED LOOP
      EXIT WHEN v_over <= 0;
      v_over := v_over - v_row.bytes;
      WITH gone AS (DELETE FROM postern.failed_input f WHERE f.place = v_row.place RETURNING f.job, f.bytes),
        dropped AS (DELETE FROM postern.input i USING gone g WHERE i.seq = g.job RETURNING i.blob),
        unnamed AS (INSERT INTO postern.unnamed_blob SELECT b.blob FROM dropped b WHERE b.blob IS NOT NULL ON CONFLICT DO NOTHING)
      UPDATE postern.total t SET failed_input_bytes = t.failed_input_bytes - g.bytes FROM gone g WHERE t.slot = p_slot;
    END LOOP;
  END IF;
END $$;

-- ---- forget: decided jobs by age, by number and by bytes, the oldest first ----
CREATE FUNCTION postern.forget_1(p_limit int, p_slot int, p_now bigint, p_max_results bigint, p_max_bytes bigint) RETURNS int
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_now bigint := postern.ms_1(p_now);
  v_jobs bigint;
  v_bytes bigint;
  v_gone int;
BEGIN
  SELECT coalesce(sum(t.decided_jobs), 0) - p_max_results, coalesce(sum(t.output_bytes), 0) - p_max_bytes INTO v_jobs, v_bytes
    FROM postern.total t;
  WITH oldest AS (
    SELECT j.seq, j.due_at, row_number() OVER w AS place, sum(j.output_bytes) OVER w - j.output_bytes AS before
    FROM (
      SELECT k.seq, k.due_at, k.output_bytes FROM postern.job k
      WHERE k.completed_at IS NOT NULL AND (k.due_at <= v_now OR v_jobs > 0 OR v_bytes > 0)
      ORDER BY k.due_at, k.seq LIMIT p_limit
    ) AS j WINDOW w AS (ORDER BY j.due_at, j.seq)
  ), gone AS (
    DELETE FROM postern.job j USING oldest o
    WHERE j.seq = o.seq AND j.completed_at IS NOT NULL AND (o.due_at <= v_now OR o.place <= v_jobs OR o.before < v_bytes)
    RETURNING j.seq, j.output_bytes
  ), outputs AS (
    DELETE FROM postern.output p USING gone g WHERE p.seq = g.seq RETURNING p.blob
  ), kept AS (
    DELETE FROM postern.failed_input f USING gone g WHERE f.job = g.seq RETURNING f.job, f.bytes
  ), inputs AS (
    DELETE FROM postern.input i USING kept k WHERE i.seq = k.job RETURNING i.blob
  ), unnamed AS (
    INSERT INTO postern.unnamed_blob
    SELECT DISTINCT b.blob FROM (SELECT blob FROM outputs UNION ALL SELECT blob FROM inputs) AS b WHERE b.blob IS NOT NULL ORDER BY 1
    ON CONFLICT DO NOTHING
  ), totals AS (
    INSERT INTO postern.total AS own (slot, decided_jobs, output_bytes, failed_input_bytes)
    SELECT p_slot, -count(*), -coalesce(sum(g.output_bytes), 0), -(SELECT coalesce(sum(k.bytes), 0) FROM kept k)
    FROM gone g HAVING count(*) > 0
    ON CONFLICT (slot) DO UPDATE SET decided_jobs = own.decided_jobs + excluded.decided_jobs,
      output_bytes = own.output_bytes + excluded.output_bytes, failed_input_bytes = own.failed_input_bytes + excluded.failed_input_bytes
  )
  SELECT count(*) INTO v_gone FROM gone;
  RETURN v_gone;
END $$;

-- ---- pulse: before leases are looked at ----
-- The real clock, also in tests. Where nobody has looked for half a lease (the database was down or its clock jumped), workers had
-- nobody to tell that they live: every lease begins anew. Answers whether that happened.
CREATE FUNCTION postern.pulse_1(p_mono bigint, p_lease_ms bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v_real bigint := postern.ms_1(NULL);
  v_mono bigint := postern.ms_1(p_mono);
  v_before bigint;
BEGIN
  -- Not worth a flush: what is lost with it is one look.
  PERFORM set_config('synchronous_commit', 'off', true);
  SELECT p.swept_at INTO v_before FROM postern.pulse p FOR UPDATE;
  UPDATE postern.pulse SET swept_at = v_real;
  IF v_before IS NULL OR v_real - v_before BETWEEN -1000 AND p_lease_ms / 2 THEN
    RETURN false;
  END IF;
  UPDATE postern.session SET lease_until = v_mono + p_lease_ms;
  RETURN true;
END $$;

-- ---- writers ----
-- Makes every claim void that this writer has under way: those that have begun are waited for, others find a newer epoch.
CREATE FUNCTION postern.fence_1(p_writer bigint, p_lock_space int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_epoch bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(p_lock_space, hashint8(p_writer));
  INSERT INTO postern.writer AS w (id, epoch) VALUES (p_writer, 1) ON CONFLICT (id) DO UPDATE SET epoch = w.epoch + 1
    RETURNING epoch INTO v_epoch;
  RETURN v_epoch;
END $$;

-- ---- the outbox ----
-- Takes what is due: of each host no more than its room, the hosts in the given order.
CREATE FUNCTION postern.claim_deliveries_1(p_hosts text[], p_rooms int[], p_limit int, p_lease_ms bigint, p_now bigint)
RETURNS SETOF postern.delivery LANGUAGE plpgsql SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_now bigint := postern.ms_1(p_now);
  v_left int := p_limit;
  v_got int;
BEGIN
  FOR i IN 1..coalesce(cardinality(p_hosts), 0) LOOP
    EXIT WHEN v_left <= 0;
    RETURN QUERY
    WITH due AS (
      SELECT d.seq FROM postern.delivery d WHERE d.status = 'pending' AND d.host = p_hosts[i] AND d.due_at <= v_now
      ORDER BY d.due_at, d.seq LIMIT least(p_rooms[i], v_left) FOR UPDATE SKIP LOCKED
    ), taken AS (
      UPDATE postern.delivery d SET attempt = d.attempt + 1, due_at = v_now + p_lease_ms FROM due WHERE d.seq = due.seq RETURNING d.*
    )
    SELECT * FROM taken t ORDER BY t.seq;
    GET DIAGNOSTICS v_got = ROW_COUNT;
    v_left := v_left - v_got;
  END LOOP;
END $$;

-- What became of attempts; the numbers of those that were still theirs to end.
CREATE FUNCTION postern.end_deliveries_1(p_rows json, p_slot int, p_now bigint, p_delivered_ttl_ms bigint, p_failed_ttl_ms bigint)
RETURNS SETOF int LANGUAGE plpgsql SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_now bigint := postern.ms_1(p_now);
BEGIN
  RETURN QUERY
  WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(p_rows) AS x (n int, id text, attempt int, status text, due_at bigint, answer int, reason text)
  ), held AS MATERIALIZED (
    SELECT g.*, d.seq, d.output_bytes AS old_bytes, d.output_blob AS old_blob FROM given g JOIN postern.delivery d ON d.id = g.id
    WHERE d.status = 'pending' AND d.attempt = g.attempt ORDER BY d.seq FOR UPDATE OF d
  ), ended AS (
    UPDATE postern.delivery d SET
      status = h.status,
      answer = h.answer,
      reason = h.reason,
      due_at = CASE h.status WHEN 'pending' THEN h.due_at WHEN 'delivered' THEN v_now + p_delivered_ttl_ms ELSE v_now + p_failed_ttl_ms END,
      ended_at = CASE WHEN h.status <> 'pending' THEN v_now END,
      snapshot = CASE WHEN h.status <> 'delivered' THEN d.snapshot END,
      output = CASE WHEN h.status <> 'delivered' THEN d.output END,
      output_blob = CASE WHEN h.status <> 'delivered' THEN d.output_blob END,
      output_bytes = CASE WHEN h.status <> 'delivered' THEN d.output_bytes ELSE 0 END
    FROM held h WHERE d.seq = h.seq
    RETURNING h.n, h.status, h.old_bytes, h.old_blob
  ), unnamed AS (
    INSERT INTO postern.unnamed_blob
    SELECT DISTINCT e.old_blob FROM ended e WHERE e.status = 'delivered' AND e.old_blob IS NOT NULL ORDER BY 1 ON CONFLICT DO NOTHING
  ), totals AS (
    INSERT INTO postern.total AS own (slot, pending_deliveries, delivery_bytes)
    SELECT p_slot, -count(*), -coalesce(sum(e.old_bytes) FILTER (WHERE e.status = 'delivered'), 0) FROM ended e
    WHERE e.status <> 'pending' HAVING count(*) > 0
    ON CONFLICT (slot) DO UPDATE SET pending_deliveries = own.pending_deliveries + excluded.pending_deliveries,
      delivery_bytes = own.delivery_bytes + excluded.delivery_bytes
  )
  SELECT e.n FROM ended e;
END $$;

CREATE FUNCTION postern.retry_delivery_1(p_id text, p_slot int, p_now bigint) RETURNS SETOF postern.delivery
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
  RETURN QUERY
  WITH again AS (
    UPDATE postern.delivery d SET status = 'pending', attempt = 0, due_at = postern.ms_1(p_now), ended_at = NULL, answer = NULL, reason = NULL
    WHERE d.id = p_id AND d.status = 'failed' RETURNING d.*
  ), totals AS (
    INSERT INTO postern.total AS own (slot, pending_deliveries) SELECT p_slot, count(*) FROM again HAVING count(*) > 0
    ON CONFLICT (slot) DO UPDATE SET pending_deliveries = own.pending_deliveries + excluded.pending_deliveries
  )
  SELECT * FROM again;
END $$;

-- Those that are over and whose time is over, and the oldest of too many.
CREATE FUNCTION postern.forget_deliveries_1(p_limit int, p_slot int, p_now bigint, p_max_ended bigint) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_now bigint := postern.ms_1(p_now);
  v_over bigint := 0;
BEGIN
  -- Counted no further than is worth knowing.
  SELECT count(*) - p_max_ended INTO v_over
    FROM (SELECT 1 FROM postern.delivery d WHERE d.status <> 'pending' LIMIT p_max_ended + p_limit) AS c;
  WITH oldest AS (
    SELECT o.seq, o.due_at, row_number() OVER (ORDER BY o.due_at, o.seq) AS place FROM (
      SELECT d.seq, d.due_at FROM postern.delivery d WHERE d.status <> 'pending' AND (d.due_at <= v_now OR v_over > 0)
      ORDER BY d.due_at, d.seq LIMIT p_limit
    ) AS o
  ), gone AS (
    DELETE FROM postern.delivery d USING oldest o
    WHERE d.seq = o.seq AND d.status <> 'pending' AND (o.due_at <= v_now OR o.place <= v_over)
    RETURNING d.output_bytes, d.output_blob
  ), unnamed AS (
    INSERT INTO postern.unnamed_blob SELECT DISTINCT g.output_blob FROM gone g WHERE g.output_blob IS NOT NULL ORDER BY 1
    ON CONFLICT DO NOTHING
  )
  INSERT INTO postern.total AS own (slot, delivery_bytes)
    SELECT p_slot, -sum(g.output_bytes) FROM gone g HAVING sum(g.output_bytes) > 0
    ON CONFLICT (slot) DO UPDATE SET delivery_bytes = own.delivery_bytes + excluded.delivery_bytes;
END $$;

-- ---- tidying: what has no influence any more ----
CREATE FUNCTION postern.tidy_1() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- A caller whose next tag is not ahead of what is served now would get the served tag anyway.
  WITH now AS (
    SELECT b.model, max(b.period) AS period FROM postern.busy_period b GROUP BY b.model
  ), old AS (
    SELECT t.ctid AS place FROM postern.next_tag t JOIN now n ON n.model = t.model
    WHERE t.period < n.period OR t.tag <= (SELECT coalesce(max(s.tag), 0) FROM postern.served_tag s
      WHERE s.model = t.model AND s.priority = t.priority AND s.period = n.period)
    LIMIT 10000 FOR UPDATE OF t SKIP LOCKED
  )
  DELETE FROM postern.next_tag t USING old WHERE t.ctid = old.place;
  -- A caller who has nothing undecided: all rows at once, or the sum would change.
  WITH idle AS (
    SELECT c.caller, count(*) AS slots FROM postern.caller_load c GROUP BY c.caller HAVING sum(c.undecided) = 0 LIMIT 1000
  ), held AS (
    SELECT c.caller, c.slot, c.undecided FROM postern.caller_load c WHERE c.caller IN (SELECT i.caller FROM idle i) FOR UPDATE SKIP LOCKED
  ), whole AS (
    SELECT h.caller FROM held h JOIN idle i USING (caller) GROUP BY h.caller, i.slots HAVING count(*) = i.slots AND sum(h.undecided) = 0
  )
  DELETE FROM postern.caller_load c USING held h JOIN whole w USING (caller) WHERE c.caller = h.caller AND c.slot = h.slot;
END $$;
