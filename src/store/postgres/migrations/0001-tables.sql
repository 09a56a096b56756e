-- The tables. `job` is the hot one: small rows, no payloads. A job is waiting (`status` starting), running (processing) or decided
-- (`completed_at` set), and each place has a partial index of its own, so that a million decided jobs cost a waiting one nothing.
--
-- Times are epoch ms of the database's clock. Texts that come from outside compare by their bytes.
--
-- Sums have slots: every connection that writes has one of a few, adds to its own row, and readers add the rows up. So two
-- gateways never wait for each other's commit because both of them count.

CREATE TABLE postern.job (
  seq             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- about the order of acceptance; never used twice
  id              text COLLATE "C" NOT NULL UNIQUE,
  model           text COLLATE "C" NOT NULL,
  version         text COLLATE "C" NOT NULL,         -- '': any
  content_type    text    NOT NULL,                  -- of the input
  parameters      text    NOT NULL,                  -- JSON
  rows            integer NOT NULL,
  priority        integer NOT NULL,
  tag             bigint  NOT NULL,                  -- start tag of fair queueing: the order is (priority, tag, seq)
  caller          text COLLATE "C" NOT NULL,
  deadline_at     bigint,
  idempotency_key text COLLATE "C",
  digest          text,                              -- of the body; only beside an idempotency key
  webhook         text,                              -- JSON
  webhook_url     text,
  webhook_host    text,
  webhook_events  smallint NOT NULL DEFAULT 0,       -- 1: start, 2: completed
  input_bytes     bigint  NOT NULL,
  status          text    NOT NULL DEFAULT 'starting'
                  CHECK (status IN ('starting', 'processing', 'succeeded', 'failed', 'canceled', 'aborted')),
  created_at      bigint  NOT NULL,
  started_at      bigint,
  completed_at    bigint,
  attempt         integer NOT NULL DEFAULT 0,
  spent_attempts  integer NOT NULL DEFAULT 0,
  suspicion       integer NOT NULL DEFAULT 0,        -- see verdict.ts
  past_attempts   text,                              -- JSON
  not_before      bigint,                            -- of its next attempt; NULL: it may be tried now
  worker          text,
  session         text COLLATE "C",
  served_version  text,
  claim           bigint,                            -- which claim took it: to take back one whose answer was lost
  progress        text,                              -- JSON
  cancel_requested boolean NOT NULL DEFAULT false,
  error_code      text,
  error_message   text,
  timings         text,                              -- JSON
  output_bytes    bigint  NOT NULL DEFAULT 0,
  due_at          bigint                             -- alive: when it expires; decided: when it is forgotten
) WITH (
  -- Every job is written three times: room on the page for the next version, and a vacuum that comes early and does not pause.
  fillfactor = 70,
  autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
  autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 2000
);
CREATE INDEX job_line ON postern.job (model, version, priority DESC, tag, seq) INCLUDE (rows)
  WHERE status = 'starting' AND not_before IS NULL AND suspicion < 2;
CREATE INDEX job_solo ON postern.job (model, version, priority DESC, tag, seq) INCLUDE (rows)
  WHERE status = 'starting' AND not_before IS NULL AND suspicion >= 2;
CREATE INDEX job_deferred ON postern.job (not_before) WHERE status = 'starting' AND not_before IS NOT NULL;
CREATE INDEX job_held ON postern.job (session) WHERE status = 'processing';
CREATE INDEX job_expiring ON postern.job (due_at) WHERE completed_at IS NULL AND due_at IS NOT NULL;
CREATE INDEX job_kept ON postern.job (due_at) WHERE completed_at IS NOT NULL;
CREATE UNIQUE INDEX job_key ON postern.job (caller, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX job_caller ON postern.job (caller, seq) WHERE caller <> 'anonymous';

-- Payloads, outside the hot table: here, or in a blob that the row names. No foreign keys: whoever removes a job removes them, in
-- the same statement, and a trigger for each row would cost more than the row.
CREATE TABLE postern.input (seq bigint PRIMARY KEY, bytes bytea, blob text COLLATE "C")
  WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX input_blob ON postern.input (blob) WHERE blob IS NOT NULL;
CREATE TABLE postern.output (seq bigint PRIMARY KEY, content_type text NOT NULL, bytes bytea, blob text COLLATE "C");
CREATE INDEX output_blob ON postern.output (blob) WHERE blob IS NOT NULL;
-- Photos and the like are compressed already.
ALTER TABLE postern.input ALTER COLUMN bytes SET STORAGE EXTERNAL;
ALTER TABLE postern.output ALTER COLUMN bytes SET STORAGE EXTERNAL;
-- Blobs that a row no longer names. Another row may: that is asked before one is removed.
CREATE TABLE postern.unnamed_blob (key text COLLATE "C" PRIMARY KEY);
-- Inputs of jobs that failed, in the order in which they failed: kept for another try, up to so many bytes.
CREATE TABLE postern.failed_input (
  place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job   bigint NOT NULL UNIQUE,
  bytes bigint NOT NULL
);

-- ---- sums, by slot ----

CREATE TABLE postern.lane (
  model           text COLLATE "C" NOT NULL,
  version         text COLLATE "C" NOT NULL,         -- as jobs ask for it
  slot            smallint NOT NULL,
  waiting_jobs    bigint NOT NULL DEFAULT 0,         -- all that wait
  waiting_rows    bigint NOT NULL DEFAULT 0,         -- of those in line
  solo_jobs       bigint NOT NULL DEFAULT 0,         -- waiting, and not deferred
  processing_jobs bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (model, version, slot)
) WITH (fillfactor = 30, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE postern.total (
  slot               smallint PRIMARY KEY,
  input_bytes        bigint NOT NULL DEFAULT 0,      -- of jobs that are not decided
  decided_jobs       bigint NOT NULL DEFAULT 0,
  output_bytes       bigint NOT NULL DEFAULT 0,
  failed_input_bytes bigint NOT NULL DEFAULT 0,
  pending_deliveries bigint NOT NULL DEFAULT 0,
  delivery_bytes     bigint NOT NULL DEFAULT 0       -- of outputs that are kept for them
) WITH (fillfactor = 30, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
-- Undecided jobs of callers with a key, for quotas.
CREATE TABLE postern.caller_load (
  caller    text COLLATE "C" NOT NULL,
  slot      smallint NOT NULL,
  undecided bigint NOT NULL,
  PRIMARY KEY (caller, slot)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

-- ---- fair queueing: the rule is in memory-queue.ts ----

-- The present busy period of a model is the largest of its slots; an empty queue begins the next one, in which nobody is ahead of anybody.
-- What was noted in an earlier period counts for nothing, so that beginning one changes one row.
CREATE TABLE postern.busy_period (
  model  text COLLATE "C" NOT NULL,
  slot   smallint NOT NULL,
  period bigint NOT NULL,
  PRIMARY KEY (model, slot)
) WITH (fillfactor = 30, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE postern.served_tag (
  model    text COLLATE "C" NOT NULL,
  priority integer NOT NULL,
  slot     smallint NOT NULL,
  period   bigint NOT NULL,
  tag      bigint NOT NULL,                          -- the largest that was taken
  PRIMARY KEY (model, priority, slot)
) WITH (fillfactor = 30, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE postern.next_tag (
  model    text COLLATE "C" NOT NULL,
  priority integer NOT NULL,
  caller   text COLLATE "C" NOT NULL,
  slot     smallint NOT NULL,
  period   bigint NOT NULL,
  tag      bigint NOT NULL,
  PRIMARY KEY (model, priority, caller, slot)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

-- ---- who holds what, and who writes ----

CREATE TABLE postern.session (session text COLLATE "C" PRIMARY KEY, lease_until bigint NOT NULL)
  WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
-- Connections that claim. A claim carries its writer's epoch; a new one makes all claims of an older one void that are still under way.
CREATE TABLE postern.writer (id bigint PRIMARY KEY, epoch bigint NOT NULL, since timestamptz NOT NULL DEFAULT now());
-- When leases were looked at last: time in which nobody could look is not counted against them.
CREATE TABLE postern.pulse (one boolean PRIMARY KEY DEFAULT true CHECK (one), swept_at bigint) WITH (fillfactor = 30);
INSERT INTO postern.pulse DEFAULT VALUES;
-- Written to see whether writing works.
CREATE TABLE postern.probe (one boolean PRIMARY KEY DEFAULT true CHECK (one), count bigint NOT NULL DEFAULT 0) WITH (fillfactor = 30);
INSERT INTO postern.probe DEFAULT VALUES;

-- ---- the outbox ----

-- What callers are to be told, with all that is to be sent, because the job may be forgotten before.
CREATE TABLE postern.delivery (
  seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id           text COLLATE "C" NOT NULL UNIQUE,     -- of the job and the event: the same at every attempt
  job          text COLLATE "C" NOT NULL,
  caller       text COLLATE "C" NOT NULL,
  event        text    NOT NULL,
  url          text    NOT NULL,
  host         text COLLATE "C" NOT NULL,
  status       text    NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
  attempt      integer NOT NULL DEFAULT 0,
  created_at   bigint  NOT NULL,
  due_at       bigint  NOT NULL,                     -- pending: when it is tried next; ended: when it is forgotten
  ended_at     bigint,
  answer       integer,                              -- HTTP status of the latest attempt
  reason       text,                                 -- why it did not succeed
  snapshot     json,                                 -- the job's row as it stood
  output_type  text,
  output_bytes bigint  NOT NULL,                     -- kept here
  output       bytea,
  output_blob  text COLLATE "C"
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX delivery_due ON postern.delivery (host, due_at, seq) WHERE status = 'pending';
CREATE INDEX delivery_ended ON postern.delivery (due_at, seq) WHERE status <> 'pending';
CREATE INDEX delivery_job ON postern.delivery (job);
CREATE INDEX delivery_blob ON postern.delivery (output_blob) WHERE output_blob IS NOT NULL;

-- How far a store in SQLite has been moved here: see move.ts.
CREATE TABLE postern.move (
  one            boolean PRIMARY KEY DEFAULT true CHECK (one),
  after_job      bigint NOT NULL DEFAULT 0,
  after_delivery bigint NOT NULL DEFAULT 0,
  is_done        boolean NOT NULL DEFAULT false
);

-- Models that were announced: see known-models.ts of the port.
CREATE TABLE postern.known_model (
  name         text COLLATE "C" PRIMARY KEY,
  report       text   NOT NULL,
  versions     text   NOT NULL,                      -- JSON
  last_seen_at bigint NOT NULL
);
