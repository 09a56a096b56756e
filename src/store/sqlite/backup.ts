/** A copy of the file as it was at one moment, while others write to it; and which blobs that copy needs. */
import { existsSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { PosternError } from '../../errors.ts';
import { openDatabase } from './database.ts';

/** All pages in one step: a copy in several would begin again whenever somebody commits in between. */
const ALL_PAGES = 0x7fffffff;
const CACHE_KIB = 1_024;

/** Copies the store at `path` to `to`, which must not exist; a half copy is never left there. Runs beside a gateway. */
export async function copyStore(path: string, to: string): Promise<void> {
  if (!existsSync(path)) throw new PosternError('config_invalid', `there is no store at ${path}`);
  const source = openDatabase({ path, cacheKib: CACHE_KIB, queryOnly: true });
  const draft = `${to}.draft`;
  await rm(draft, { force: true });
  try {
    await backup(source, draft, { rate: ALL_PAGES });
    checkWhole(draft);
    await flush(draft);
    await rename(draft, to);
    await flush(dirname(to));
  } catch (error) {
    if (error instanceof PosternError) throw error;
    throw new PosternError('storage_failed', `the store could not be copied: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    source.close();
    await rm(draft, { force: true });
  }
}

/** Keys of all blobs that rows of this file name. */
export function namedBlobs(path: string): string[] {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    const sql = `SELECT blob FROM input WHERE blob IS NOT NULL UNION SELECT blob FROM output WHERE blob IS NOT NULL`;
    return db
      .prepare(sql)
      .all()
      .map(({ blob }) => String(blob));
  } finally {
    db.close();
  }
}

function checkWhole(path: string): void {
  const db = new DatabaseSync(path);
  try {
    // One file that needs no other beside it, until somebody opens it as a store.
    db.exec('PRAGMA journal_mode = DELETE');
    const { integrity_check: said } = db.prepare('PRAGMA integrity_check(1)').get() as { integrity_check: string };
    if (said !== 'ok') throw new PosternError('storage_failed', `the copy of the store is damaged: ${said}`);
  } finally {
    db.close();
  }
}

async function flush(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
