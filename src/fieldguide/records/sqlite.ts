/** The records in a file of SQLite, through Node's own module. Every commit is flushed before it is answered. */
import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import { CompiledQuery, Kysely, SqliteDialect, type DatabaseConnection, type Driver } from 'kysely';
import { createService } from '../../service.ts';
import { openSqliteFile, pragma, transact } from '../../sqlite.ts';
import { createQueries } from './queries.ts';
import type { Records } from './records.ts';
import { storageErrors } from './storage-errors.ts';
import { STEPS, type Tables } from './tables.ts';

const APPLICATION_ID = 0x504f5347; // "POSG"
const CACHE_KIB = 4_096;

export function createSqliteRecords(path: string): Records {
  let opened: Kysely<Tables> | undefined;
  const queries = createQueries({
    db() {
      if (opened === undefined) throw new Error('the records of the field guide are not open');
      return opened;
    },
    // Its transactions are begun as writers, one after the other.
    lockOwner: () => Promise.resolve(),
  });
  return {
    ...storageErrors(queries),
    ...createService({
      start() {
        opened = new Kysely<Tables>({
          dialect: new NodeSqliteDialect({ database: adapted(openSqliteRecordsFile(path)) }),
        });
        return Promise.resolve();
      },
      async stop() {
        // Opens nothing: without a first query there is nothing to destroy, and the file is closed by its wrapper.
        await opened?.executeQuery(CompiledQuery.raw('SELECT 1'));
        await opened?.destroy();
      },
    }),
  };
}

/** The file itself, in its present format; made when missing. */
export function openSqliteRecordsFile(path: string): DatabaseSync {
  const file = { path, what: 'records of the field guide', applicationId: APPLICATION_ID, cacheKib: CACHE_KIB };
  return openSqliteFile(file, prepare);
}

/** Kysely begins transactions as readers; one that reads before it writes would then fail when another process wrote between. */
class NodeSqliteDialect extends SqliteDialect {
  override createDriver(): Driver {
    const driver = super.createDriver();
    driver.beginTransaction = async (connection: DatabaseConnection) => {
      await connection.executeQuery(CompiledQuery.raw('begin immediate'));
    };
    return driver;
  }
}

/** `node:sqlite` in the shape that Kysely knows from better-sqlite3. */
function adapted(db: DatabaseSync) {
  return {
    close: () => db.close(),
    prepare(sql: string) {
      const statement = db.prepare(sql);
      const values = (parameters: readonly unknown[]): SQLInputValue[] => parameters as SQLInputValue[];
      return {
        reader: statement.columns().length > 0,
        all: (parameters: readonly unknown[]) => statement.all(...values(parameters)),
        run: (parameters: readonly unknown[]) => statement.run(...values(parameters)),
        iterate: (parameters: readonly unknown[]) => statement.iterate(...values(parameters)),
      };
    },
  };
}

function prepare(db: DatabaseSync): void {
  const taken = (): number => pragma(db, 'PRAGMA user_version') as number;
  if (taken() > STEPS.length) throw new Error(`it has format ${taken()}, and this Postern knows ${STEPS.length}`);
  if (taken() === STEPS.length) return;
  transact(db, () => {
    // Asked inside: another process may have been first.
    for (const step of STEPS.slice(taken())) for (const statement of step) db.exec(statement);
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
    db.exec(`PRAGMA user_version = ${STEPS.length}`);
  });
}
