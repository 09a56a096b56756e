/** Leases follow the transaction that touches them: what is rolled back has changed nothing here either. */
import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import { createLeases } from './leases.ts';

function openLeases(t: TestContext) {
  const db = new DatabaseSync(':memory:');
  t.after(() => db.close());
  db.exec('CREATE TABLE job (session TEXT, status TEXT)');
  db.exec('CREATE TABLE beat (session TEXT PRIMARY KEY, count INTEGER)');
  return createLeases(db, 1_000);
}

void test('a session that gave all back in a transaction that failed is looked at again by the next sweep', (t) => {
  const leases = openLeases(t);
  leases.extend('s', 1_000);
  leases.end('s');
  leases.forget('s');
  leases.rolledBack();
  assert.deepEqual(leases.ended(0), ['s']);
  leases.forget('s');
  leases.committed();
  assert.deepEqual(leases.ended(0), []);
});

void test('a session that takes work in the transaction in which it was found empty keeps its lease', (t) => {
  const leases = openLeases(t);
  leases.extend('s', 1_000);
  leases.forget('s');
  leases.extend('s', 2_000);
  leases.committed();
  assert.deepEqual(leases.ended(1_500), []);
  assert.deepEqual(leases.ended(2_000), ['s']);
});
