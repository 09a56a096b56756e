import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { createRandom } from '../../test/support/random.ts';
import type { NewJob } from '../dispatch/job.ts';
import { createMemoryStore } from './memory.ts';
import { storeSuite } from './store.suite.ts';

storeSuite('memory', async (options) => {
  const store = createMemoryStore(options);
  await store.start();
  return store;
});

function job(id: number, over: Partial<NewJob> = {}): NewJob {
  return {
    id: `job-${id}`,
    model: 'plants',
    version: null,
    input: { contentType: 'text/plain', bytes: new Uint8Array(0) },
    parameters: {},
    rows: 1,
    priority: 0,
    caller: 'anna',
    deadlineAt: null,
    idempotencyKey: null,
    webhook: null,
    ...over,
  };
}

const CLAIM = { session: 's', worker: 'w', model: 'plants', version: '1', maxRows: 64, capacityRows: 64, leaseMs: 1e9 };

test('the number of kept results is bounded; the oldest go first, and the newest is always readable', async () => {
  const store = createMemoryStore({ clock: createManualClock(), maxResults: 3 });
  for (let i = 1; i <= 6; i += 1) {
    await store.submit([job(i)]);
    const [claimed] = await store.claim([CLAIM]);
    const [taken] = claimed?.jobs ?? [];
    assert.ok(taken);
    const fence = { job: taken.id, attempt: 1, session: 's' };
    await store.settle([
      { fence, outcome: { type: 'failed', error: { code: 'internal', message: '' }, retryable: false } },
    ]);
    assert.equal((await store.get(`job-${i}`))?.status, 'failed');
  }
  assert.equal(await store.get('job-3'), null);
  assert.equal((await store.get('job-4'))?.status, 'failed');
});

test('a million waiting jobs do not slow a submit, a claim, a cancel or a position', async () => {
  const store = createMemoryStore({ clock: createManualClock(), queueLimitJobs: 2_000_000 });
  const random = createRandom(1);
  /** CPU time, ms: a machine that does other things meanwhile changes nothing. */
  const round = async (from: number): Promise<number> => {
    const began = process.cpuUsage();
    for (let i = from; i < from + 2_000; i += 1) {
      await store.submit([job(i, { caller: `caller-${random.int(0, 50)}`, priority: random.int(-2, 2) })]);
      await store.claim([{ ...CLAIM, maxRows: 1 }]);
      await store.queuePosition(`job-${i - 500}`);
      await store.cancel(`job-${i - 1_000}`);
    }
    const { user, system } = process.cpuUsage(began);
    return (user + system) / 1_000 / 2_000;
  };
  const fill = async (from: number, count: number): Promise<void> => {
    for (let i = from; i < from + count; i += 10_000) {
      const batch = Array.from({ length: 10_000 }, (_, n) => {
        return job(i + n, { caller: `caller-${random.int(0, 50)}`, priority: random.int(-2, 2) });
      });
      await store.submit(batch);
    }
  };
  await fill(0, 10_000);
  await round(10_000);
  const few = await round(12_000);
  await fill(20_000, 1_000_000);
  await round(1_100_000);
  // The lesser of two: a collection of a million jobs may fall into either.
  const many = Math.min(await round(1_200_000), await round(1_300_000));
  // Measured: about 2 times, all of it cache misses. A queue that is searched through would be a hundred times slower.
  assert.ok(many < few * 15 + 0.02, `${few.toFixed(4)} ms a round with few, ${many.toFixed(4)} ms with a million`);
});
