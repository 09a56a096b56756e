/** The short form of `npm run torture:store`. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createRandom } from '../support/random.ts';
import { compare, createStoreJournal } from './journal.ts';
import { killLoop } from './kill-loop.ts';
import { claimOf, fenceOf, newJob, openStore, succeeded } from './load.ts';

void test('what was acknowledged is there after every kill, as it was acknowledged', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-crash-'));
  try {
    const random = createRandom(Date.now());
    const { problems, accepted, decided } = await killLoop({
      folder,
      kills: 12,
      maxLifeMs: 500,
      random: () => random.next(),
    });
    assert.deepEqual(problems, []);
    // Otherwise nothing was tried.
    assert.ok(accepted > 100 && decided > 50, `${accepted} accepted, ${decided} decided`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

void test('the comparison notices a job that is lost, changed, decided twice or no longer canceled', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-crash-'));
  const store = await openStore(folder);
  try {
    await store.submit(['job-1', 'job-2', 'job-3'].map(newJob));
    const [claimed] = await store.claim([claimOf('s', 3)]);
    await store.settle((claimed?.jobs ?? []).map((job) => ({ fence: fenceOf(job), outcome: succeeded(job) })));
    const journal = createStoreJournal();
    journal.read('A job-1\nA job-2\nA job-3\nD job-1 1\nA half a li');
    assert.deepEqual(await compare(store, journal), []);
    journal.read('A job-4\nD job-2 2\nD job-1 1\nK job-3\nX something else\n');
    assert.deepEqual(await compare(store, journal), [
      'job-1 was decided twice',
      'something else',
      'job-2 changed',
      'job-3 was canceled and is succeeded',
      'job-4 was accepted and is lost',
    ]);
  } finally {
    await store.stop();
    await rm(folder, { recursive: true, force: true });
  }
});
