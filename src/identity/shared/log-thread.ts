/**
 * The thread that holds the connection to PostgreSQL for the shared control records. It is a thread because whoever writes a
 * record waits for it, as one waits for the disk: the connection must go on meanwhile.
 *
 * PostgreSQL keeps the order: a log of changes and an image of everything up to some entry. Nothing of a session is
 * used, so that a pooler that gives each transaction another connection may stand between.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Client } from 'pg';
import type { Answer, Areas, Entry, Image, News, Numbered, Request, ThreadData } from './wire.ts';

const { url, port, signal } = workerData as ThreadData;
/** Of the advisory lock of this transaction: "POSC", as in the records' file. */
const LOCK = 0x504f5343;
/** Less than whoever asks waits, so that they hear why. */
const STATEMENT_MS = 2_000;
const CONNECT_MS = 3_000;

const TABLES = `
  CREATE TABLE IF NOT EXISTS postern_control_log (
    seq     bigint PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    changes bytea NOT NULL
  );
  CREATE TABLE IF NOT EXISTS postern_control_image (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    seq      bigint NOT NULL,
    areas    jsonb NOT NULL,
    bytes    bytea NOT NULL
  );
  ALTER TABLE postern_control_image ALTER COLUMN bytes SET STORAGE EXTERNAL;
`;

let client: Client | null = null;
let isReady = false;

async function connected(): Promise<Client> {
  if (client !== null) return client;
  const made = new Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: STATEMENT_MS + 500,
    keepAlive: true,
    application_name: 'postern-control',
  });
  const lost = (): void => {
    if (client === made) client = null;
  };
  made.on('error', lost);
  made.on('end', lost);
  await made.connect();
  client = made;
  if (!isReady) {
    await inTransaction(made, async () => {
      await made.query('SELECT pg_advisory_xact_lock($1)', [LOCK]);
      await made.query(TABLES);
    });
    isReady = true;
  }
  return made;
}

async function inTransaction(one: Client, body: () => Promise<void>): Promise<void> {
  await begin(one);
  await body();
  await one.query('COMMIT');
}

const begin = (one: Client): Promise<unknown> =>
  one.query(
    `BEGIN; SET LOCAL lock_timeout = ${STATEMENT_MS}; SET LOCAL statement_timeout = ${STATEMENT_MS}; SET LOCAL idle_in_transaction_session_timeout = 10000`,
  );

async function newsFor(one: Client, position: number): Promise<Answer> {
  const since = await one.query<{
    image: string | null;
    areas: Areas | null;
    entries: string;
    bytes: string | null;
    oldest: string | null;
  }>(
    `SELECT (SELECT seq FROM postern_control_image) AS image, (SELECT areas FROM postern_control_image) AS areas,
            count(*) AS entries, sum(length(changes)) AS bytes, min(seq) AS oldest
     FROM postern_control_log`,
  );
  const { image, areas, entries, bytes, oldest } = since.rows[0]!;
  // Entries up to the image are gone: whoever is behind it, or knows nothing, begins with the image.
  const isBehind = image !== null && (position < 0 || position < Number(oldest ?? Number(image) + 1) - 1);
  const news: News = {
    image: isBehind ? await readImage(one) : null,
    entries: await readEntries(one, isBehind ? Number(image) : Math.max(0, position)),
  };
  return { type: 'news', news, sinceImage: { entries: Number(entries), bytes: Number(bytes ?? 0) }, areas };
}

async function readImage(one: Client): Promise<Image | null> {
  const { rows } = await one.query<{ seq: string; areas: Areas; bytes: Buffer }>(
    'SELECT seq, areas, bytes FROM postern_control_image',
  );
  const row = rows[0];
  return row === undefined ? null : { seq: Number(row.seq), areas: row.areas, bytes: row.bytes };
}

async function readEntries(one: Client, after: number): Promise<Entry[]> {
  const { rows } = await one.query<{ seq: string; changes: Buffer }>(
    'SELECT seq, changes FROM postern_control_log WHERE seq > $1 ORDER BY seq',
    [after],
  );
  return rows.map(({ seq, changes }) => ({ seq: Number(seq), changes }));
}

async function commit(one: Client, entry: Entry | null, image: Image | null): Promise<void> {
  if (entry !== null) {
    await one.query('INSERT INTO postern_control_log (seq, changes) VALUES ($1, $2)', [entry.seq, entry.changes]);
  }
  if (image !== null) {
    await one.query(
      `INSERT INTO postern_control_image (seq, areas, bytes) VALUES ($1, $2, $3)
       ON CONFLICT (only_one) DO UPDATE SET seq = excluded.seq, areas = excluded.areas, bytes = excluded.bytes`,
      [image.seq, JSON.stringify(image.areas), image.bytes],
    );
    // Up to the image, whoever lacks them takes the image.
    await one.query('DELETE FROM postern_control_log WHERE seq <= $1', [image.seq]);
  }
  await one.query('COMMIT');
}

async function answer(request: Request): Promise<Answer> {
  switch (request.type) {
    case 'begin': {
      const one = await connected();
      await begin(one);
      await one.query('SELECT pg_advisory_xact_lock($1)', [LOCK]);
      return newsFor(one, request.position);
    }
    case 'commit': {
      // Without the connection that began, nothing is held any more: it must not be done on another one.
      if (client === null) throw new Error('the connection was lost');
      await commit(client, request.entry, request.image);
      return { type: 'done' };
    }
    case 'abort':
      await client?.query('ROLLBACK');
      return { type: 'done' };
    case 'read':
      return newsFor(await connected(), request.position);
    default:
      return request satisfies never;
  }
}

/** A connection on which something went wrong may be in the middle of a transaction: the next question gets another one. */
function drop(): void {
  const broken = client;
  client = null;
  broken?.removeAllListeners();
  broken?.on('error', () => undefined);
  broken?.end().catch(() => undefined);
}

async function answerOrSay(request: Request): Promise<Answer> {
  try {
    return await answer(request);
  } catch (error) {
    drop();
    const { code, message } = error as { code?: string; message: string };
    // 28…: who we are is refused; 3D…: no such database; 42501: not allowed to make tables.
    const isConfig = /^(28|3D|42501)/.test(code ?? '');
    return { type: 'failed', code: isConfig ? 'config_invalid' : 'storage_failed', message: message || String(code) };
  }
}

/** One after another: a question that somebody waits for comes after the one that is being answered. */
let last: Promise<unknown> = Promise.resolve();
function inTurn(work: () => Promise<void>): void {
  last = last.then(work);
}

port.on('message', ({ number, body }: Numbered<Request>) => {
  inTurn(async () => {
    port.postMessage({ number, body: await answerOrSay(body) } satisfies Numbered<Answer>);
    Atomics.store(signal, 0, 1);
    Atomics.notify(signal, 0);
  });
});
parentPort?.on('message', ({ number, body }: Numbered<Request>) => {
  inTurn(async () => parentPort?.postMessage({ number, body: await answerOrSay(body) } satisfies Numbered<Answer>));
});
