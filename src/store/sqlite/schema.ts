/**
 * The tables, as numbered steps that only go forward: `user_version` says how many have been taken. A file that a newer
 * Postern has moved on is refused; nothing is ever undone.
 *
 * `job` is the hot table: small rows, no payloads. A job is waiting (`status` starting), running (processing) or decided
 * (`completed_at` set), and each place has a partial index of its own, so that a million waiting jobs cost a decided one nothing.
 */
export const APPLICATION_ID = 0x504f5354; // "POST"

/**
 * The three places of a waiting job, as the partial indexes say them (word for word, or they are not used): in line; among
 * those that are run alone (2: `SUSPECT_FROM` of the verdict); out of line until a time.
 */
export const IN_LINE = "job.status = 'starting' AND job.not_before IS NULL AND job.suspicion < 2";
export const SOLO = "job.status = 'starting' AND job.not_before IS NULL AND job.suspicion >= 2";
export const DEFERRED = "job.status = 'starting' AND job.not_before IS NOT NULL";

export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE job (
    seq               INTEGER PRIMARY KEY,      -- the order of acceptance; never used twice
    id                TEXT    NOT NULL UNIQUE,
    model             TEXT    NOT NULL,
    version           TEXT    NOT NULL,         -- '': any
    content_type      TEXT    NOT NULL,         -- of the input
    parameters        TEXT    NOT NULL,         -- JSON
    rows              INTEGER NOT NULL,
    priority          INTEGER NOT NULL,
    tag               INTEGER NOT NULL,         -- start tag of fair queueing: the order is (priority, tag, seq)
    caller            TEXT    NOT NULL,
    deadline_at       INTEGER,                  -- times are epoch ms
    idempotency_key   TEXT,
    digest            TEXT,                     -- of the body; only beside an idempotency key
    input_bytes       INTEGER NOT NULL,
    status            TEXT    NOT NULL CHECK (status IN ('starting', 'processing', 'succeeded', 'failed', 'canceled', 'aborted')),
    created_at        INTEGER NOT NULL,
    started_at        INTEGER,
    completed_at      INTEGER,
    attempt           INTEGER NOT NULL DEFAULT 0,
    spent_attempts    INTEGER NOT NULL DEFAULT 0,
    lost              TEXT,                     -- JSON: how earlier attempts were lost
    worker            TEXT,
    session           TEXT,
    served_version    TEXT,
    progress          TEXT,                     -- JSON
    cancel_requested  INTEGER NOT NULL DEFAULT 0,
    error_code        TEXT,
    error_message     TEXT,
    timings           TEXT,                     -- JSON
    output_bytes      INTEGER NOT NULL DEFAULT 0,
    due_at            INTEGER                   -- alive: when it expires; decided: when it is forgotten
  ) STRICT;
  CREATE INDEX job_waiting ON job (model, version, priority DESC, tag, seq) WHERE status = 'starting';
  CREATE INDEX job_held ON job (session, cancel_requested) WHERE status = 'processing';
  CREATE INDEX job_expiring ON job (due_at) WHERE completed_at IS NULL AND due_at IS NOT NULL;
  CREATE INDEX job_kept ON job (due_at) WHERE completed_at IS NOT NULL;
  CREATE UNIQUE INDEX job_key ON job (caller, idempotency_key) WHERE idempotency_key IS NOT NULL;

  -- Payloads, outside the hot table: small ones here, larger ones in a blob that the row names.
  CREATE TABLE input (
    seq   INTEGER PRIMARY KEY REFERENCES job (seq) ON DELETE CASCADE,
    bytes BLOB,
    blob  TEXT
  ) STRICT;
  CREATE INDEX input_blob ON input (blob) WHERE blob IS NOT NULL;
  CREATE TABLE output (
    seq          INTEGER PRIMARY KEY REFERENCES job (seq) ON DELETE CASCADE,
    content_type TEXT NOT NULL,
    bytes        BLOB,
    blob         TEXT
  ) STRICT;
  CREATE INDEX output_blob ON output (blob) WHERE blob IS NOT NULL;

  -- Blobs that a row no longer names. Another row may: that is asked before one is removed.
  CREATE TABLE unnamed_blob (key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
  CREATE TRIGGER input_unnamed AFTER DELETE ON input WHEN old.blob IS NOT NULL
    BEGIN INSERT OR IGNORE INTO unnamed_blob VALUES (old.blob); END;
  CREATE TRIGGER output_unnamed AFTER DELETE ON output WHEN old.blob IS NOT NULL
    BEGIN INSERT OR IGNORE INTO unnamed_blob VALUES (old.blob); END;

  -- Sums, kept beside what they sum up: counting a million rows would take longer than everything else.
  CREATE TABLE lane (
    model           TEXT    NOT NULL,
    version         TEXT    NOT NULL,           -- as jobs ask for it
    waiting_jobs    INTEGER NOT NULL,
    waiting_rows    INTEGER NOT NULL,
    processing_jobs INTEGER NOT NULL,
    PRIMARY KEY (model, version)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE total (
    one          INTEGER PRIMARY KEY CHECK (one = 1),
    next_seq     INTEGER NOT NULL,
    input_bytes  INTEGER NOT NULL,              -- of jobs that are not decided
    decided_jobs INTEGER NOT NULL,
    output_bytes INTEGER NOT NULL
  ) STRICT;
  INSERT INTO total VALUES (1, 1, 0, 0, 0);

  -- Heartbeats of sessions on a process that does not sweep: see leases.ts.
  CREATE TABLE beat (session TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID;

  -- Fair queueing: the tag that is served now, and each caller's next one.
  CREATE TABLE served_tag (
    model    TEXT    NOT NULL,
    priority INTEGER NOT NULL,
    tag      INTEGER NOT NULL,
    PRIMARY KEY (model, priority)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE next_tag (
    model    TEXT    NOT NULL,
    priority INTEGER NOT NULL,
    caller   TEXT    NOT NULL,
    tag      INTEGER NOT NULL,
    PRIMARY KEY (model, priority, caller)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- What belongs to whom. Only of callers with a key: all others are one caller, who has no quota and no list of their own.
  CREATE INDEX job_caller ON job (caller, seq) WHERE caller <> 'anonymous';
  CREATE TABLE caller_load (caller TEXT PRIMARY KEY, undecided_jobs INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  INSERT INTO caller_load
    SELECT caller, count(*) FROM job WHERE completed_at IS NULL AND caller <> 'anonymous' GROUP BY caller;
  `,
  // Attempts that wait for their time, and jobs that are run alone.
  `
  ALTER TABLE job ADD COLUMN not_before INTEGER;                      -- epoch ms; NULL: it may be tried now
  ALTER TABLE job ADD COLUMN suspicion  INTEGER NOT NULL DEFAULT 0;   -- see verdict.ts
  ALTER TABLE job RENAME COLUMN lost TO past_attempts;
  UPDATE job SET past_attempts = NULL;
  DROP INDEX job_waiting;
  CREATE INDEX job_waiting ON job (model, version, priority DESC, tag, seq)
    WHERE status = 'starting' AND not_before IS NULL AND suspicion < 2;
  CREATE INDEX job_solo ON job (model, version, priority DESC, tag, seq)
    WHERE status = 'starting' AND not_before IS NULL AND suspicion >= 2;
  CREATE INDEX job_deferred ON job (not_before) WHERE status = 'starting' AND not_before IS NOT NULL;
  ALTER TABLE lane ADD COLUMN solo_jobs INTEGER NOT NULL DEFAULT 0;   -- waiting, and not deferred
  `,
  `
  ALTER TABLE job ADD COLUMN webhook TEXT;      -- JSON

  -- The outbox: what callers are to be told, with all that is to be sent, because the job may be forgotten before.
  CREATE TABLE delivery (
    seq          INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,       -- of the job and the event: the same at every attempt
    job          TEXT    NOT NULL,
    caller       TEXT    NOT NULL,
    event        TEXT    NOT NULL,
    url          TEXT    NOT NULL,
    host         TEXT    NOT NULL,
    status       TEXT    NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempt      INTEGER NOT NULL DEFAULT 0,
    created_at   INTEGER NOT NULL,
    due_at       INTEGER NOT NULL,              -- pending: when it is tried next; ended: when it is forgotten
    ended_at     INTEGER,
    answer       INTEGER,                       -- HTTP status of the latest attempt
    reason       TEXT,                          -- why it did not succeed
    snapshot     TEXT,                          -- JSON: the job's row as it stood
    output_type  TEXT,
    output_bytes INTEGER NOT NULL,              -- kept here
    output       BLOB,
    output_blob  TEXT
  ) STRICT;
  CREATE INDEX delivery_due ON delivery (host, due_at, seq) WHERE status = 'pending';
  CREATE INDEX delivery_ended ON delivery (due_at, seq) WHERE status <> 'pending';
  CREATE INDEX delivery_job ON delivery (job);
  CREATE INDEX delivery_blob ON delivery (output_blob) WHERE output_blob IS NOT NULL;

  CREATE TABLE delivery_total (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    pending INTEGER NOT NULL,
    ended   INTEGER NOT NULL,
    bytes   INTEGER NOT NULL                    -- of outputs that are kept
  ) STRICT;
  INSERT INTO delivery_total VALUES (1, 0, 0, 0);
  CREATE TRIGGER delivery_added AFTER INSERT ON delivery
    BEGIN UPDATE delivery_total SET pending = pending + 1, bytes = bytes + new.output_bytes; END;
  CREATE TRIGGER delivery_changed AFTER UPDATE OF status ON delivery
    BEGIN UPDATE delivery_total SET
      pending = pending + (new.status = 'pending') - (old.status = 'pending'),
      ended = ended + (new.status <> 'pending') - (old.status <> 'pending'),
      bytes = bytes + new.output_bytes - old.output_bytes; END;
  CREATE TRIGGER delivery_removed AFTER DELETE ON delivery
    BEGIN UPDATE delivery_total SET
      pending = pending - (old.status = 'pending'), ended = ended - (old.status <> 'pending'), bytes = bytes - old.output_bytes; END;
  CREATE TRIGGER delivery_emptied AFTER UPDATE OF output_blob ON delivery WHEN old.output_blob IS NOT NULL AND new.output_blob IS NULL
    BEGIN INSERT OR IGNORE INTO unnamed_blob VALUES (old.output_blob); END;
  CREATE TRIGGER delivery_unnamed AFTER DELETE ON delivery WHEN old.output_blob IS NOT NULL
    BEGIN INSERT OR IGNORE INTO unnamed_blob VALUES (old.output_blob); END;
  `,
  `
  -- Models that were announced: see known-models.ts of the port.
  CREATE TABLE known_model (
    name         TEXT    PRIMARY KEY,
    report       TEXT    NOT NULL,
    versions     TEXT    NOT NULL,              -- JSON
    last_seen_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  -- Written to see whether writing works.
  CREATE TABLE probe (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL) STRICT;
  INSERT INTO probe VALUES (1, 0);
  `,
  `
  -- Jobs that failed and whose input is still there, in the order in which they failed.
  CREATE TABLE failed_input (
    place INTEGER PRIMARY KEY,
    job   INTEGER NOT NULL UNIQUE REFERENCES job (seq) ON DELETE CASCADE,
    bytes INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE failed_input_total (one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL) STRICT;
  INSERT INTO failed_input_total VALUES (1, 0);
  CREATE TRIGGER failed_input_added AFTER INSERT ON failed_input
    BEGIN UPDATE failed_input_total SET bytes = bytes + new.bytes; END;
  CREATE TRIGGER failed_input_removed AFTER DELETE ON failed_input
    BEGIN UPDATE failed_input_total SET bytes = bytes - old.bytes; END;
  `,
];

/**
 * The fewest steps that a release must know to work on a store with all of these. A step that only adds leaves it as it is. One that takes
 * away or renames what older releases use raises it to its own number: those can then not be rolled back to.
 */
export const OLDEST_STEPS = 5;
