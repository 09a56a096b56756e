/** The same answers as the memory driver, whatever is called: see the suite. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { createDirectoryBlobs } from '../../blobs/directory.ts';
import { sameAsMemorySuite } from '../suite/same-as-memory.suite.ts';
import { createSqliteStore } from './sqlite.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-model-'));
after(() => rmSync(folder, { recursive: true, force: true }));

sameAsMemorySuite(async (options, seed) => {
  const blobs = createDirectoryBlobs({ folder: join(folder, `${seed}`), clock: options.clock });
  await blobs.start();
  const store = createSqliteStore({ path: join(folder, `${seed}.sqlite`), blobs, ...options });
  await store.start();
  return store;
});
