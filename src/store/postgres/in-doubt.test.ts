/** A connection that breaks between a submission and its answer: the caller is answered all the same, and there is one job. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openProxy } from '../../../test/support/proxy.ts';
import { cannotRunPostgres, testPostgres } from '../../../test/support/postgres.ts';
import { systemClock } from '../../clock.ts';
import type { NewJob } from '../../dispatch/job.ts';
import { Secret } from '../../secret.ts';
import { createPostgresStore } from './postgres.ts';

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
