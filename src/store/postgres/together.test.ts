/** Several gateways on one database at the same moment: what one process has by itself, all of them have together. */
import assert from 'node:assert/strict';
import { before, after, describe, test } from 'node:test';
import { cannotRunPostgres, testPostgres } from '../../../test/support/postgres.ts';
import { migrateDatabase } from '../../../test/support/postgres-store.ts';
import { systemClock } from '../../clock.ts';
import type { NewJob, Outcome } from '../../dispatch/job.ts';
import { Secret } from '../../secret.ts';
import type { Store, StoreHint, SubmitOutcome } from '../store.ts';
import type { PostgresStoreOptions } from './options.ts';
import { createPostgresStore } from './postgres.ts';

const GATEWAYS = 4;
const timings = { queueMs: 1, linkMs: 2, workerQueueMs: 3, decodeMs: 4, batchMs: 5, computeMs: 6 };
const outcome: Outcome = {
  type: 'succeeded',
  output: { contentType: 'text/plain', bytes: Buffer.from('red') },
  timings,
};

let made = 0;
const newJob = (over: Partial<NewJob> = {}): NewJob => ({
  id: `job-${String((made += 1)).padStart(6, '0')}`,
  model: 'plants',
  version: null,
  input: { contentType: 'text/plain', bytes: Buffer.from('rose') },
  parameters: {},
  rows: 1,
  priority: 0,
  caller: 'anna',
  deadlineAt: null,
  idempotencyKey: null,
  webhook: null,
  ...over,
});
const claimOf = (session: string, maxRows: number) => {
  return { session, worker: session, model: 'plants', version: '1', maxRows, capacityRows: maxRows, leaseMs: 60_000 };
};
const count = (outcomes: readonly SubmitOutcome[], type: SubmitOutcome['type']): number =>
  outcomes.filter((one) => one.type === type).length;

describe('gateways on one database', { skip: cannotRunPostgres() }, () => {
  let url = '';
  before(async () => {
    const postgres = await testPostgres();
    const database = await postgres.createDatabase();
    url = postgres.urlOf(database);
    await migrateDatabase(url);
  });
  let stores: Store[] = [];
  after(() => Promise.all(stores.map((store) => store.stop())));

  /** On a database of their own. */
  async function gateways(options: Partial<PostgresStoreOptions> = {}): Promise<Store[]> {
    await Promise.all(stores.map((store) => store.stop()));
    const postgres = await testPostgres();
    url = postgres.urlOf(await postgres.createDatabase());
    // All at once, on an empty database: one migrates, and the others wait for it.
    stores = Array.from({ length: GATEWAYS }, () =>
      createPostgresStore({
        clock: systemClock,
        url: new Secret(url),
        blobs: null,
        connectMs: 30_000,
        answerMs: 120_000,
        ...options,
      }),
    );
    await Promise.all(stores.map((store) => store.start()));
    return stores;
  }

  test('a bound is a bound of all together, however many come at once', async () => {
    const all = await gateways({ queueLimitJobs: 37 });
    const given = await Promise.all(
      all.flatMap((store) => Array.from({ length: 5 }, () => store.submit(Array.from({ length: 4 }, () => newJob())))),
    );
    assert.equal(count(given.flat(), 'accepted'), 37);
    assert.equal((await all[0]!.counts()).get('plants')?.waitingJobs, 37);
    const quota = await Promise.all(
      all.flatMap((store) =>
        Array.from({ length: 5 }, () =>
          store.submit([{ ...newJob({ caller: 'ben', model: 'clothes' }), maxUndecidedJobs: 7 }]),
        ),
      ),
    );
    assert.equal(count(quota.flat(), 'accepted'), 7);
  });

  test('one key makes one job, wherever it comes in', async () => {
    const all = await gateways();
    const given = await Promise.all(
      all.flatMap((store) =>
        Array.from({ length: 10 }, (_, n) => store.submit([newJob({ idempotencyKey: `key-${n % 3}` })])),
      ),
    );
    assert.equal(count(given.flat(), 'accepted'), 3);
    assert.equal(count(given.flat(), 'existing'), 37);
    const ids = new Set(given.flat().map((one) => (one.type === 'refused' ? one.error.message : one.job.id)));
    assert.equal(ids.size, 3);
  });

  test('no two get the same job, and each is decided once', async () => {
    const all = await gateways();
    const jobs = Array.from({ length: 400 }, () => newJob());
    await all[0]!.submit(jobs);
    const claims = await Promise.all(
      all.flatMap((store, index) => Array.from({ length: 12 }, (_, n) => store.claim([claimOf(`s${index}-${n}`, 10)]))),
    );
    const taken = claims.flat().flatMap((one) => one.jobs);
    assert.equal(new Set(taken.map(({ id }) => id)).size, taken.length);
    // Every one of them is settled at two gateways.
    const ends = taken.map(({ id, attempt, session }) => ({ fence: { job: id, attempt, session: session! }, outcome }));
    const settled = await Promise.all([all[1]!.settle(ends), all[2]!.settle(ends)]);
    const applied = settled.flat().filter(({ type }) => type === 'applied');
    assert.equal(applied.length, taken.length);
    const counts = (await all[3]!.counts()).get('plants');
    assert.deepEqual([counts?.processingJobs, counts?.waitingJobs], [0, 400 - taken.length]);
  });

  test('a lease that ran out is taken back once, and a heartbeat at another gateway keeps it', async () => {
    const all = await gateways();
    await all[0]!.submit([newJob(), newJob()]);
    const lease = { ...claimOf('dead', 1), leaseMs: 1 };
    const [lost] = await all[0]!.claim([lease]);
    await all[1]!.claim([{ ...claimOf('alive', 1), leaseMs: 1 }]);
    await all[2]!.heartbeat('alive', 60_000);
    const swept = await Promise.all(all.map((store) => store.sweep(100)));
    const reclaimed = swept.flatMap((one) => one.reclaimed.map(({ id }) => id));
    assert.deepEqual(reclaimed, [lost!.jobs[0]!.id]);
  });

  test('they tell each other of work and of decisions', async () => {
    const all = await gateways();
    const missing = new Set<string>(['waiting', 'decided']);
    const heard = new Promise<void>((resolve) => {
      all[1]!.onHint!((hint: StoreHint) => {
        if (hint.type === 'waiting' && hint.models.includes('plants')) missing.delete('waiting');
        if (hint.type === 'decided' && hint.jobs !== null) missing.delete('decided');
        if (missing.size === 0) resolve();
      });
    });
    // Again and again: nobody knows when it listens, and a hint may be lost.
    let isHeard = false;
    const talking = (async () => {
      while (!isHeard) {
        await all[0]!.submit([newJob()]);
        all[0]!.tellWaiting!(['plants']);
        const [claimed] = await all[0]!.claim([claimOf('s', 1)]);
        await all[0]!.settle(
          claimed!.jobs.map(({ id, attempt }) => ({ fence: { job: id, attempt, session: 's' }, outcome })),
        );
      }
    })();
    await heard;
    isHeard = true;
    await talking;
  });

  test('however many models wait, all are told, and nobody is told of a job that was accepted and no more', async () => {
    const [one, other] = (await gateways()) as [Store, Store];
    const names = Array.from({ length: 50 }, (_, n) => `model-${n}`);
    const heard = new Set<string>();
    const { promise, resolve } = Promise.withResolvers<void>();
    other.onHint!((hint: StoreHint) => {
      if (hint.type !== 'waiting') return;
      for (const model of hint.models) heard.add(model);
      if (names.every((name) => heard.has(name))) resolve();
    });
    await one.submit([newJob()]);
    let isHeard = false;
    // Again and again: nobody knows when it listens.
    const telling = (async () => {
      while (!isHeard) {
        one.tellWaiting!(names);
        await one.probe();
      }
    })();
    await promise;
    isHeard = true;
    await telling;
    assert.ok(!heard.has('plants'));
  });

  test('texts that PostgreSQL cannot keep are kept as far as they can be', async () => {
    const all = await gateways();
    await all[0]!.submit([newJob({ id: 'nul', parameters: { text: 'a\0b\ud800c' } })]);
    const [claimed] = await all[0]!.claim([claimOf('s', 1)]);
    assert.deepEqual(claimed?.jobs[0]?.parameters, { text: 'a\0b\ud800c' });
    const error = { code: 'model_failed', message: 'a\0b\ud800c' } as const;
    const fence = { job: 'nul', attempt: 1, session: 's' };
    await all[0]!.settle([{ fence, outcome: { type: 'failed', error, retryable: false } }]);
    assert.equal((await all[0]!.get('nul'))?.error?.message, 'a\ufffdb\ufffdc');
  });

  test('a release that is older than what the database needs refuses it, and says so', async () => {
    const [store] = await gateways();
    const postgres = await testPostgres();
    await postgres.query(
      "INSERT INTO postern.migration (version, name, oldest) VALUES (99, 'of a later release', 99)",
      /\/(test_\d+)\?/.exec(url)![1],
    );
    const older = createPostgresStore({ clock: systemClock, url: new Secret(url), blobs: null });
    await assert.rejects(older.start(), { code: 'config_invalid', message: /use a newer release/ });
    await older.stop();
    // Whoever runs already goes on.
    await store!.probe();
  });
});
