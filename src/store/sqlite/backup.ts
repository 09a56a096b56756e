/** A copy of the file as it was at one moment, while others write to it; and which blobs that copy needs. */
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { PosternError } from '../../errors.ts';
import { copySqliteFile } from '../../sqlite-copy.ts';
import { openDatabase } from './database.ts';

const CACHE_KIB = 1_024;

/** Copies the store at `path` to `to`, which must not exist; a half copy is never left there. Runs beside a gateway. */
export async function copyStore(path: string, to: string): Promise<void> {
  if (!existsSync(path)) throw new PosternError('config_invalid', `there is no store at ${path}`);
  const source = openDatabase({ path, cacheKib: CACHE_KIB, queryOnly: true });
  try {
    await copySqliteFile(source, to, 'store');
  } finally {
    source.close();
  }
}

/** Keys of all blobs that rows of this file name. */
export function namedBlobs(path: string): string[] {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    // A backup of an older release has no outbox.
    const hasOutbox = db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'delivery'").get() !== undefined;
    const outbox = hasOutbox ? ' UNION SELECT output_blob FROM delivery WHERE output_blob IS NOT NULL' : '';
    const sql = `SELECT blob FROM input WHERE blob IS NOT NULL UNION SELECT blob FROM output WHERE blob IS NOT NULL${outbox}`;
    return db
      .prepare(sql)
      .all()
      .map(({ blob }) => String(blob));
  } finally {
    db.close();
  }
}
