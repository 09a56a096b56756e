/** Two processes on one store, as during a switch of releases; and a backup of it meanwhile. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import { backupStore, restoreStore } from '../../src/gateway/backup.ts';
import { compare, createStoreJournal, finish } from './journal.ts';
import { inspect } from './inspect.ts';
import { claimOf, fenceOf, openStore, succeeded } from './load.ts';

const LOAD = join(import.meta.dirname, 'load.ts');

/** The load as another process: what it has written, and a way to wait for more. */
function startLoad(folder: string) {
  const child = spawn(process.execPath, [LOAD, folder, '1', '8'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  let onLine = (): void => undefined;
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    onLine();
  });
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return {
    lines,
    until: (condition: (lines: readonly string[]) => boolean): Promise<void> =>
      new Promise((resolve, reject) => {
        child.once('close', () => reject(new Error('the load ended')));
        onLine = () => {
          if (!condition(lines)) return;
          // A condition counts all lines: asked again for each of a hundred thousand it would starve the backup.
          onLine = () => undefined;
          resolve();
        };
        onLine();
      }),
    async kill(): Promise<void> {
      child.kill('SIGKILL');
      await closed;
    },
  };
}

const startingWith = (lines: readonly string[], start: string): number =>
  lines.filter((line) => line.startsWith(start)).length;

void test('one process claims and both write; the other one takes over when it may, or when the first is gone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-two-'));
  const store = await openStore(folder);
  try {
    await store.sweep(1);
    const load = startLoad(folder);
    await load.until((lines) => startingWith(lines, 'A ') >= 50);
    const [claimed] = await store.claim([claimOf('here', 10)]);
    const jobs = claimed?.jobs ?? [];
    assert.equal(jobs.length, 10);
    assert.ok(
      jobs.every(({ id }) => load.lines.includes(`A ${id}`)),
      'they are jobs of the other process',
    );
    for (const job of jobs) {
      const [outcome] = await store.settle([{ fence: fenceOf(job), outcome: succeeded(job) }]);
      assert.equal(outcome?.type, 'applied');
    }
    assert.equal(startingWith(load.lines, 'D '), 0, 'the other process may not claim');
    await store.stopClaiming();
    await load.until((lines) => startingWith(lines, 'D ') >= 20);
    assert.deepEqual((await store.claim([claimOf('here', 10)]))[0]?.jobs, []);

    const backup = join(folder, 'backup');
    await backupStore(folder, backup, { clock: systemClock });
    const known = startingWith(load.lines, 'A ');
    await load.until((lines) => startingWith(lines, 'A ') > known);
    await load.kill();

    const third = await openStore(folder);
    const [taken] = await third.claim([claimOf('third', 1)]);
    assert.equal(taken?.jobs.length, 1, 'the role of a process that was killed is free at once');
    const journal = createStoreJournal();
    journal.read(`${load.lines.join('\n')}\n`);
    assert.deepEqual(await compare(third, journal), []);
    assert.deepEqual(await finish(third), []);
    await third.stop();

    await checkBackup(backup, join(folder, 'restored'));
  } finally {
    await store.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});

/** It is whole, can be made into a store, and every job in it can be run with the input that it came with. */
async function checkBackup(backup: string, dataDir: string): Promise<void> {
  assert.deepEqual(inspect(join(backup, 'jobs.sqlite')), []);
  await restoreStore(backup, dataDir, { clock: systemClock });
  await assert.rejects(restoreStore(backup, dataDir, { clock: systemClock }), { code: 'config_invalid' });
  await assert.rejects(backupStore(dataDir, backup, { clock: systemClock }), { code: 'config_invalid' });
  const store = await openStore(dataDir);
  const { jobs } = await store.list({ limit: 1_000, cursor: null });
  assert.ok(jobs.length > 20);
  assert.deepEqual(await finish(store), []);
  await store.stop();
  assert.deepEqual(inspect(join(dataDir, 'jobs.sqlite')), []);
}
