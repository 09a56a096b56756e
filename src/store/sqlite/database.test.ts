/** Which files and which settings a store may rest on. */
import assert from 'node:assert/strict';
import { mkdtempSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { assertDurable, checkVersion } from '../../sqlite.ts';
import { openDatabase } from './database.ts';
import { APPLICATION_ID, MIGRATIONS, OLDEST_STEPS } from './schema.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-database-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const cacheKib = 1_024;

void test('a new file is durable, has the tables, and is for its owner alone', () => {
  const path = join(folder, 'new.sqlite');
  const db = openDatabase({ path, cacheKib });
  assertDurable(db, 'store');
  assert.equal(db.prepare('PRAGMA user_version').get()?.user_version, OLDEST_STEPS * 65_536 + MIGRATIONS.length);
  assert.equal(db.prepare('PRAGMA application_id').get()?.application_id, APPLICATION_ID);
  for (const end of ['', '-wal', '-shm']) assert.equal(statSync(path + end).mode & 0o777, 0o600);
  db.close();
  // Again: nothing is left to do.
  openDatabase({ path, cacheKib }).close();
});

void test('a connection that would not flush its commits is refused', () => {
  const db = openDatabase({ path: join(folder, 'weak.sqlite'), cacheKib });
  for (const weaker of ['synchronous = NORMAL', 'synchronous = OFF', 'foreign_keys = OFF']) {
    db.exec(`PRAGMA ${weaker}`);
    assert.throws(() => assertDurable(db, 'store'), { code: 'config_invalid' }, weaker);
    db.exec('PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON');
    assertDurable(db, 'store');
  }
  db.close();
  const inMemory = new DatabaseSync(':memory:');
  inMemory.exec('PRAGMA synchronous = FULL');
  assert.throws(() => assertDurable(inMemory, 'store'), /journal_mode/);
  inMemory.close();
});

void test('an SQLite that can damage a store is refused', () => {
  for (const version of ['3.51.2', '3.50.9', '2.99.99', '3']) {
    assert.throws(() => checkVersion(version), { code: 'config_invalid' }, version);
  }
  for (const version of ['3.51.3', '3.52.0', '4.0.0']) checkVersion(version);
});

void test("another program's database, a newer format, a file that is no database: refused, and left as they are", () => {
  const foreign = join(folder, 'foreign.sqlite');
  const other = new DatabaseSync(foreign);
  other.exec('CREATE TABLE notes (text)');
  other.close();
  assert.throws(() => openDatabase({ path: foreign, cacheKib }), /database of something else/);
  const still = new DatabaseSync(foreign);
  assert.equal(still.prepare('PRAGMA journal_mode').get()?.journal_mode, 'delete');
  still.close();

  const newer = join(folder, 'newer.sqlite');
  const db = openDatabase({ path: newer, cacheKib });
  db.exec(`PRAGMA user_version = ${MIGRATIONS.length + 1}`);
  db.close();
  assert.throws(() => openDatabase({ path: newer, cacheKib }), /format \d+ and this Postern knows/);

  const garbage = join(folder, 'garbage.sqlite');
  writeFileSync(
    garbage,
    'no database at all, but long enough to have been taken for a header of one hundred bytes '.repeat(9),
  );
  assert.throws(() => openDatabase({ path: garbage, cacheKib }), { code: 'config_invalid' });

  mkdirSync(join(folder, 'folder.sqlite'));
  assert.throws(() => openDatabase({ path: join(folder, 'folder.sqlite'), cacheKib }), { code: 'config_invalid' });
});

void test('the connection that only reads cannot write, and can checkpoint', () => {
  const path = join(folder, 'read.sqlite');
  const writer = openDatabase({ path, cacheKib });
  writer.exec("INSERT INTO unnamed_blob VALUES ('x')");
  const reader = openDatabase({ path, cacheKib, queryOnly: true });
  assert.throws(() => reader.exec("INSERT INTO unnamed_blob VALUES ('y')"), /readonly/);
  const done = reader.prepare('PRAGMA wal_checkpoint(PASSIVE)').get();
  assert.ok(Number(done?.log) > 0);
  assert.equal(done?.checkpointed, done?.log);
  reader.close();
  writer.close();
});

void test('a store that a newer release only added to is opened and left as it is; one that it took something from is refused', () => {
  const path = join(folder, 'ahead.sqlite');
  openDatabase({ path, cacheKib }).close();
  const steps = MIGRATIONS.length + 1;
  const set = (oldest: number): void => {
    const db = new DatabaseSync(path);
    db.exec(`PRAGMA user_version = ${oldest * 65_536 + steps}`);
    db.close();
  };
  set(MIGRATIONS.length);
  const db = openDatabase({ path, cacheKib });
  assert.equal(db.prepare('PRAGMA user_version').get()?.user_version, MIGRATIONS.length * 65_536 + steps);
  db.close();
  set(steps);
  assert.throws(() => openDatabase({ path, cacheKib }), { code: 'config_invalid' });
});
