/** A copy of an SQLite file as it was at one moment, while others write to it. */
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { PosternError } from './errors.ts';

/** All pages in one step: a copy in several would begin again whenever somebody commits in between. */
const ALL_PAGES = 0x7fffffff;

/** Copies what `source` has open to `to`, which must not exist; a half copy is never left there. */
export async function copySqliteFile(source: DatabaseSync, to: string, what: string): Promise<void> {
  const draft = `${to}.draft`;
  await rm(draft, { force: true });
  try {
    await backup(source, draft, { rate: ALL_PAGES });
    checkWhole(draft, what);
    await flush(draft);
    await rename(draft, to);
    await flush(dirname(to));
  } catch (error) {
    if (error instanceof PosternError) throw error;
    throw new PosternError('storage_failed', `the ${what} could not be copied: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    await rm(draft, { force: true });
  }
}

function checkWhole(path: string, what: string): void {
  const db = new DatabaseSync(path);
  try {
    // One file that needs no other beside it, until somebody opens it as a store.
    db.exec('PRAGMA journal_mode = DELETE');
    const { integrity_check: said } = db.prepare('PRAGMA integrity_check(1)').get() as { integrity_check: string };
    if (said !== 'ok') throw new PosternError('storage_failed', `the copy of the ${what} is damaged: ${said}`);
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
