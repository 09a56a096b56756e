-- Files that callers uploaded, for gateways that share a bucket too: their bytes are blobs there. Times are epoch ms of the database's clock.
--
-- A row names its blob before the blob is put, so that no gateway that clears up takes it for unused: see store/files.ts.

CREATE TABLE postern.file (
  id           text COLLATE "C" PRIMARY KEY,         -- sorts by the time of its making
  caller       text COLLATE "C" NOT NULL,
  name         text    NOT NULL,                     -- a JSON text: PostgreSQL keeps no zeros, and names may have them
  content_type text    NOT NULL,
  bytes        bigint  NOT NULL,
  blob         text COLLATE "C" NOT NULL,            -- SHA-256 of the content
  md5          text    NOT NULL,
  metadata     text    NOT NULL,                     -- JSON
  is_kept      boolean NOT NULL DEFAULT false,       -- false: its blob is on its way
  created_at   bigint  NOT NULL,
  expires_at   bigint  NOT NULL
);
CREATE INDEX file_caller ON postern.file (caller, id);
CREATE INDEX file_expiry ON postern.file (expires_at);
CREATE INDEX file_blob ON postern.file (blob);
-- What a caller's files are together, those that arrive included. Whoever changes it holds the lock of the files.
CREATE TABLE postern.file_load (
  caller text COLLATE "C" PRIMARY KEY,
  files  bigint NOT NULL,
  bytes  bigint NOT NULL
);
-- Blobs that lost a name. Another file may have the same: that is asked before one is removed.
CREATE TABLE postern.unnamed_file_blob (key text COLLATE "C" PRIMARY KEY);

-- Uploads are rare, so that one after the other takes the lock, and bounds are exact over all gateways. The answer says what is full, or
-- is NULL. Asked again, because an answer was lost, it changes nothing.
CREATE FUNCTION postern.file_arrives_1(
  p_file json, p_max_bytes bigint, p_max_caller_bytes bigint, p_max_caller_files bigint, p_arrival_ms bigint, p_now bigint,
  p_lock_space int, p_lock int
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_now   bigint;
  v_file  postern.file := json_populate_record(NULL::postern.file, p_file);
  v_all   bigint;
  v_bytes bigint;
  v_files bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(p_lock_space, p_lock);
  IF EXISTS (SELECT 1 FROM postern.file WHERE id = v_file.id) THEN
    RETURN NULL;
  END IF;
  SELECT coalesce(sum(bytes), 0), coalesce(sum(bytes) FILTER (WHERE caller = v_file.caller), 0),
         coalesce(sum(files) FILTER (WHERE caller = v_file.caller), 0)
    INTO v_all, v_bytes, v_files FROM postern.file_load;
  IF v_bytes + v_file.bytes > p_max_caller_bytes OR v_files >= p_max_caller_files THEN
    RETURN 'caller';
  END IF;
  IF v_all + v_file.bytes > p_max_bytes THEN
    RETURN 'place';
  END IF;
  v_now := postern.ms_1(p_now);
  INSERT INTO postern.file (id, caller, name, content_type, bytes, blob, md5, metadata, created_at, expires_at)
    VALUES (v_file.id, v_file.caller, v_file.name, v_file.content_type, v_file.bytes, v_file.blob, v_file.md5, v_file.metadata,
            v_now, v_now + p_arrival_ms);
  INSERT INTO postern.file_load AS own (caller, files, bytes) VALUES (v_file.caller, 1, v_file.bytes)
    ON CONFLICT (caller) DO UPDATE SET files = own.files + 1, bytes = own.bytes + excluded.bytes;
  RETURN NULL;
END $$;

-- Removes the file `p_id`, or, where that is NULL, those whose time is over. Returns how many.
CREATE FUNCTION postern.file_ends_1(p_id text, p_limit int, p_now bigint, p_lock_space int, p_lock int) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  v_now   bigint;
  v_count bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(p_lock_space, p_lock);
  v_now := postern.ms_1(p_now);
  WITH due AS (
    SELECT f.id FROM postern.file f WHERE f.id = p_id
    UNION ALL
    (SELECT f.id FROM postern.file f WHERE p_id IS NULL AND f.expires_at <= v_now ORDER BY f.expires_at LIMIT p_limit)
  ), gone AS (
    -- One that is kept in this very moment has another end by then, and stays.
    DELETE FROM postern.file f USING due WHERE f.id = due.id AND (p_id IS NOT NULL OR f.expires_at <= v_now)
    RETURNING f.caller, f.bytes, f.blob
  ), less AS (
    UPDATE postern.file_load l SET files = l.files - g.files, bytes = l.bytes - g.bytes
    FROM (SELECT gone.caller, count(*) AS files, sum(gone.bytes) AS bytes FROM gone GROUP BY gone.caller) g WHERE l.caller = g.caller
  ), noted AS (
    INSERT INTO postern.unnamed_file_blob (key) SELECT DISTINCT gone.blob FROM gone ON CONFLICT DO NOTHING
  )
  SELECT count(*) INTO v_count FROM gone;
  DELETE FROM postern.file_load WHERE files <= 0;
  RETURN v_count;
END $$;
