/**
 * Moves a store from SQLite into an empty PostgreSQL: jobs with their numbers, payloads, the outbox, known models, tags. While it runs nobody
 * else writes to the file (the right to claim and a transaction of its own are held), and the file stays as it is. Where it was cut off it goes
 * on: each batch is one transaction with the note of how far it went. In the end both sides are read again and compared, record for record.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { hostOf } from '../../dispatch/delivery.ts';
import type { Webhook } from '../../dispatch/webhook.ts';
import { PosternError } from '../../errors.ts';
import { MAX_INLINE_BYTES, type PayloadBlobs } from '../payload-blobs.ts';
import { openDatabase } from '../sqlite/database.ts';
import { createRole } from '../sqlite/role.ts';
import { namedSnapshot } from '../sqlite/rows.ts';
import type { Connection, Run, Statement } from './connection.ts';
import { createParcel, toRows } from './rows.ts';
import { FINISH, TAKE_DELIVERIES, TAKE_JOBS } from './move-statements.ts';

export interface MoveOptions {
  /** The store's file. */
  readonly path: string;
  readonly connection: Connection;
  /** Where the file's large payloads are. */
  readonly readBlob: (key: string) => Promise<Uint8Array | null>;
  /** Where they are to be; null: in the database. */
  readonly blobs: Pick<PayloadBlobs, 'put'> | null;
  /** What sessions that hold something are given. */
  readonly leaseMs: number;
  readonly onProgress: (done: number, all: number) => void;
}

export interface MoveSummary {
  readonly jobs: number;
  readonly deliveries: number;
  /** Moved by an earlier run that was cut off. */
  readonly alreadyThere: number;
  /** SHA-256 over all records, which was the same on both sides. */
  readonly digest: string;
}

type Cells = Record<string, SQLOutputValue>;

const BATCH_ROWS = 500;
/** A batch ends after this much. */
const BATCH_BYTES = 8 * 1024 * 1024;
const CACHE_KIB = 16 * 1024;
const EVENT_BITS = { start: 1, completed: 2 } as const;
const BYTES_OF_JOBS = ['input', 'output'] as const;

export async function moveStore(options: MoveOptions): Promise<MoveSummary> {
  const { path } = options;
  if (!existsSync(path)) throw new PosternError('config_invalid', `there is no store at ${path}`);
  const role = createRole(path, () => undefined);
  if (!role.isHeld(0)) {
    throw new PosternError('config_invalid', `a gateway runs on ${path}: stop it, and move then`);
  }
  const db = openDatabase({ path, cacheKib: CACHE_KIB });
  try {
    db.exec('BEGIN IMMEDIATE');
    return await move(db, options);
  } finally {
    if (db.isTransaction) db.exec('ROLLBACK');
    db.close();
    role.yield();
  }
}

async function move(
  db: DatabaseSync,
  { connection, readBlob, blobs, leaseMs, onProgress }: MoveOptions,
): Promise<MoveSummary> {
  const count = (table: string): number =>
    Number((db.prepare(`SELECT count(*) AS n FROM ${table}`).get() as { n: number }).n);
  const [jobs, deliveries] = [count('job'), count('delivery')];
  const before = await begin(connection.run);
  const alreadyThere = Number(
    (db.prepare('SELECT count(*) AS n FROM job WHERE seq <= ?').get(before.afterJob) as { n: number }).n,
  );
  if (!before.isDone) {
    const parts = [
      { table: 'job', ids: jobSource(db), take: TAKE_JOBS, mark: 'after_job', after: before.afterJob, all: jobs },
      {
        table: 'delivery',
        ids: deliverySource(db),
        take: TAKE_DELIVERIES,
        mark: 'after_delivery',
        after: before.afterDelivery,
        all: deliveries,
      },
    ] as const;
    for (const { ids, take, mark, after, all } of parts) {
      let done = 0;
      for (let from = after; ;) {
        const batch = ids(from);
        if (batch.length === 0) break;
        const statement = await batchStatement(batch, take, readBlob, blobs);
        from = batch.at(-1)!.seq as number;
        await connection.run([statement, { text: `UPDATE postern.move SET ${mark} = $1`, values: [from] }]);
        done += batch.length;
        if (mark === 'after_job') onProgress(Math.min(all, alreadyThere + done), all);
      }
    }
    await connection.run([...restStatements(db), ...FINISH(leaseMs)]);
  }
  const digest = await verify(db, connection.run, { jobs, deliveries }, readBlob);
  return { jobs, deliveries, alreadyThere, digest };
}

async function begin(run: Run): Promise<{ afterJob: number; afterDelivery: number; isDone: boolean }> {
  const [[mark], [others]] = (await run([
    { text: 'SELECT after_job, after_delivery, is_done FROM postern.move', values: [] },
    { text: 'SELECT EXISTS (SELECT 1 FROM postern.job) OR EXISTS (SELECT 1 FROM postern.delivery)', values: [] },
  ])) as [[[number, number, boolean]?], [[boolean]]];
  if (mark !== undefined) return { afterJob: mark[0], afterDelivery: mark[1], isDone: mark[2] };
  if (others[0]) {
    throw new PosternError('config_invalid', 'the database has jobs of its own already: move into an empty one');
  }
  await run([{ text: 'INSERT INTO postern.move DEFAULT VALUES', values: [] }]);
  return { afterJob: 0, afterDelivery: 0, isDone: false };
}

// ---- the rows of the file --------------------------------------------------------------------------------------------

type Source = (after: number) => Cells[];

function jobSource(db: DatabaseSync): Source {
  const rows = db.prepare(
    `SELECT job.*, input.bytes AS input, input.blob AS input_blob, input.seq IS NOT NULL AS has_input,
       output.content_type AS output_type, output.bytes AS output, output.blob AS output_blob
     FROM job LEFT JOIN input ON input.seq = job.seq LEFT JOIN output ON output.seq = job.seq
     WHERE job.seq > ? ORDER BY job.seq LIMIT ${BATCH_ROWS}`,
  );
  return (after) =>
    cut(rows.all(after)).map((row) => {
      const webhook = row.webhook === null ? null : (JSON.parse(row.webhook as string) as Webhook);
      return {
        ...row,
        webhook_url: webhook?.url ?? null,
        webhook_host: webhook === null ? null : hostOf(webhook.url),
        webhook_events: webhook === null ? 0 : webhook.events.reduce((bits, event) => bits | EVENT_BITS[event], 0),
      };
    });
}

function deliverySource(db: DatabaseSync): Source {
  const rows = db.prepare(`SELECT * FROM delivery WHERE seq > ? ORDER BY seq LIMIT ${BATCH_ROWS}`);
  return (after) =>
    cut(rows.all(after)).map((row) => ({
      ...row,
      snapshot: row.snapshot === null ? null : JSON.stringify(renamed(namedSnapshot(row.snapshot as string))),
    }));
}

/** As `to_json` writes a row of PostgreSQL. */
const renamed = (snapshot: Cells) => ({ ...snapshot, cancel_requested: snapshot.cancel_requested === 1 });

/** No more at once than is good to hold. */
function cut(rows: Cells[]): Cells[] {
  let bytes = 0;
  const end = rows.findIndex((row) => {
    const before = bytes;
    bytes += Number(row.input_bytes ?? 0) + Number(row.output_bytes ?? 0);
    return before > BATCH_BYTES;
  });
  return end <= 0 ? rows : rows.slice(0, end);
}

async function batchStatement(
  batch: readonly Cells[],
  text: string,
  readBlob: MoveOptions['readBlob'],
  blobs: MoveOptions['blobs'],
): Promise<Statement> {
  const parcel = createParcel();
  const rows = [];
  for (const row of batch) {
    const cells: Record<string, unknown> = { ...row };
    for (const name of BYTES_OF_JOBS) {
      const bytes = await payloadOf(row, name, readBlob);
      const isLarge = blobs !== null && bytes !== null && bytes.byteLength > MAX_INLINE_BYTES;
      cells[`${name}_blob`] = isLarge ? await blobs.put(bytes) : null;
      cells[`${name}_at`] = bytes === null || isLarge ? null : parcel.add(bytes);
      cells[`${name}_size`] = bytes?.byteLength ?? null;
      delete cells[name];
    }
    rows.push(cells);
  }
  return { text, values: [toRows(rows), parcel.bytes()] };
}

async function payloadOf(
  row: Cells,
  name: (typeof BYTES_OF_JOBS)[number],
  readBlob: MoveOptions['readBlob'],
): Promise<Uint8Array | null> {
  const key = row[`${name}_blob`];
  if (typeof key !== 'string') return (row[name] as Uint8Array | null | undefined) ?? null;
  const bytes = await readBlob(key);
  if (bytes === null) throw new PosternError('storage_failed', `the blob ${key} of ${String(row.id)} is gone`);
  return bytes;
}

/** The small tables, whole. */
function restStatements(db: DatabaseSync): Statement[] {
  const all = (table: string): string => toRows(db.prepare(`SELECT * FROM ${table}`).all());
  return [
    {
      text: `INSERT INTO postern.known_model SELECT x.name, x.report, x.versions, x.last_seen_at
        FROM json_to_recordset($1) AS x (name text, report text, versions text, last_seen_at bigint) ON CONFLICT DO NOTHING`,
      values: [all('known_model')],
    },
    {
      text: `INSERT INTO postern.failed_input (place, job, bytes) OVERRIDING SYSTEM VALUE SELECT x.place, x.job, x.bytes
        FROM json_to_recordset($1) AS x (place bigint, job bigint, bytes bigint) ON CONFLICT DO NOTHING`,
      values: [all('failed_input')],
    },
    {
      text: `INSERT INTO postern.served_tag SELECT x.model, x.priority, 0, 0, x.tag
        FROM json_to_recordset($1) AS x (model text, priority int, tag bigint) ON CONFLICT DO NOTHING`,
      values: [all('served_tag')],
    },
    {
      text: `INSERT INTO postern.next_tag SELECT x.model, x.priority, x.caller, 0, 0, x.tag
        FROM json_to_recordset($1) AS x (model text, priority int, caller text, tag bigint) ON CONFLICT DO NOTHING`,
      values: [all('next_tag')],
    },
  ];
}

// ---- both sides, again -----------------------------------------------------------------------------------------------

const sha256 = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : createHash('sha256').update(bytes).digest('hex');

/** What a job is, whichever side it was read from. Texts as PostgreSQL keeps them. */
const JOB_FIELDS =
  'seq, id, model, version, parameters, rows, priority, tag, caller, idempotency_key, digest, status, created_at, completed_at, attempt, ' +
  'spent_attempts, suspicion, past_attempts, not_before, session, error_code, error_message, timings, due_at';
const DELIVERY_FIELDS = 'seq, id, job, event, url, status, attempt, created_at, due_at, answer, reason';

async function verify(
  db: DatabaseSync,
  run: Run,
  wanted: { readonly jobs: number; readonly deliveries: number },
  readBlob: MoveOptions['readBlob'],
): Promise<string> {
  const [[counts]] = (await run([
    { text: 'SELECT (SELECT count(*) FROM postern.job), (SELECT count(*) FROM postern.delivery)', values: [] },
  ])) as [[[number, number]]];
  if (counts[0] !== wanted.jobs || counts[1] !== wanted.deliveries) {
    throw mismatch(`${wanted.jobs} jobs and ${wanted.deliveries} deliveries became ${counts[0]} and ${counts[1]}`);
  }
  const total = createHash('sha256');
  const source = jobSource(db);
  for (let after = 0; ;) {
    const rows = source(after);
    if (rows.length === 0) break;
    const last = rows.at(-1)!.seq as number;
    const fields = JOB_FIELDS.split(', ');
    const [found] = await run([
      {
        text: `SELECT ${fields.map((field) => `j.${field}`).join(', ')}, encode(sha256(i.bytes), 'hex'), i.blob, encode(sha256(o.bytes), 'hex'), o.blob
          FROM postern.job j LEFT JOIN postern.input i ON i.seq = j.seq LEFT JOIN postern.output o ON o.seq = j.seq
          WHERE j.seq > $1 AND j.seq <= $2 ORDER BY j.seq`,
        values: [after, last],
      },
    ]);
    for (const [index, row] of rows.entries()) {
      // A blob is named by its digest.
      const payloads = await Promise.all(BYTES_OF_JOBS.map((name) => payloadOf(row, name, readBlob)));
      const mine = toRows([[...fields.map((field) => row[field] ?? null), ...payloads.map(sha256)]]);
      const other = found![index] ?? [];
      const [input, inputBlob, output, outputBlob] = other.slice(fields.length);
      const theirs = toRows([[...other.slice(0, fields.length), input ?? inputBlob, output ?? outputBlob]]);
      if (mine !== theirs) throw mismatch(`the job ${String(row.id)} is not the same on both sides`);
      total.update(mine);
    }
    after = last;
  }
  for (let after = 0; ;) {
    const rows = db
      .prepare(`SELECT ${DELIVERY_FIELDS} FROM delivery WHERE seq > ? ORDER BY seq LIMIT ${BATCH_ROWS}`)
      .all(after);
    if (rows.length === 0) break;
    const last = rows.at(-1)!.seq as number;
    const [found] = await run([
      {
        text: `SELECT ${DELIVERY_FIELDS} FROM postern.delivery WHERE seq > $1 AND seq <= $2 ORDER BY seq`,
        values: [after, last],
      },
    ]);
    const mine = toRows(rows.map((row) => Object.values(row)));
    if (mine !== toRows(found!)) throw mismatch(`deliveries ${after} to ${last} are not the same on both sides`);
    total.update(mine);
    after = last;
  }
  return total.digest('hex');
}

const mismatch = (what: string): PosternError =>
  new PosternError('storage_failed', `the move cannot be trusted: ${what}. The file was not touched: go on with it`);
