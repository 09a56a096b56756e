/**
 * Opens a file of SQLite on which promises rest: settings are set, read back, and refused when they did not take. The store
 * of jobs and the control records both open their files here.
 */
import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PosternError } from './errors.ts';

/**
 * 3.51.3 is the first release without the WAL-reset bug (since 3.7.0): two connections that write and checkpoint at once
 * could, very rarely, damage the file. The store checkpoints from another connection than the one that writes.
 */
export const MIN_SQLITE = [3, 51, 3] as const;
/** PRAGMA synchronous as SQLite reports it. 2: every commit is flushed to the disk before it returns. */
const FULL = 2;
/** Another process commits in the meantime; its commits are some ms, its largest sweep some 100 ms. */
const BUSY_TIMEOUT_MS = 5_000;

export interface SqliteFileOptions {
  readonly path: string;
  /** What the file is, for messages: `store`. */
  readonly what: string;
  /** Written into the file, so that a database of something else is refused. */
  readonly applicationId: number;
  /** KiB of pages kept in memory by this connection: the bound on its memory. */
  readonly cacheKib: number;
}

/**
 * Opens the file, made when missing with mode 0600 (its folder 0700), lets `prepare` take it to its present format, and returns the
 * connection. Throws config_invalid, and leaves a file that is not ours as it is.
 */
export function openSqliteFile(options: SqliteFileOptions, prepare: (db: DatabaseSync) => void): DatabaseSync {
  const { path, what } = options;
  let db: DatabaseSync;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // Created here and not by SQLite, because the umask would decide who may read it.
    closeSync(openSync(path, 'a', 0o600));
    db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true });
  } catch (error) {
    throw new PosternError('config_invalid', `the ${what} ${path} cannot be opened: ${(error as Error).message}`, {
      cause: error,
    });
  }
  try {
    checkVersion(pragma(db, 'SELECT sqlite_version() AS value') as string);
    checkOwner(db, options);
    db.exec('PRAGMA journal_mode = WAL');
    db.exec('PRAGMA synchronous = FULL');
    db.exec('PRAGMA foreign_keys = ON');
    db.exec(`PRAGMA cache_size = -${options.cacheKib}`);
    db.exec('PRAGMA temp_store = MEMORY');
    assertDurable(db, what);
    prepare(db);
    flushFolder(dirname(path));
    return db;
  } catch (error) {
    db.close();
    if (error instanceof PosternError) throw error;
    const reason = `the ${what} ${path} cannot be used: ${(error as Error).message}`;
    throw new PosternError('config_invalid', reason, { cause: error });
  }
}

/** Runs `body` as one transaction that no other writer interrupts; whatever it throws takes everything back. */
export function transact<T>(db: DatabaseSync, body: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = body();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

export function checkVersion(version: string): void {
  const have = version.split('.').map(Number);
  for (const [index, wanted] of MIN_SQLITE.entries()) {
    const got = have[index] ?? 0;
    if (got > wanted) return;
    if (got === wanted) continue;
    throw new PosternError(
      'config_invalid',
      `SQLite ${version} can damage a store: Postern needs ${MIN_SQLITE.join('.')} or newer, which its own Node brings`,
    );
  }
}

/** Throws unless a commit on this connection survives a power cut. */
export function assertDurable(db: DatabaseSync, what: string): void {
  const wanted = { journal_mode: 'wal', synchronous: FULL, foreign_keys: 1 } as const;
  for (const [name, value] of Object.entries(wanted)) {
    const got = pragma(db, `PRAGMA ${name}`);
    if (got === value) continue;
    throw new PosternError(
      'config_invalid',
      `the ${what} needs ${name} = ${value} and the disk gave ${String(got)}: put it on a local file system`,
    );
  }
}

function checkOwner(db: DatabaseSync, { path, applicationId }: SqliteFileOptions): void {
  const owner = pragma(db, 'PRAGMA application_id');
  const isNew = pragma(db, 'PRAGMA schema_version') === 0;
  if (owner === applicationId || isNew) return;
  throw new PosternError('config_invalid', `${path} is a database of something else: choose another place`);
}

/** The first column of the only row. */
export function pragma(db: DatabaseSync, sql: string): unknown {
  return Object.values(db.prepare(sql).get() ?? {})[0];
}

/** A new file is in its folder only once the folder is flushed. */
function flushFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
