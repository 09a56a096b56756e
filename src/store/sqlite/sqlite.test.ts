/** The contract, on SQLite; and what only a file can get wrong. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, describe, test } from 'node:test';
import { createManualClock, type ManualClock } from '../../../test/support/manual-clock.ts';
import type { BlobStore } from '../../blobs/blobs.ts';
import { createDirectoryBlobs } from '../../blobs/directory.ts';
import type { Fence, Job, NewJob, Outcome } from '../../dispatch/job.ts';
import { storeSuite } from '../store.suite.ts';
import type { Store } from '../store.ts';
import { BLOB_GRACE_MS } from '../collect.ts';
import { createSqliteStore, type SqliteStoreOptions } from './sqlite.ts';

const folders: string[] = [];
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-sqlite-'));
  folders.push(folder);
  return folder;
}

type Options = Omit<SqliteStoreOptions, 'path' | 'blobs'>;

async function open(folder: string, options: Options): Promise<{ store: Store; blobs: BlobStore }> {
  const blobs = createDirectoryBlobs({ folder: join(folder, 'blobs'), clock: options.clock });
  await blobs.start();
  const store = createSqliteStore({ ...options, path: join(folder, 'jobs.sqlite'), blobs });
  await store.start();
  return { store, blobs };
}

storeSuite('sqlite', async (options) => (await open(await newFolder(), options)).store);

// ---- what a file adds ------------------------------------------------------------------------------------------------

const LEASE_MS = 18_000;
const HOUR_MS = 3_600_000;
let jobs = 0;

function job(over: Partial<NewJob> = {}): NewJob {
  jobs += 1;
  return {
    id: `job-${String(jobs).padStart(6, '0')}`,
    model: 'plants',
    version: null,
    input: { contentType: 'text/plain', bytes: Buffer.from('rose') },
    parameters: { top_k: 3 },
    rows: 1,
    priority: 0,
    caller: 'anna',
    deadlineAt: null,
    idempotencyKey: null,
    webhook: null,
    ...over,
  };
}

const fenceOf = ({ id, attempt, session }: Job): Fence => ({ job: id, attempt, session: session ?? 'none' });
const large = (): NewJob['input'] => ({ contentType: 'image/jpeg', bytes: randomBytes(100_000) });
const TIMINGS = { queueMs: 1, linkMs: 2, workerQueueMs: 3, decodeMs: 4, batchMs: 5, computeMs: 6 };

function succeeded(bytes: Uint8Array): Outcome {
  return { type: 'succeeded', output: { contentType: 'text/plain', bytes }, timings: TIMINGS };
}

async function claim(store: Store, session = 's1', maxRows = 10): Promise<Job[]> {
  const request = { session, worker: 'gpu', model: 'plants', version: '1', maxRows, capacityRows: maxRows };
  const [claimed] = await store.claim([{ ...request, leaseMs: LEASE_MS }]);
  return claimed?.jobs ?? [];
}

/** A test with a folder of its own; stores that it leaves open are closed. */
function check(
  title: string,
  body: (bench: {
    clock: ManualClock;
    folder: string;
    start: (options?: Partial<Options>) => Promise<{ store: Store; blobs: BlobStore }>;
  }) => Promise<void>,
): void {
  void test(title, async () => {
    const folder = await newFolder();
    const clock = createManualClock();
    const opened: Store[] = [];
    try {
      await body({
        clock,
        folder,
        async start(options) {
          const both = await open(folder, { clock, ...options });
          opened.push(both.store);
          return both;
        },
      });
    } finally {
      for (const store of opened) await store.stop();
    }
  });
}

void describe('sqlite: a restart', () => {
  check('jobs are as they were: waiting, running, decided', async ({ start }) => {
    const { store: before } = await start();
    const waiting = job({ version: '2', priority: 5, deadlineAt: Date.now() + HOUR_MS, idempotencyKey: 'key' });
    await before.submit([waiting, job(), job()]);
    const [done, running] = await claim(before);
    assert.ok(done && running);
    await before.settle([{ fence: fenceOf(done), outcome: succeeded(Buffer.from('a rose')) }]);
    await before.progress([{ fence: fenceOf(running), fraction: 0.5, message: 'half' }]);
    await before.cancel(running.id);
    const ids = [waiting.id, done.id, running.id];
    const views = await Promise.all(ids.map((id) => before.get(id)));
    await before.stop();

    const { store } = await start();
    assert.deepEqual(await Promise.all(ids.map((id) => store.get(id))), views);
    assert.deepEqual(
      [...(await store.counts())],
      [['plants', { waitingJobs: 1, waitingRows: 1, soloJobs: 0, processingJobs: 1 }]],
    );
    assert.equal((await store.submit([{ ...waiting, id: 'other' }]))[0]?.type, 'existing');
    assert.deepEqual(await store.heartbeat('s1', LEASE_MS), [running.id]);
    const [late] = await store.settle([{ fence: fenceOf(done), outcome: succeeded(Buffer.from('a tulip')) }]);
    assert.equal(late?.type, 'settled');
    assert.equal(Buffer.from((await store.get(done.id))?.output?.bytes ?? []).toString(), 'a rose');
  });

  check(
    'whoever held an attempt has a whole lease to come back in, and loses it after that',
    async ({ start, clock }) => {
      const { store: before } = await start();
      await before.submit([job()]);
      const [running] = await claim(before);
      assert.ok(running);
      await before.stop();
      // Longer than a lease: the machine was off.
      clock.advance(HOUR_MS);
      const { store } = await start({ leaseMs: LEASE_MS });
      assert.deepEqual((await store.sweep(10)).reclaimed, []);
      clock.advance(LEASE_MS - 1);
      assert.deepEqual((await store.sweep(10)).reclaimed, []);
      clock.advance(1);
      const { reclaimed } = await store.sweep(10);
      assert.deepEqual(
        reclaimed.map(({ id, status, attempt }) => [id, status, attempt]),
        [[running.id, 'starting', 1]],
      );
    },
  );

  check('the order of the queue and the fairness between callers go on', async ({ start }) => {
    const { store: before } = await start();
    const anna = Array.from({ length: 6 }, () => job());
    await before.submit(anna);
    await claim(before, 's1', 3);
    await before.stop();
    const { store } = await start();
    const ben = [job({ caller: 'ben' }), job({ caller: 'ben' })];
    await store.submit(ben);
    const order = (await claim(store, 's2', 5)).map(({ caller }) => caller);
    assert.deepEqual(order, ['ben', 'anna', 'ben', 'anna', 'anna']);
  });
});

void describe('sqlite: large payloads', () => {
  const settleTo = (clock: ManualClock, blobs: BlobStore, store: Store, wanted: number): Promise<void> =>
    eventually(async () => {
      clock.advance(1_000);
      await store.sweep(100);
      const left = await blobs.list(null, 10);
      return left.length === wanted;
    });

  check('they are blobs while they are needed, and are removed some time after', async ({ start, clock }) => {
    const { store, blobs } = await start({ resultTtlMs: HOUR_MS });
    const given = job({ input: large() });
    await store.submit([given, job()]);
    assert.equal((await blobs.list(null, 10)).length, 1);
    const claimed = await claim(store);
    const withBlob = claimed.find(({ id }) => id === given.id);
    assertSame(withBlob?.input.bytes, given.input.bytes);
    const output = randomBytes(80_000);
    await store.settle(claimed.map((one) => ({ fence: fenceOf(one), outcome: succeeded(output) })));
    for (const { id } of claimed) assertSame((await store.get(id))?.output?.bytes, output);
    assert.equal((await blobs.list(null, 10)).length, 2, 'the input, and one output for both');

    clock.advance(BLOB_GRACE_MS + 1_000);
    await settleTo(clock, blobs, store, 1);
    assert.ok(await store.get(given.id), 'its result is still kept');
    clock.advance(HOUR_MS);
    await settleTo(clock, blobs, store, 0);
    assert.equal(await store.get(given.id), null);
  });

  check('a blob that no row ever named is found', async ({ start, clock }) => {
    const { store, blobs } = await start();
    await blobs.put(randomBytes(70_000));
    clock.advance(BLOB_GRACE_MS + 1_000);
    await settleTo(clock, blobs, store, 0);
  });

  check('a refusal writes nothing', async ({ start }) => {
    const { store, blobs } = await start({ queueLimitJobs: 1, maxInputBytes: 200_000 });
    await store.submit([job({ input: large() })]);
    const [full] = await store.submit([job({ input: large() })]);
    assert.equal(full?.type === 'refused' && full.error.code, 'queue_full');
    const bytes = Buffer.alloc(150_000);
    const [heavy] = await store.submit([job({ model: 'clothes', input: { contentType: 'x', bytes } })]);
    assert.equal(heavy?.type === 'refused' && heavy.error.code, 'overloaded');
    assert.equal((await blobs.list(null, 10)).length, 1);
  });

  check('an idempotency key knows a large body again', async ({ start }) => {
    const { store } = await start();
    const given = job({ input: large(), idempotencyKey: 'key' });
    await store.submit([given]);
    assert.equal((await store.submit([{ ...given, id: 'again' }]))[0]?.type, 'existing');
    const [other] = await store.submit([{ ...given, id: 'other', input: large() }]);
    assert.equal(other?.type === 'refused' && other.error.code, 'idempotency_mismatch');
  });

  check('a job whose input was lost fails alone', async ({ start }) => {
    const { store, blobs } = await start();
    await store.submit([job({ input: large() }), job()]);
    const [blob] = await blobs.list(null, 10);
    await blobs.delete(blob?.key ?? '');
    const claimed = await claim(store);
    assert.equal(claimed.length, 1);
    assert.deepEqual(
      [...(await store.counts()).values()],
      [{ waitingJobs: 0, waitingRows: 0, soloJobs: 0, processingJobs: 1 }],
    );
    const { jobs: listed } = await store.list({ limit: 10, cursor: null, status: 'failed' });
    assert.equal(listed[0]?.error?.code, 'internal');
  });

  check('a page of a list ends before its outputs fill the memory', async ({ start }) => {
    const { store } = await start();
    await store.submit(Array.from({ length: 5 }, () => job()));
    const output = Buffer.alloc(3 * 1024 * 1024);
    for (const one of await claim(store)) await store.settle([{ fence: fenceOf(one), outcome: succeeded(output) }]);
    const sizes: number[] = [];
    for (let cursor: string | null | undefined = undefined; cursor !== null;) {
      const page = await store.list({ limit: 100, cursor: cursor ?? null });
      sizes.push(page.jobs.length);
      cursor = page.next;
    }
    assert.deepEqual(sizes, [2, 2, 1]);
  });
});

void describe('sqlite: one writer', () => {
  check('a call that cannot be written fails alone', async ({ start }) => {
    const { store } = await start();
    const good = job();
    const [bad, other] = await Promise.allSettled([store.submit([job({ rows: 1.5 })]), store.submit([good])]);
    assert.equal(bad.status, 'rejected');
    assert.equal(other.status === 'fulfilled' && other.value[0]?.type, 'accepted');
    assert.deepEqual(
      [...(await store.counts()).values()],
      [{ waitingJobs: 1, waitingRows: 1, soloJobs: 0, processingJobs: 0 }],
    );
  });

  check('what was called before a stop is answered', async ({ start }) => {
    const { store } = await start();
    const calls = Array.from({ length: 50 }, () => store.submit([job()]));
    await store.stop();
    for (const [outcome] of await Promise.all(calls)) assert.equal(outcome?.type, 'accepted');
    await assert.rejects(store.submit([job()]), { code: 'storage_failed' });
  });

  check('an idle store writes nothing', async ({ start, folder, clock }) => {
    const { store } = await start();
    await store.submit([job(), job()]);
    const error = { code: 'draining', message: 'taken back' } as const;
    for (const one of await claim(store)) {
      await store.settle([{ fence: fenceOf(one), outcome: { type: 'interrupted', error, loss: 'free' } }]);
    }
    const db = new DatabaseSync(join(folder, 'jobs.sqlite'));
    const written = (): unknown => db.prepare('PRAGMA wal_checkpoint(NOOP)').get()?.log;
    const before = written();
    assert.ok(Number(before) > 0);
    for (let second = 0; second < 10; second += 1) {
      clock.advance(1_000);
      await store.heartbeat('s1', LEASE_MS);
      await store.sweep(100);
      assert.deepEqual(await claim(store, 's2', 0), []);
    }
    assert.equal(written(), before);
    db.close();
  });

  check('a file that is no store is refused at the start', async ({ start, folder }) => {
    const db = new DatabaseSync(join(folder, 'jobs.sqlite'));
    db.exec('CREATE TABLE notes (text)');
    db.close();
    await assert.rejects(start(), { code: 'config_invalid', message: /database of something else/ });
  });

  check('results beyond their number go at the next sweep, the oldest first', async ({ start, clock }) => {
    const { store } = await start({ maxResults: 3 });
    const given = Array.from({ length: 6 }, () => job());
    await store.submit(given);
    for (const one of await claim(store)) {
      clock.advance(10);
      await store.settle([{ fence: fenceOf(one), outcome: succeeded(Buffer.from('x')) }]);
    }
    assert.equal((await store.sweep(2)).forgotten, 2);
    assert.equal((await store.sweep(10)).forgotten, 1);
    const left = await Promise.all(given.map(({ id }) => store.get(id)));
    assert.deepEqual(
      left.map((one) => one !== null),
      [false, false, false, true, true, true],
    );
  });
});

void describe('sqlite: two on one file', () => {
  check('one claims, the other does everything else; the role passes when it is yielded', async ({ start, clock }) => {
    const { store: first } = await start();
    await first.sweep(1);
    const { store: second } = await start();
    await second.submit([job(), job()]);
    assert.deepEqual(await claim(second), []);
    const [running] = await claim(first, 's1', 1);
    assert.ok(running);
    // The worker has moved on to the other one, and ends its attempt there.
    const [ended] = await second.settle([{ fence: fenceOf(running), outcome: succeeded(Buffer.from('x')) }]);
    assert.equal(ended?.type, 'applied');
    await first.stopClaiming();
    assert.deepEqual(await claim(first), []);
    clock.advance(1_000);
    assert.equal((await claim(second)).length, 1);
  });

  check('a session that is heard by the one without the role keeps its attempts', async ({ start, clock }) => {
    const { store: old } = await start();
    await old.submit([job()]);
    const [running] = await claim(old);
    assert.ok(running);
    const { store: next } = await start({ leaseMs: LEASE_MS });
    await old.stopClaiming();
    for (let second = 0; second < 90; second += 1) {
      clock.advance(1_000);
      await old.heartbeat('s1', LEASE_MS);
      assert.deepEqual((await next.sweep(10)).reclaimed, [], `after ${second} s`);
    }
    const silent: number[] = [];
    for (let second = 1; silent.length === 0; second += 1) {
      clock.advance(1_000);
      if ((await next.sweep(10)).reclaimed.length > 0) silent.push(second);
    }
    // A lease, one beat more, and the second in which it is noticed.
    assert.ok(silent[0]! >= 18 && silent[0]! <= 22, `reclaimed after ${silent[0]} s`);
  });
});

/** Not deepEqual: its explanation of two large buffers that differ takes minutes. */
function assertSame(got: Uint8Array | undefined, wanted: Uint8Array): void {
  assert.ok(
    got !== undefined && Buffer.compare(got, wanted) === 0,
    `${got?.length} bytes are not the ${wanted.length}`,
  );
}

/** Until it is so; the condition makes its own progress. */
async function eventually(condition: () => Promise<boolean>): Promise<void> {
  for (let round = 0; round < 500; round += 1) if (await condition()) return;
  assert.fail('it never came to be');
}
