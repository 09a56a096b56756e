/** Stores in the PostgreSQL of the tests: one database for a process, emptied for every store that wants nothing in it. */
import { systemClock } from '../../src/clock.ts';
import { Secret } from '../../src/secret.ts';
import { createConnection } from '../../src/store/postgres/connection.ts';
import { migrate } from '../../src/store/postgres/migrate.ts';
import { createPostgresStore } from '../../src/store/postgres/postgres.ts';
import type { PostgresStoreOptions } from '../../src/store/postgres/options.ts';
import type { Store } from '../../src/store/store.ts';
import type { StoreSuiteOptions } from '../../src/store/suite/bench.suite.ts';
import { testPostgres, type TestPostgres } from './postgres.ts';

const TABLES = `SELECT string_agg(format('postern.%I', tablename), ', ') FROM pg_tables
  WHERE schemaname = 'postern' AND tablename NOT IN ('migration', 'pulse', 'probe')`;

let prepared: Promise<{ postgres: TestPostgres; database: string; tables: string }> | undefined;

async function prepare() {
  const postgres = await testPostgres();
  const database = await postgres.createDatabase();
  await migrateDatabase(postgres.urlOf(database));
  const [row] = await postgres.query(TABLES, database);
  return { postgres, database, tables: String(row?.string_agg) };
}

export async function migrateDatabase(url: string): Promise<void> {
  const meter = { statements: 0, transactions: 0 };
  const wire = { url: new Secret(url), clock: systemClock, meter, connectMs: 30_000, answerMs: 120_000 };
  const connection = createConnection(wire);
  try {
    await connection.transaction((run) => migrate(run));
  } finally {
    await connection.stop();
  }
}

/** A started store over nothing, whose time is the given clock's. */
export async function emptyPostgresStore(options: StoreSuiteOptions & Partial<PostgresStoreOptions>): Promise<Store> {
  const { postgres, database, tables } = await (prepared ??= prepare());
  await postgres.query(`TRUNCATE ${tables} RESTART IDENTITY; UPDATE postern.pulse SET swept_at = NULL`, database);
  const { clock, ...limits } = options;
  const store = createPostgresStore({
    url: new Secret(postgres.urlOf(database)),
    blobs: null,
    ...limits,
    clock: systemClock,
    time: clock,
    connectMs: 30_000,
    answerMs: 120_000,
  });
  await store.start();
  return store;
}
