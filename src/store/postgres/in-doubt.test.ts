/** A connection that breaks between a submission and its answer: the caller is answered all the same, and there is one job. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openProxy } from '../../../test/support/proxy.ts';
import { cannotRunPostgres, testPostgres } from '../../../test/support/postgres.ts';
import { systemClock } from '../../clock.ts';
import type { NewJob } from '../../dispatch/job.ts';
import { Secret } from '../../secret.ts';
import { createConnection, type Connection } from './connection.ts';
import { createPostgresStore } from './postgres.ts';
import { createRead } from './reads.ts';

let made = 0;
const newJob = (idempotencyKey: string | null): NewJob => ({
  id: `job-${(made += 1)}`,
  model: 'plants',
  version: null,
  input: { contentType: 'text/plain', bytes: Buffer.from('rose') },
  parameters: {},
  rows: 1,
  priority: 0,
  caller: 'anna',
  deadlineAt: null,
  idempotencyKey,
  webhook: null,
});

describe('a submission whose answer is lost', { skip: cannotRunPostgres(), timeout: 120_000 }, () => {
  for (const [what, queueLimitJobs] of [
    ['far from every bound', 10_000],
    ['near a bound', 16],
  ] as const) {
    for (const key of [null, 'a key']) {
      test(`${what}, ${key === null ? 'without a key' : 'with one'}: accepted, once`, async (t) => {
        const postgres = await testPostgres();
        const database = await postgres.createDatabase();
        const way = await openProxy(postgres.port);
        const url = new Secret(postgres.tcpUrlOf(database, way.port));
        const store = createPostgresStore({ clock: systemClock, url, blobs: null, queueLimitJobs, connectMs: 30_000 });
        await store.start();
        t.after(async () => {
          await store.stop();
          await way.close();
        });
        // Every connection that is used is open from here on.
        await store.submit([newJob(null)]);
        // An answer has more bytes: what was asked for is done, and nobody hears of it. A transaction of several steps is cut in each.
        for (const bytes of [1, 200, 400]) {
          for (const one of way.connections) one.endAfter('down', bytes, 'reset');
          const job = newJob(key === null ? null : `${key} ${bytes}`);
          const [outcome] = await store.submit([job]);
          assert.equal(outcome?.type, 'accepted', JSON.stringify(outcome));
          const [again] = await store.submit([{ ...job, id: `${job.id} again` }]);
          assert.equal(again?.type, key === null ? 'accepted' : 'existing');
          const rows = await postgres.query(
            `SELECT count(*)::int AS n FROM postern.job WHERE id = '${job.id}'`,
            database,
          );
          assert.deepEqual(rows, [{ n: 1 }]);
        }
        const [{ jobs, waiting } = {}] = await postgres.query(
          'SELECT (SELECT count(*)::int FROM postern.job) AS jobs, (SELECT sum(waiting_jobs)::int FROM postern.lane) AS waiting',
          database,
        );
        assert.equal(jobs, waiting, 'each is counted once');
      });
    }
  }
});

test(
  'a read goes on from one broken connection to the next',
  { skip: cannotRunPostgres(), timeout: 120_000 },
  async (t) => {
    const postgres = await testPostgres();
    const database = await postgres.createDatabase();
    const way = await openProxy(postgres.port);
    const url = new Secret(postgres.tcpUrlOf(database, way.port));
    const meter = { statements: 0, transactions: 0 };
    const connect = () => createConnection({ clock: systemClock, url, meter, connectMs: 30_000, answerMs: 30_000 });
    const [first, second, holder] = [connect(), connect(), connect()];
    t.after(async () => {
      for (const one of [first, second, holder]) await one.stop();
      await way.close();
    });
    const locked = { text: 'SELECT pg_advisory_xact_lock(1)::text', values: [] };
    /** Keeps a connection busy until it is told to end. */
    async function occupy(connection: Connection, statement = { text: 'SELECT 1', values: [] }) {
      const [begun, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const done = connection.transaction(async (run) => {
        await run([statement]);
        begun.resolve();
        await end.promise;
      });
      await Promise.race([begun.promise, done]);
      return async () => {
        end.resolve();
        await done;
      };
    }
    const unlock = await occupy(holder, locked);
    const ends = [await occupy(first), await occupy(first), await occupy(second)];
    // The less busy one is asked; when it has broken, the other one is as free as it is.
    const read = createRead([first, second], systemClock)(locked.text);
    await ends[0]!();
    for (const one of way.connections.slice(1)) one.endAfter('down', 1, 'reset');
    await unlock();
    assert.deepEqual(await read, [['']]);
    assert.equal(way.connections.length, 4, 'one was dialled anew');
    for (const end of ends.slice(1)) await assert.rejects(end);
  },
);
