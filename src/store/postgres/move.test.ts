/** A store's way from SQLite to PostgreSQL: everything arrives, whoever cuts it off, and nobody writes meanwhile. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createManualClock } from '../../../test/support/manual-clock.ts';
import { cannotRunPostgres, testPostgres } from '../../../test/support/postgres.ts';
import { migrateDatabase } from '../../../test/support/postgres-store.ts';
import { createDirectoryBlobs } from '../../blobs/directory.ts';
import { systemClock } from '../../clock.ts';
import type { Job, NewJob, Outcome } from '../../dispatch/job.ts';
import { Secret } from '../../secret.ts';
import { createSqliteStore } from '../sqlite/sqlite.ts';
import type { Store } from '../store.ts';
import { createConnection } from './connection.ts';
import { moveStore, type MoveOptions } from './move.ts';
import { createPostgresStore } from './postgres.ts';

const skip = cannotRunPostgres();
const folder = mkdtempSync(join(tmpdir(), 'postern-move-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const path = join(folder, 'jobs.sqlite');
const blobs = createDirectoryBlobs({ folder: join(folder, 'blobs'), clock: systemClock });
const timings = { queueMs: 1, linkMs: 2, workerQueueMs: 3, decodeMs: 4, batchMs: 5, computeMs: 6 };
const webhook = { url: 'https://a.test/hook', events: ['start', 'completed'], base: 'http://gateway.test' } as const;
const large = Buffer.alloc(100_000, 'x');
const openSqlite = () => createSqliteStore({ clock: createManualClock(systemClock.now()), path, blobs });
const claimOf = (session: string, maxRows: number) => {
  return { session, worker: 'gpu', model: 'plants', version: '1', maxRows, capacityRows: maxRows, leaseMs: 60_000 };
};

let made = 0;
const newJob = (over: Partial<NewJob> = {}): NewJob => ({
  id: `job-${String((made += 1)).padStart(5, '0')}`,
  model: 'plants',
  version: null,
  input: { contentType: 'text/plain', bytes: Buffer.from('rose') },
  parameters: { top_k: 3 },
  rows: 1,
  priority: 0,
  caller: made % 2 === 0 ? 'anna' : 'ben',
  deadlineAt: null,
  idempotencyKey: null,
  webhook: null,
  ...over,
});

/** One of each kind: decided well and badly, cancelled, running, waiting, out of line, with a key, with a webhook, large. */
async function fill(store: Store): Promise<void> {
  await store.submit(Array.from({ length: 1_200 }, () => newJob()));
  await store.submit([
    newJob({ webhook, priority: 2 }),
    newJob({ webhook, priority: 2, input: { contentType: 'image/jpeg', bytes: large } }),
    newJob({ idempotencyKey: 'k', priority: 2, input: { contentType: 'image/jpeg', bytes: large } }),
    newJob({ version: '2', rows: 3 }),
  ]);
  const [claimed] = await store.claim([claimOf('s1', 10)]);
  const outcomes: Outcome[] = [
    { type: 'succeeded', output: { contentType: 'text/plain', bytes: Buffer.from('red') }, timings },
    { type: 'succeeded', output: { contentType: 'application/octet-stream', bytes: large }, timings },
    { type: 'failed', error: { code: 'model_failed', message: 'it broke' }, retryable: false },
    { type: 'failed', error: { code: 'model_failed', message: 'it broke' }, retryable: true },
  ];
  const ends = claimed!.jobs.slice(0, 4).map(({ id, attempt }, n) => ({
    fence: { job: id, attempt, session: 's1' },
    outcome: outcomes[n]!,
  }));
  await store.settle(ends);
  await store.cancel('job-01100');
  await store.rememberModels([{ name: 'plants', report: '{}', versions: ['1'], lastSeenAt: systemClock.now() }]);
}

async function allJobs(store: Store): Promise<Job[]> {
  const jobs: Job[] = [];
  for (let cursor: string | null | undefined; cursor !== null;) {
    const page = await store.list({ limit: 500, cursor: cursor ?? null });
    jobs.push(...page.jobs);
    cursor = page.next;
  }
  return jobs;
}
const plain = (jobs: readonly Job[]): unknown =>
  jobs.map(({ input, output, ...rest }) => ({
    ...rest,
    input: input.contentType,
    output: output && [output.contentType, Buffer.from(output.bytes).toString('hex')],
  }));

test(
  'jobs, payloads, deliveries and models arrive, also after a cut, and work goes on',
  { skip, timeout: 120_000 },
  async () => {
    await blobs.start();
    const sqlite = openSqlite();
    await sqlite.start();
    await fill(sqlite);
    const postgres = await testPostgres();
    const url = postgres.urlOf(await postgres.createDatabase());
    await migrateDatabase(url);
    const wire = { url: new Secret(url), clock: systemClock, meter: { statements: 0, transactions: 0 } };
    const connection = createConnection({ ...wire, connectMs: 30_000, answerMs: 120_000 });
    let done = 0;
    const options: MoveOptions = {
      path,
      connection,
      readBlob: (key) => blobs.get(key),
      blobs: null,
      leaseMs: 18_000,
      onProgress: (moved) => {
        done = moved;
      },
    };
    await assert.rejects(moveStore(options), { code: 'config_invalid', message: /a gateway runs/ });
    const before = {
      jobs: await allJobs(sqlite),
      counts: await sqlite.counts(),
      models: await sqlite.knownModels(),
      deliveries: (await sqlite.deliveries.list({ limit: 100, cursor: null })).deliveries,
    };
    await sqlite.stop();

    const cut = { ...options, onProgress: () => assert.fail('cut off') };
    await assert.rejects(moveStore(cut), /cut off/);
    const summary = await moveStore(options);
    assert.equal(summary.jobs, before.jobs.length);
    assert.equal(summary.alreadyThere, 500);
    assert.equal(done, before.jobs.length);
    assert.equal(summary.deliveries, 4);
    assert.match(summary.digest, /^[0-9a-f]{64}$/);
    assert.equal((await moveStore(options)).digest, summary.digest, 'again: only compared');
    await connection.stop();

    const store = createPostgresStore({
      clock: systemClock,
      url: new Secret(url),
      blobs: null,
      connectMs: 30_000,
      answerMs: 120_000,
    });
    await store.start();
    try {
      assert.deepEqual(plain(await allJobs(store)), plain(before.jobs));
      assert.deepEqual([...(await store.counts())], [...before.counts]);
      assert.deepEqual(await store.knownModels(), before.models);
      assert.deepEqual((await store.deliveries.list({ limit: 100, cursor: null })).deliveries, before.deliveries);
      const failed = before.jobs.find(({ status }) => status === 'failed')!;
      assert.equal((await store.failedInput(failed.id))?.bytes.byteLength, large.byteLength);
      // The key is known by the same digest, and its worker may go on with what it holds.
      const keyed = before.jobs.find(({ idempotencyKey }) => idempotencyKey === 'k')!;
      const again = { ...newJob(), ...keyed, id: 'again', input: { contentType: 'image/jpeg', bytes: large } };
      assert.equal((await store.submit([again]))[0]?.type, 'existing');
      const held = before.jobs
        .filter(({ status }) => status === 'processing')
        .map(({ id, attempt }) => [id, attempt] as const);
      assert.equal((await store.reconcile('s1', held)).kept.length, held.length);
      const sent = await store.deliveries.claim({ limit: 10, perHost: 10, inFlight: new Map(), leaseMs: 20_000 });
      assert.equal(
        sent.find(({ event, job }) => event === 'completed' && job.status === 'succeeded')?.webhook.url,
        webhook.url,
      );
      const [next] = await store.claim([claimOf('s2', 5)]);
      assert.equal(next?.jobs.length, 5);
      assert.equal((await store.submit([newJob()]))[0]?.type, 'accepted');
    } finally {
      await store.stop();
    }
  },
);

test('a database with jobs of its own is left alone', { skip }, async () => {
  const postgres = await testPostgres();
  const url = postgres.urlOf(await postgres.createDatabase());
  const store = createPostgresStore({
    clock: systemClock,
    url: new Secret(url),
    blobs: null,
    connectMs: 30_000,
    answerMs: 120_000,
  });
  await store.start();
  await store.submit([newJob()]);
  await store.stop();
  const wire = { url: new Secret(url), clock: systemClock, meter: { statements: 0, transactions: 0 } };
  const connection = createConnection({ ...wire, connectMs: 30_000, answerMs: 120_000 });
  const options = {
    path,
    connection,
    readBlob: () => Promise.resolve(null),
    blobs: null,
    leaseMs: 1,
    onProgress: () => undefined,
  };
  await assert.rejects(moveStore(options), { code: 'config_invalid', message: /jobs of its own/ });
  await connection.stop();
});
