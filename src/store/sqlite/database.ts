/** Opens the store's file and takes it to its present format. */
import type { DatabaseSync } from 'node:sqlite';
import { PosternError } from '../../errors.ts';
import { openSqliteFile, pragma, transact } from '../../sqlite.ts';
import { APPLICATION_ID, MIGRATIONS } from './schema.ts';

export interface OpenOptions {
  readonly path: string;
  /** KiB of pages kept in memory by this connection: the bound on its memory. */
  readonly cacheKib: number;
  /** Refuses all writes; a checkpoint is allowed. */
  readonly queryOnly?: boolean;
}

export function openDatabase({ path, cacheKib, queryOnly = false }: OpenOptions): DatabaseSync {
  return openSqliteFile({ path, what: 'store', applicationId: APPLICATION_ID, cacheKib }, (db) => {
    // Checkpoints cost two flushes and are not for the caller who happens to be the thousandth: see writer.ts.
    db.exec('PRAGMA wal_autocheckpoint = 0');
    migrate(db, path);
    if (queryOnly) db.exec('PRAGMA query_only = ON');
  });
}

function migrate(db: DatabaseSync, path: string): void {
  if (pragma(db, 'PRAGMA user_version') === MIGRATIONS.length) return;
  transact(db, () => {
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
  });
}
