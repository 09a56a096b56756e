/**
 * The files of one machine's callers, in a file of SQLite of their own. Writes are flushed when they resolve. Two gateways of one machine may
 * have it open at once while a release is switched: tables are only ever added, and the format is still the first one.
 */
import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { createService } from '../../service.ts';
import { openSqliteFile, pragma, transact } from '../../sqlite.ts';
import { ARRIVAL_MS, callerIsFull, placeIsFull, type FileBook, type FileLimits, type StoredFile } from '../files.ts';

export interface SqliteFilesOptions {
  readonly path: string;
  readonly clock: Clock;
}

const APPLICATION_ID = 0x504f5346; // "POSF"
const CACHE_KIB = 1_024;
const FORMAT = 1;

const columns = `(
  id TEXT PRIMARY KEY,
  caller TEXT NOT NULL,
  name TEXT NOT NULL,
  content_type TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  md5 TEXT NOT NULL,
  metadata TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID`;
const TABLE = `CREATE TABLE file ${columns};
CREATE INDEX file_caller ON file (caller, id);
CREATE INDEX file_expiry ON file (expires_at);
CREATE INDEX file_blob ON file (sha256);`;
/** Later than the format: a release that does not know them goes on without. Those that arrive are a handful, or were cut off. */
const LATER = `CREATE TABLE IF NOT EXISTS arriving ${columns};
CREATE TABLE IF NOT EXISTS unnamed (sha256 TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;`;
const BOTH = '(SELECT caller, bytes FROM file UNION ALL SELECT caller, bytes FROM arriving)';

export function createSqliteFiles({ path, clock }: SqliteFilesOptions): FileBook {
  let opened: DatabaseSync | undefined;

  function db(): DatabaseSync {
    if (opened) return opened;
    throw new PosternError('draining', 'The gateway stops.', { retryAfterS: 1 });
  }

  const rows = (sql: string, ...values: SQLInputValue[]): Record<string, unknown>[] =>
    db()
      .prepare(sql)
      .all(...values);

  /** Throws when `bytes` more would be too much. Inside the transaction that adds them nobody can come between. */
  function checkRoom(caller: string, bytes: number, limits: FileLimits): void {
    const [all] = rows(`SELECT coalesce(sum(bytes), 0) AS bytes FROM ${BOTH}`);
    const [own] = rows(
      `SELECT coalesce(sum(bytes), 0) AS bytes, count(*) AS files FROM ${BOTH} WHERE caller = ?`,
      caller,
    );
    if (Number(own?.bytes) + bytes > limits.maxCallerBytes || Number(own?.files) >= limits.maxCallerFiles)
      throw callerIsFull(limits);
    if (Number(all?.bytes) + bytes > limits.maxBytes) throw placeIsFull(limits);
  }

  function end(table: 'file' | 'arriving', where: string, ...values: SQLInputValue[]): number {
    const ended = rows(`DELETE FROM ${table} WHERE ${where} RETURNING sha256`, ...values);
    const note = db().prepare('INSERT INTO unnamed VALUES (?) ON CONFLICT DO NOTHING');
    for (const { sha256 } of ended) note.run(sha256 as string);
    return ended.length;
  }

  /** What runs here blocks, for a flush at most; who asks is answered as by a database. */
  const answer = <T>(work: () => T): Promise<T> => Promise.resolve().then(work);
  const written = <T>(work: () => T): Promise<T> => answer(() => transact(db(), work));

  const service = createService({
    start() {
      const file = { path, what: 'list of files', applicationId: APPLICATION_ID, cacheKib: CACHE_KIB };
      opened = openSqliteFile(file, prepare);
      return Promise.resolve();
    },
    stop() {
      opened?.close();
      opened = undefined;
      return Promise.resolve();
    },
  });

  return {
    ...service,
    arrive: (file, limits) =>
      written(() => {
        const { id, caller, name, contentType, bytes, sha256, md5, metadata } = file;
        checkRoom(caller, bytes, limits);
        const now = clock.now();
        db()
          .prepare('INSERT INTO arriving VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
          .run(id, caller, name, contentType, bytes, sha256, md5, metadata, now, now + ARRIVAL_MS);
      }),
    keep: (id, ttlMs) =>
      written(() => {
        const now = clock.now();
        const [row] = rows('DELETE FROM arriving WHERE id = ? AND expires_at > ? RETURNING *', id, now);
        if (row === undefined) return null;
        const kept = { ...row, created_at: now, expires_at: now + ttlMs };
        const values = Object.values(kept) as SQLInputValue[];
        db()
          .prepare('INSERT INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
          .run(...values);
        return fileOf(kept);
      }),
    get: (id) =>
      answer(() => {
        const [row] = rows('SELECT * FROM file WHERE id = ? AND expires_at > ?', id, clock.now());
        return row === undefined ? null : fileOf(row);
      }),
    list: ({ caller, limit, after }) =>
      answer(() =>
        rows(
          `SELECT * FROM file WHERE expires_at > ? AND id < ? ${caller === undefined ? '' : 'AND caller = ?'}
           ORDER BY id DESC LIMIT ?`,
          ...[clock.now(), after ?? '~', ...(caller === undefined ? [] : [caller]), limit],
        ).map(fileOf),
      ),
    remove: (id) => written(() => end('file', 'id = ?', id) + end('arriving', 'id = ?', id) > 0),
    expire: (limit) =>
      written(() => {
        const due = (table: string): string =>
          `id IN (SELECT id FROM ${table} WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`;
        const files = end('file', due('file'), clock.now(), limit);
        return files + end('arriving', due('arriving'), clock.now(), limit - files);
      }),
    unnamed: (after, limit) =>
      answer(() =>
        rows('SELECT sha256 FROM unnamed WHERE sha256 > ? ORDER BY sha256 LIMIT ?', after, limit).map(
          ({ sha256 }) => sha256 as string,
        ),
      ),
    isNamed: (key) =>
      answer(() => {
        const sql = 'SELECT 1 FROM file WHERE sha256 = ?1 UNION ALL SELECT 1 FROM arriving WHERE sha256 = ?1 LIMIT 1';
        return rows(sql, key).length > 0;
      }),
    dropUnnamed: (keys) =>
      written(() => {
        const drop = db().prepare('DELETE FROM unnamed WHERE sha256 = ?');
        for (const key of keys) drop.run(key);
      }),
  };
}

function prepare(db: DatabaseSync): void {
  const format = pragma(db, 'PRAGMA user_version') as number;
  if (format > FORMAT) throw new Error(`it has format ${format}, and this Postern knows ${FORMAT}`);
  transact(db, () => {
    db.exec(LATER);
    if (pragma(db, 'PRAGMA user_version') === FORMAT) return;
    db.exec(TABLE);
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
    db.exec(`PRAGMA user_version = ${FORMAT}`);
  });
}

function fileOf(row: Record<string, unknown>): StoredFile {
  return {
    id: row.id as string,
    caller: row.caller as string,
    name: row.name as string,
    contentType: row.content_type as string,
    bytes: row.bytes as number,
    sha256: row.sha256 as string,
    md5: row.md5 as string,
    metadata: row.metadata as string,
    createdAt: row.created_at as number,
    expiresAt: row.expires_at as number,
  };
}
