import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import { appendAudit, auditHead, formatHead, listAudit, parseHead, prepareAudit, verifyAudit } from './audit.ts';
import type { AuditEntry } from './audit.ts';
import { openRecords, recordsPath, type Records } from './records.ts';

const entry = (n: number): AuditEntry => ({
  at: 1_700_000_000_000 + n,
  actor: 'cli:ada',
  action: 'key.create',
  target: `key:${n}`,
  detail: { name: `key ${n}`, scopes: ['predict'] },
});

function scene(t: TestContext, entries = 5): { records: Records; tamper: (sql: string) => void } {
  const folder = mkdtempSync(join(tmpdir(), 'postern-audit-'));
  const records = openRecords(folder);
  prepareAudit(records);
  for (let n = 1; n <= entries; n += 1) records.write((db) => appendAudit(db, entry(n)));
  t.after(() => {
    records.close();
    rmSync(folder, { recursive: true });
  });
  // What somebody with the file and another program can do.
  const tamper = (sql: string): void => {
    const db = new DatabaseSync(recordsPath(folder));
    db.exec(`DROP TRIGGER IF EXISTS audit_unchanged; DROP TRIGGER IF EXISTS audit_kept; ${sql}`);
    db.close();
  };
  return { records, tamper };
}

void test('entries are read newest first, page by page, as they were written', (t) => {
  const { records } = scene(t);
  const first = listAudit(records.db, { limit: 3, beforeSeq: null });
  assert.deepEqual(
    first.map(({ seq }) => seq),
    [5, 4, 3],
  );
  const { seq: _seq, hash: _hash, ...newest } = first[0] ?? assert.fail();
  assert.deepEqual(newest, entry(5));
  const rest = listAudit(records.db, { limit: 3, beforeSeq: 3 });
  assert.deepEqual(
    rest.map(({ seq }) => seq),
    [2, 1],
  );
});

void test('the program itself cannot change or remove an entry', (t) => {
  const { records } = scene(t);
  assert.throws(() => records.db.exec("UPDATE audit SET actor = 'nobody'"), /only ever added to/);
  assert.throws(() => records.db.exec('DELETE FROM audit WHERE seq = 5'), /only ever added to/);
  assert.equal(verifyAudit(records.db, null).isIntact, true);
});

void test('an act that fails leaves no entry', (t) => {
  const { records } = scene(t);
  assert.throws(() =>
    records.write((db) => {
      appendAudit(db, entry(6));
      throw new Error('the act failed');
    }),
  );
  assert.equal(auditHead(records.db).seq, 5);
});

void test('long texts from outside are cut, and the entry still verifies', (t) => {
  const { records } = scene(t);
  const long = 'x'.repeat(100_000);
  records.write((db) => appendAudit(db, { ...entry(6), target: long, detail: { long } }));
  const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`field ${n}`, long]));
  records.write((db) => appendAudit(db, { ...entry(7), detail: many }));
  const sizes = listAudit(records.db, { limit: 2, beforeSeq: null }).map((one) => JSON.stringify(one).length);
  for (const size of sizes) assert.ok(size < 5_000, `${size} characters`);
  assert.equal(verifyAudit(records.db, null).isIntact, true);
});

const REHASHED = `
  UPDATE audit SET hash = '${'a'.repeat(64)}' WHERE seq = 3`;

for (const [what, sql, seq] of [
  ['a changed actor', "UPDATE audit SET actor = 'cli:eve' WHERE seq = 2", 2],
  ['a changed action', "UPDATE audit SET action = 'key.revoke' WHERE seq = 2", 2],
  ['a changed target', "UPDATE audit SET target = 'key:9' WHERE seq = 1", 1],
  ['a changed time', 'UPDATE audit SET at = at + 1 WHERE seq = 4', 4],
  ['a changed detail', "UPDATE audit SET detail = '{}' WHERE seq = 5", 5],
  ['a changed hash', REHASHED, 3],
  ['an entry taken out of the middle', 'DELETE FROM audit WHERE seq = 3', 3],
  ['the first entry taken away', 'DELETE FROM audit WHERE seq = 1', 1],
  ['the newest entries cut off', 'DELETE FROM audit WHERE seq > 3', 4],
  [
    'two entries swapped',
    'UPDATE audit SET seq = 99 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 99',
    2,
  ],
] as const) {
  void test(`the check finds ${what}`, (t) => {
    const { records, tamper } = scene(t);
    tamper(sql);
    const verdict = verifyAudit(records.db, null);
    assert.equal(verdict.isIntact, false);
    assert.equal(verdict.seq, seq, verdict.problem);
  });
}

void test('a log that was written anew, with hashes that fit, is found by a head that was kept elsewhere', (t) => {
  const { records, tamper } = scene(t);
  const kept = parseHead(formatHead(auditHead(records.db))) ?? assert.fail();
  records.write((db) => appendAudit(db, entry(6)));
  assert.deepEqual(verifyAudit(records.db, kept), { isIntact: true, head: auditHead(records.db) });
  tamper("DELETE FROM audit; DELETE FROM sqlite_sequence WHERE name = 'audit'");
  const truncated = verifyAudit(records.db, kept);
  assert.deepEqual([truncated.isIntact, verifyAudit(records.db, null).isIntact], [false, true]);
  for (let n = 1; n <= 6; n += 1) records.write((db) => appendAudit(db, { ...entry(n), actor: 'cli:eve' }));
  assert.equal(verifyAudit(records.db, null).isIntact, true);
  const forged = verifyAudit(records.db, kept);
  assert.equal(forged.isIntact, false);
  assert.equal(forged.seq, 5);
});

void test('only a head is taken for one', () => {
  for (const text of ['', '5', `5:${'a'.repeat(63)}`, `x:${'a'.repeat(64)}`]) assert.equal(parseHead(text), null);
});
