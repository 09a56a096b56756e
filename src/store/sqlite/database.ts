/** Opens the file: settings that the promises rest on are set, read back, and refused when they did not take. */
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PosternError } from '../../errors.ts';
import { APPLICATION_ID, MIGRATIONS } from './schema.ts';

/**
 * 3.51.3 is the first release without the WAL-reset bug (since 3.7.0): two connections that write and checkpoint at once
 * could, very rarely, damage the file. This driver checkpoints from another connection than the one that writes.
 */
export const MIN_SQLITE = [3, 51, 3] as const;
/** PRAGMA synchronous as SQLite reports it. 2: every commit is flushed to the disk before it returns. */
const FULL = 2;
/** Another process commits in the meantime; its commits are some ms, its largest sweep some 100 ms. */
const BUSY_TIMEOUT_MS = 5_000;

export interface OpenOptions {
  readonly path: string;
  /** KiB of pages kept in memory by this connection: the bound on its memory. */
  readonly cacheKib: number;
  /** Refuses all writes; a checkpoint is allowed. */
  readonly queryOnly?: boolean;
}

export function openDatabase({ path, cacheKib, queryOnly = false }: OpenOptions): DatabaseSync {
  let db: DatabaseSync;
  try {
    // Created here and not by SQLite, because the umask would decide who may read the jobs.
    closeSync(openSync(path, 'a', 0o600));
    db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true });
  } catch (error) {
    throw new PosternError('config_invalid', `the store ${path} cannot be opened: ${(error as Error).message}`, {
      cause: error,
    });
  }
  try {
    checkVersion(pragma(db, 'SELECT sqlite_version() AS value') as string);
    checkOwner(db, path);
    db.exec('PRAGMA journal_mode = WAL');
    db.exec('PRAGMA synchronous = FULL');
    db.exec('PRAGMA foreign_keys = ON');
    // Checkpoints cost two flushes and are not for the caller who happens to be the thousandth: see writer.ts.
    db.exec('PRAGMA wal_autocheckpoint = 0');
    db.exec(`PRAGMA cache_size = -${cacheKib}`);
    db.exec('PRAGMA temp_store = MEMORY');
    assertDurable(db);
    migrate(db, path);
    if (queryOnly) db.exec('PRAGMA query_only = ON');
    flushFolder(dirname(path));
    return db;
  } catch (error) {
    db.close();
    throw error instanceof PosternError ? error : refusal(path, error as Error);
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
export function assertDurable(db: DatabaseSync): void {
  const wanted = { journal_mode: 'wal', synchronous: FULL, foreign_keys: 1 } as const;
  for (const [name, value] of Object.entries(wanted)) {
    const got = pragma(db, `PRAGMA ${name}`);
    if (got === value) continue;
    throw new PosternError(
      'config_invalid',
      `the store needs ${name} = ${value} and the disk gave ${String(got)}: put it on a local file system`,
    );
  }
}

function checkOwner(db: DatabaseSync, path: string): void {
  const owner = pragma(db, 'PRAGMA application_id');
  const isNew = pragma(db, 'PRAGMA schema_version') === 0;
  if (owner === APPLICATION_ID || isNew) return;
  throw new PosternError('config_invalid', `${path} is a database of something else: choose another place`);
}

function migrate(db: DatabaseSync, path: string): void {
  if (pragma(db, 'PRAGMA user_version') === MIGRATIONS.length) return;
  db.exec('BEGIN IMMEDIATE');
  try {
    // Again, inside: another process may have been first.
    const done = pragma(db, 'PRAGMA user_version') as number;
    if (done > MIGRATIONS.length) {
      throw new PosternError(
        'config_invalid',
        `${path} has format ${done} and this Postern knows ${MIGRATIONS.length}: use the release that wrote it, or a newer one`,
      );
    }
    for (const step of MIGRATIONS.slice(done)) db.exec(step);
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
    db.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
    db.exec('COMMIT');
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

/** The first column of the only row. */
function pragma(db: DatabaseSync, sql: string): unknown {
  return Object.values(db.prepare(sql).get() ?? {})[0];
}

function refusal(path: string, error: Error): PosternError {
  return new PosternError('config_invalid', `the store ${path} cannot be used: ${error.message}`, { cause: error });
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
