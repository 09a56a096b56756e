/** Opens the store's file and takes it to its present format. */
import type { DatabaseSync } from 'node:sqlite';
import { PosternError } from '../../errors.ts';
import { openSqliteFile, pragma, transact } from '../../sqlite.ts';
import { APPLICATION_ID, MIGRATIONS, OLDEST_STEPS } from './schema.ts';

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

/**
 * Takes the steps that are missing. `user_version` holds two numbers: how many were taken, and above that how many a release must know at
 * least (`OLDEST_STEPS` of whoever took the last one). So a release that is rolled back to works on what a newer one left, as
 * long as that one only added to it.
 */
function migrate(db: DatabaseSync, path: string): void {
  if (pragma(db, 'PRAGMA user_version') === FORMAT) return;
  transact(db, () => {
    // Again, inside: another process may have been first.
    const { steps, oldest } = readFormat(pragma(db, 'PRAGMA user_version') as number);
    if (steps > MIGRATIONS.length) {
      if (oldest > 0 && MIGRATIONS.length >= oldest) return;
      throw new PosternError(
        'config_invalid',
        `${path} has format ${steps} and this Postern knows ${MIGRATIONS.length}: use the release that wrote it, or a newer one`,
      );
    }
    for (const step of MIGRATIONS.slice(steps)) db.exec(step);
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
    db.exec(`PRAGMA user_version = ${FORMAT}`);
  });
}

const STEPS_RANGE = 65_536;
const FORMAT = OLDEST_STEPS * STEPS_RANGE + MIGRATIONS.length;

const readFormat = (version: number) => ({ steps: version % STEPS_RANGE, oldest: Math.floor(version / STEPS_RANGE) });
