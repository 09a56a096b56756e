import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { createIds, isUnrecorded } from '../dispatch/id.ts';
import type { JobTimings, NewJob, Outcome } from '../dispatch/job.ts';
import { createMemoryStore } from './memory.ts';
import { createSplitStore } from './split.ts';
import { storeSuite } from './store.suite.ts';
import type { Store } from './store.ts';

storeSuite('split', async (options) => {
  const store = createSplitStore({
    recorded: createMemoryStore(options),
    unrecorded: createMemoryStore({ ...options, maxResults: 0 }),
    clock: options.clock,
  });
  await store.start();
  return store;
});

const clock = createManualClock();
const nextId = createIds(clock, (count) => crypto.getRandomValues(new Uint8Array(count)));
const TIMINGS: JobTimings = { queueMs: 0, linkMs: 0, workerQueueMs: 0, decodeMs: 0, batchMs: 0, computeMs: 0 };
const DONE: Outcome = {
  type: 'succeeded',
  output: { contentType: 'text/plain', bytes: Buffer.from('done') },
  timings: TIMINGS,
};
const CLAIM = { session: 's', worker: 'w', model: 'iris', version: '1', maxRows: 2, capacityRows: 8, leaseMs: 1e9 };

const jobOf = (recorded: boolean): NewJob => ({
  id: nextId(recorded),
  model: 'iris',
  version: null,
  input: { contentType: 'text/plain', bytes: Buffer.from('x') },
  parameters: {},
  rows: 1,
  priority: 0,
  caller: 'anna',
  deadlineAt: null,
  idempotencyKey: null,
  webhook: null,
});

async function started(): Promise<Store> {
  const store = createSplitStore({
    recorded: createMemoryStore({ clock }),
    unrecorded: createMemoryStore({ clock, maxResults: 0 }),
    clock,
  });
  await store.start();
  return store;
}

test('answers stand in the order of what was asked, whichever store each belongs to', async () => {
  const store = await started();
  const jobs = [true, false, false, true, false].map(jobOf);
  const outcomes = await store.submit(jobs);
  assert.deepEqual(
    outcomes.map((outcome) => outcome.type === 'accepted' && outcome.job.id),
    jobs.map(({ id }) => id),
  );
  assert.deepEqual((await store.counts()).get('iris'), {
    waitingJobs: 5,
    waitingRows: 5,
    soloJobs: 0,
    processingJobs: 0,
  });
  const listed = await store.list({ limit: 10, cursor: null });
  assert.deepEqual(
    listed.jobs.map(({ id }) => id),
    [jobs[3]!.id, jobs[0]!.id],
  );
});

test('neither kind of job starves the other, and every one is claimed once', async () => {
  const store = await started();
  await store.submit(Array.from({ length: 20 }, (_, index) => jobOf(index % 2 === 0)));
  const order: boolean[][] = [];
  const seen = new Set<string>();
  for (;;) {
    const [claimed] = await store.claim([CLAIM]);
    assert(claimed);
    for (const job of claimed.jobs) seen.add(job.id);
    if (claimed.jobs.length > 0) order.push(claimed.jobs.map((job) => isUnrecorded(job.id)));
    if (claimed.leftRows === 0) break;
  }
  assert.equal(seen.size, 20);
  assert.deepEqual(
    order,
    Array.from({ length: 10 }, (_, turn) => (turn % 2 === 0 ? [true, true] : [false, false])),
  );
});

test('a claim that finds too few recorded jobs is filled up with the others', async () => {
  const store = await started();
  await store.submit([jobOf(false), jobOf(false), jobOf(false), jobOf(true)]);
  assert.deepEqual(
    (await store.claim([CLAIM]))[0]?.jobs.map(({ id }) => isUnrecorded(id)),
    [true, true],
  );
  const [second] = await store.claim([CLAIM]);
  assert.deepEqual(
    second?.jobs.map(({ id }) => isUnrecorded(id)),
    [false, true],
  );
  assert.equal(second.leftRows, 0);
});

test('what is not recorded is gone once it is decided, and a late word about it changes nothing', async () => {
  const store = await started();
  const job = jobOf(false);
  await store.submit([job]);
  await store.claim([CLAIM]);
  const fence = { job: job.id, attempt: 1, session: 's' };
  const [ended] = await store.settle([{ fence, outcome: DONE }]);
  assert.equal(ended?.type === 'applied' && ended.job.status, 'succeeded');
  assert.equal(await store.get(job.id), null);
  assert.deepEqual(await store.settle([{ fence, outcome: DONE }]), [{ type: 'unknown' }]);
  assert.deepEqual(await store.reconcile('s', [[job.id, 1]]), { kept: [], lost: [] });
});

test('what is not recorded is cancelled, reconciled and released like any other', async () => {
  const store = await started();
  const jobs = [jobOf(false), jobOf(true), jobOf(false)];
  await store.submit(jobs);
  assert.equal((await store.cancel(jobs[2]!.id))?.status, 'canceled');
  assert.equal(await store.get(jobs[2]!.id), null);
  for (let turn = 0; turn < 2; turn++) await store.claim([CLAIM]);
  const { kept, lost } = await store.reconcile('s', [[jobs[0]!.id, 1]]);
  assert.deepEqual([kept.map(({ id }) => id), lost.map(({ id }) => id)], [[jobs[0]!.id], [jobs[1]!.id]]);
  assert.deepEqual(
    (await store.release('s', 'free')).map(({ id, status }) => [id, status]),
    [[jobs[0]!.id, 'starting']],
  );
});

test('a recorded store that had nothing is not asked again until something may have come', async () => {
  const recorded = createMemoryStore({ clock });
  let asked = 0;
  const store = createSplitStore({
    recorded: {
      ...recorded,
      claim(requests) {
        asked += 1;
        return recorded.claim(requests);
      },
    },
    unrecorded: createMemoryStore({ clock, maxResults: 0 }),
    clock,
  });
  await store.start();
  const one = async (): Promise<boolean[]> => {
    const [claimed] = await store.claim([{ ...CLAIM, maxRows: 1 }]);
    return claimed!.jobs.map(({ id }) => isUnrecorded(id));
  };
  await store.submit(Array.from({ length: 16 }, () => jobOf(false)));
  assert.deepEqual([await one(), await one(), await one(), await one()], Array(4).fill([true]));
  assert.equal(asked, 1, 'once, by the second claim');

  await store.submit([jobOf(true)]);
  assert.deepEqual([await one(), await one()], [[true], [false]]);
  assert.equal(asked, 2);
  const [end] = await recorded.list({ limit: 1, cursor: null }).then(({ jobs }) => jobs);
  assert.deepEqual([await one(), await one()], [[true], [true]], 'the second asked, and found nothing');
  assert.equal(asked, 3);

  // It goes back into the queue.
  const fence = { job: end!.id, attempt: 1, session: 's' };
  await store.settle([
    { fence, outcome: { type: 'interrupted', error: { code: 'draining', message: '' }, loss: 'free' } },
  ]);
  assert.deepEqual([await one(), await one()], [[true], [false]]);

  // What nobody said anything about is found because time passes.
  await one();
  await one();
  await recorded.submit([jobOf(true)]);
  assert.deepEqual([await one(), await one()], [[true], [true]]);
  clock.advance(100);
  assert.deepEqual([await one(), await one()], [[true], [false]]);
});
