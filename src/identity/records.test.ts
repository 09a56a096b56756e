import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { openRecords, POLL_MS, recordsPath } from './records.ts';
import type { RecordArea, Records } from './records.ts';

const NOTES: RecordArea = { name: 'notes', steps: ['CREATE TABLE note (text TEXT NOT NULL UNIQUE) STRICT'] };
const countNotes = (db: Records['db']): number => db.prepare('SELECT count(*) AS n FROM note').get()?.n as number;
const addNote = (text: string) => (db: Records['db']) => db.prepare('INSERT INTO note VALUES (?)').run(text);
const mustNotFail = (error: unknown): void => assert.ifError(error);

function scene(t: TestContext): { folder: string; open: () => Records } {
  const folder = mkdtempSync(join(tmpdir(), 'postern-records-'));
  const opened: Records[] = [];
  t.after(() => {
    for (const records of opened) records.close();
    rmSync(folder, { recursive: true });
  });
  const open = (): Records => {
    const records = openRecords(folder);
    records.prepare(NOTES);
    opened.push(records);
    return records;
  };
  return { folder, open };
}

void test('the file is for its owner alone, flushed by each commit, and keeps what was written', (t) => {
  const { folder, open } = scene(t);
  const first = open();
  for (const end of ['', '-wal', '-shm']) assert.equal(statSync(recordsPath(folder) + end).mode & 0o777, 0o600);
  assert.deepEqual({ ...first.db.prepare('PRAGMA synchronous').get() }, { synchronous: 2 });
  first.write(addNote('a'));
  first.close();
  assert.equal(countNotes(open().db), 1);
});

void test('a write that throws leaves nothing, and tells nobody', (t) => {
  const records = scene(t).open();
  let told = 0;
  records.onChange(() => (told += 1));
  assert.throws(() => {
    records.write((db) => {
      addNote('a')(db);
      throw new Error('on second thoughts');
    });
  }, /second thoughts/);
  assert.equal(countNotes(records.db), 0);
  assert.equal(told, 0);
});

void test('a snapshot is new at once after an own commit, and at the next poll after one of another process', (t) => {
  const { open } = scene(t);
  const clock = createManualClock();
  const [mine, other] = [open(), open()];
  mine.watch(clock, mustNotFail);
  const notes = mine.snapshot(countNotes);
  let told = 0;
  const end = mine.onChange(() => (told += 1));
  mine.write(addNote('a'));
  assert.deepEqual([notes.value, told], [1, 1]);
  other.write(addNote('b'));
  assert.equal(notes.value, 1);
  clock.advance(POLL_MS);
  assert.deepEqual([notes.value, told], [2, 2]);
  clock.advance(POLL_MS);
  assert.equal(told, 2, 'nothing changed, nothing is told');
  end();
  other.write(addNote('c'));
  clock.advance(POLL_MS);
  assert.deepEqual([notes.value, told], [3, 2]);
});

void test('a load that fails keeps the last value, is told, and is tried again', (t) => {
  const { open } = scene(t);
  const clock = createManualClock();
  const [mine, other] = [open(), open()];
  const failures: unknown[] = [];
  let broken = false;
  const notes = mine.snapshot((db) => {
    if (broken) throw new Error('the disk is away');
    return countNotes(db);
  });
  mine.watch(clock, (error) => failures.push(error));
  broken = true;
  other.write(addNote('a'));
  clock.advance(POLL_MS);
  assert.deepEqual([notes.value, failures.length], [0, 1]);
  broken = false;
  clock.advance(POLL_MS);
  assert.deepEqual([notes.value, failures.length], [1, 1]);
});

void test('an area grows by steps, and one that a newer release has moved on is refused', (t) => {
  const records = scene(t).open();
  const newer = { name: 'notes', steps: [...NOTES.steps, 'ALTER TABLE note ADD COLUMN colour TEXT'] };
  records.prepare(newer);
  records.prepare(newer);
  records.db.prepare('SELECT colour FROM note').all();
  assert.throws(() => records.prepare(NOTES), /has format 2 of notes and this Postern knows 1/);
});

void test('processes that open a new file at the same moment agree', async (t) => {
  const { folder, open } = scene(t);
  const program = new URL('../../test/support/open-records.ts', import.meta.url);
  const codes = await Promise.all(
    Array.from({ length: 4 }, () => new Promise((resolve) => fork(program, [folder]).once('exit', resolve))),
  );
  assert.deepEqual(codes, [0, 0, 0, 0]);
  assert.equal(countNotes(open().db), 4);
});
