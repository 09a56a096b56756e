/** The contract, on SQLite; and what only a file can get wrong. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { createDirectoryBlobs } from '../../blobs/directory.ts';
import { storeSuite } from '../store.suite.ts';
import { createSqliteStore } from './sqlite.ts';

const folders: string[] = [];
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

storeSuite('sqlite', async (options) => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-sqlite-'));
  folders.push(folder);
  const blobs = createDirectoryBlobs({ folder: join(folder, 'blobs'), clock: options.clock });
  await blobs.start();
  const store = createSqliteStore({ ...options, path: join(folder, 'jobs.sqlite'), blobs });
  await store.start();
  return store;
});
