import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { Client } from 'pg';
import { cannotRunPostgres, startPostgres, testPostgres } from './postgres.ts';

const skip = cannotRunPostgres();

test('tests share one PostgreSQL, and have a database each, by socket and by TCP', { skip }, async () => {
  const postgres = await testPostgres();
  assert.equal(await testPostgres(), postgres);
  const [first, second] = [await postgres.createDatabase(), await postgres.createDatabase()];
  await postgres.query('CREATE TABLE t (a int)', first);
  await assert.rejects(postgres.query('SELECT a FROM t', second), { code: '42P01' });
  for (const url of [postgres.urlOf(first), postgres.tcpUrlOf(first)]) {
    const client = new Client({ connectionString: url });
    await client.connect();
    assert.deepEqual((await client.query('SELECT a FROM t')).rows, []);
    await client.end();
  }
});

test('a test may stop one of its own, start it again, and leaves nothing behind', { skip }, async () => {
  const postgres = await startPostgres({ settings: { max_connections: '7' } });
  const settings = await postgres.query('SHOW max_connections');
  assert.deepEqual(settings, [{ max_connections: '7' }]);
  await postgres.stop('immediate');
  await assert.rejects(postgres.query('SELECT 1'));
  await postgres.start();
  assert.deepEqual(await postgres.query('SELECT 1 AS a'), [{ a: 1 }]);
  await postgres.remove();
  assert.equal(existsSync(postgres.folder), false);
});
