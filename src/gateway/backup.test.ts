import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../clock.ts';
import { openRecords } from '../identity/records.ts';
import type { RecordArea } from '../identity/records.ts';
import { openDatabase } from '../store/sqlite/database.ts';
import { backupStore, restoreStore } from './backup.ts';

const NOTES: RecordArea = { name: 'notes', steps: ['CREATE TABLE note (text TEXT NOT NULL) STRICT'] };

async function makeDataFolder(folder: string, note: string): Promise<void> {
  await mkdir(join(folder, 'identity'), { recursive: true });
  await writeFile(join(folder, 'identity', 'ca.key'), note, { mode: 0o600 });
  openDatabase({ path: join(folder, 'jobs.sqlite'), cacheKib: 1_024 }).close();
  const records = openRecords(folder);
  records.prepare(NOTES);
  records.write((db) => db.prepare('INSERT INTO note VALUES (?)').run(note));
  records.close();
}

async function contentOf(folder: string): Promise<unknown[]> {
  const records = openRecords(folder);
  const notes = records.db.prepare('SELECT text FROM note').all();
  records.close();
  return [...notes.map(({ text }) => text), await readFile(join(folder, 'identity', 'ca.key'), 'utf8')];
}

void test('a backup holds records and identity; a restore never puts them over newer ones', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'postern-backup-'));
  t.after(() => rm(root, { recursive: true }));
  const [here, there, backup] = [join(root, 'here'), join(root, 'there'), join(root, 'backup')];
  await makeDataFolder(here, 'old');
  assert.equal((await backupStore(here, backup, { clock: systemClock })).control, true);
  assert.deepEqual(await contentOf(backup), ['old', 'old']);
  assert.equal((await stat(join(backup, 'identity', 'ca.key'))).mode & 0o777, 0o600);

  assert.equal((await restoreStore(backup, there, { clock: systemClock })).control, true);
  assert.deepEqual(await contentOf(there), ['old', 'old']);

  await writeFile(join(here, 'identity', 'ca.key'), 'new');
  await rm(join(here, 'jobs.sqlite'));
  assert.equal((await restoreStore(backup, here, { clock: systemClock })).control, false);
  assert.deepEqual(await contentOf(here), ['old', 'new']);
});

void test('with jobs in a database the identity is what is copied, and it is no backup with jobs', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'postern-backup-'));
  t.after(() => rm(root, { recursive: true }));
  const [here, there, backup] = [join(root, 'here'), join(root, 'there'), join(root, 'backup')];
  await makeDataFolder(here, 'old');
  await rm(join(here, 'jobs.sqlite'));
  const options = { clock: systemClock, jobs: false };
  await assert.rejects(backupStore(here, backup, { clock: systemClock }), { code: 'config_invalid' });
  assert.deepEqual(await backupStore(here, backup, options), { blobs: 0, control: true });
  await assert.rejects(restoreStore(backup, there, { clock: systemClock }), { code: 'config_invalid' });
  assert.deepEqual(await restoreStore(backup, there, options), { blobs: 0, control: true });
  assert.equal(await readFile(join(there, 'identity', 'ca.key'), 'utf8'), 'old');
});
