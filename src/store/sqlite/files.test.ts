import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { systemClock } from '../../clock.ts';
import { filesSuite } from '../suite/files.suite.ts';
import { createSqliteFiles } from './files.ts';

filesSuite('sqlite', async (clock) => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-files-'));
  const book = createSqliteFiles({ path: join(folder, 'files.sqlite'), clock });
  await book.start();
  return {
    book,
    async stop() {
      await book.stop();
      rmSync(folder, { recursive: true });
    },
  };
});

void test('a file of an earlier release is taken over, and stays one that it can read', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-files-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'files.sqlite');
  const earlier = new DatabaseSync(path);
  earlier.exec(`CREATE TABLE file (id TEXT PRIMARY KEY, caller TEXT NOT NULL, name TEXT NOT NULL, content_type TEXT NOT NULL, bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL, md5 TEXT NOT NULL, metadata TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO file VALUES ('1', 'anna', 'a', 'text/plain', 3, 'k', 'm', '{}', 1, ${Number.MAX_SAFE_INTEGER});
    PRAGMA application_id = ${0x504f5346}; PRAGMA user_version = 1`);
  const book = createSqliteFiles({ path, clock: systemClock });
  await book.start();
  assert.equal((await book.get('1'))?.name, 'a');
  await book.stop();
  assert.equal(earlier.prepare('PRAGMA user_version').get()?.user_version, 1);
  assert.equal(earlier.prepare('SELECT count(*) AS n FROM file').get()?.n, 1);
  earlier.close();
});
