/** The contract, by every driver. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, type TestContext } from 'node:test';
import { cannotRunPostgres, testPostgres } from '../../../test/support/postgres.ts';
import { createPostgresRecords } from './postgres.ts';
import type { Records } from './records.ts';
import { recordsSuite } from './records.suite.ts';
import { createSqliteRecords } from './sqlite.ts';

async function started(t: TestContext, records: Records): Promise<Records> {
  await records.start();
  t.after(() => records.stop());
  return records;
}

recordsSuite('SQLite', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-records-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return started(t, createSqliteRecords(join(folder, 'fieldguide.sqlite')));
});

suite('with a database server', { skip: cannotRunPostgres() }, () => {
  recordsSuite('PostgreSQL', async (t) => {
    const server = await testPostgres();
    const url = server.urlOf(await server.createDatabase());
    return started(t, createPostgresRecords({ url, onConnectionError: () => undefined }));
  });
});
