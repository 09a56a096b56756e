/** The records in PostgreSQL, beside the jobs: for several gateways, which then share them. */
import { Kysely, PostgresDialect, sql } from 'kysely';
import { createService } from '../../service.ts';
import { createQueries } from './queries.ts';
import type { Records } from './records.ts';
import { storageErrors } from './storage-errors.ts';
import { STEPS, type Tables } from './tables.ts';

export interface PostgresRecordsOptions {
  readonly url: string;
  /** What an idle connection says when the server ends it: the next question opens another one. */
  readonly onConnectionError: (error: Error) => void;
}

/** A gateway asks little here; the jobs have connections of their own. */
const MAX_CONNECTIONS = 4;
const CONNECT_MS = 10_000;
const STATEMENT_MS = 30_000;
const INT8 = 20;
/** Any numbers that no other advisory lock of this database uses: "POSG", and which of ours. */
const LOCK_SPACE = 0x504f5347;
const LOCK_STEPS = 0;
const SCHEMA = 'postern_guide';

export function createPostgresRecords({ url, onConnectionError }: PostgresRecordsOptions): Records {
  let opened: Kysely<Tables> | undefined;
  const db = (): Kysely<Tables> => {
    if (opened === undefined) throw new Error('the records of the field guide are not open');
    return opened;
  };
  const queries = createQueries({
    db,
    async lockOwner(tx, owner) {
      await sql`SELECT pg_advisory_xact_lock(${LOCK_SPACE}, hashtext(${owner}))`.execute(tx);
    },
  });
  return {
    ...storageErrors(queries),
    ...createService({
      async start() {
        const { default: pg } = await import('pg');
        const types = {
          // Counts and epoch ms are far below 2^53.
          getTypeParser: (oid: number, format?: 'text' | 'binary'): unknown =>
            oid === INT8 ? Number : pg.types.getTypeParser(oid, format),
        };
        const pool = new pg.Pool({
          connectionString: url,
          max: MAX_CONNECTIONS,
          connectionTimeoutMillis: CONNECT_MS,
          statement_timeout: STATEMENT_MS,
          application_name: 'postern field guide',
          types: types,
        });
        pool.on('error', onConnectionError);
        // A schema of its own, and named in every statement: behind a pooler a connection keeps no setting.
        opened = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) }).withSchema(SCHEMA);
        await storageErrors({ prepare: () => prepare(db()) }).prepare();
      },
      async stop() {
        await opened?.destroy();
      },
    }),
  };
}

/** Several gateways may start at once: one takes the steps, the others find them taken. */
async function prepare(db: Kysely<Tables>): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await sql`SELECT pg_advisory_xact_lock(${LOCK_SPACE}, ${LOCK_STEPS})`.execute(tx);
    await sql`CREATE SCHEMA IF NOT EXISTS ${sql.id(SCHEMA)}`.execute(tx);
    await sql`SET LOCAL search_path TO ${sql.id(SCHEMA)}`.execute(tx);
    await sql`CREATE TABLE IF NOT EXISTS format (steps INTEGER NOT NULL)`.execute(tx);
    const { rows } = await sql<{ steps: number }>`SELECT steps FROM format`.execute(tx);
    const taken = rows[0]?.steps ?? 0;
    if (taken > STEPS.length) {
      throw new Error(`they have format ${taken}, and this Postern knows ${STEPS.length}`);
    }
    for (const step of STEPS.slice(taken)) for (const statement of step) await sql.raw(statement).execute(tx);
    if (rows.length === 0) await sql`INSERT INTO format VALUES (${STEPS.length})`.execute(tx);
    else await sql`UPDATE format SET steps = ${STEPS.length}`.execute(tx);
  });
}
