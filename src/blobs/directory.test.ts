import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { blobsSuite } from './blobs.suite.ts';
import { createDirectoryBlobs } from './directory.ts';

const folders: string[] = [];
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-blobs-'));
  folders.push(folder);
  return join(folder, 'blobs');
}

blobsSuite('directory', async (clock) => {
  const blobs = createDirectoryBlobs({ folder: await newFolder(), clock });
  await blobs.start();
  return blobs;
});

async function open(folder: string, clock = createManualClock()) {
  const blobs = createDirectoryBlobs({ folder, clock });
  await blobs.start();
  return { blobs, clock };
}

const pathOf = (folder: string, key: string): string => join(folder, key.slice(0, 2), key.slice(2, 4), key);

test('files are for the owner alone, two folders deep', async () => {
  const folder = await newFolder();
  const { blobs } = await open(folder);
  const key = await blobs.put(Buffer.from('photo'));
  assert.equal((await stat(pathOf(folder, key))).mode & 0o777, 0o600);
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
});

test('content that the disk changed is an error, never an answer', async () => {
  const folder = await newFolder();
  const { blobs } = await open(folder);
  const key = await blobs.put(Buffer.from('photo'));
  await writeFile(pathOf(folder, key), 'phxto');
  await assert.rejects(blobs.get(key), { code: 'storage_failed' });
});

test('a torn file of the right name is replaced by the next put', async () => {
  const folder = await newFolder();
  const { blobs } = await open(folder);
  const key = await blobs.put(Buffer.from('photo'));
  await truncate(pathOf(folder, key), 2);
  assert.equal(await blobs.put(Buffer.from('photo')), key);
  assert.equal(Buffer.from((await blobs.get(key)) ?? []).toString(), 'photo');
});

test('a start sweeps old drafts away, leaves young ones, and puts back what a removal had set aside', async () => {
  const folder = await newFolder();
  const { blobs, clock } = await open(folder);
  const key = await blobs.put(Buffer.from('photo'));
  const [old, young] = [join(folder, 'drafts', 'old'), join(folder, 'drafts', 'young')];
  await writeFile(old, 'x');
  await writeFile(young, 'x');
  const longAgo = new Date(clock.now() - 48 * 3_600_000);
  await utimes(old, longAgo, longAgo);
  // As a process leaves it that is killed inside a removal.
  await mkdir(join(folder, 'doomed'), { recursive: true });
  const { rename } = await import('node:fs/promises');
  await rename(pathOf(folder, key), join(folder, 'doomed', key));
  assert.ok(await blobs.get(key), 'readable in the meantime');

  const again = createDirectoryBlobs({ folder, clock });
  await again.start();
  assert.deepEqual(await readdir(join(folder, 'drafts')), ['young']);
  assert.deepEqual(await readdir(join(folder, 'doomed')), []);
  assert.ok(await stat(pathOf(folder, key)));
});

test('what is in the folder and is no blob is left alone', async () => {
  const folder = await newFolder();
  const { blobs } = await open(folder);
  await mkdir(join(folder, 'lost+found'));
  await writeFile(join(folder, 'README'), 'x');
  await blobs.put(Buffer.from('photo'));
  assert.equal((await blobs.list(null, 10)).length, 1);
});
