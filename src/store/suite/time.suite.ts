/** What time ends, and what callers can look at. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import type { Job } from '../../dispatch/job.ts';
import { MAX_BACKOFF_MS } from '../../dispatch/backoff.ts';
import { START, LEASE_MS, HOUR_MS, failed, succeeded, interrupted, type Check } from './bench.suite.ts';

export function timeSuite(name: string, check: Check): void {
  describe(`${name}: time`, () => {
    check('a deadline that passes before it ran aborts', async ({ store, accept, clock, claim }) => {
      const job = await accept({ deadlineAt: START + 1_000 });
      clock.advance(999);
      assert.deepEqual((await store.sweep(100)).expired, []);
      clock.advance(1);
      const { expired } = await store.sweep(100);
      assert.deepEqual(
        expired.map(({ id, status, error }) => [id, status, error?.code]),
        [[job.id, 'aborted', 'deadline_exceeded']],
      );
      assert.deepEqual(await claim(), []);
    });

    check(
      'a deadline that passes while it runs fails; the late result is harmless',
      async ({ store, run, clock, end, get }) => {
        const job = await run({ deadlineAt: START + 1_000 });
        clock.advance(1_000);
        const { expired } = await store.sweep(100);
        assert.equal(expired[0]?.status, 'failed');
        assert.equal((await end(job, succeeded('late'))).type, 'settled');
        assert.equal((await get(job)).error?.code, 'deadline_exceeded');
      },
    );

    check('a decided job has no deadline any more', async ({ store, run, clock, end, get }) => {
      const job = await run({ deadlineAt: START + 1_000 });
      await end(job, succeeded('red'));
      clock.advance(2_000);
      assert.deepEqual((await store.sweep(100)).expired, []);
      assert.equal((await get(job)).status, 'succeeded');
    });

    check(
      'a job without a deadline waits for so long, and runs for as long as it likes',
      async ({ store, accept, run, clock }) => {
        await run();
        const waiting = await accept();
        clock.advance(10_000);
        await store.heartbeat('s1', LEASE_MS);
        const { expired } = await store.sweep(100);
        assert.deepEqual(
          expired.map(({ id, status }) => [id, status]),
          [[waiting.id, 'aborted']],
        );
      },
      { waitTtlMs: 10_000 },
    );

    check(
      'results are forgotten after their time',
      async ({ store, run, end, clock }) => {
        const job = await run();
        await end(job, succeeded('red'));
        clock.advance(HOUR_MS - 1);
        assert.equal((await store.sweep(100)).forgotten, 0);
        clock.advance(1);
        assert.equal((await store.sweep(100)).forgotten, 1);
        assert.equal(await store.get(job.id), null);
        assert.equal((await end(job, succeeded('red'))).type, 'unknown');
        assert.deepEqual((await store.list({ limit: 10, cursor: null })).jobs, []);
      },
      { resultTtlMs: HOUR_MS },
    );

    check('a sweep does at most so much, and the next one the rest', async ({ store, accept, clock }) => {
      for (let i = 0; i < 5; i += 1) await accept({ deadlineAt: START + 10 });
      clock.advance(10);
      assert.equal((await store.sweep(3)).expired.length, 3);
      assert.equal((await store.sweep(3)).expired.length, 2);
      assert.equal((await store.sweep(3)).expired.length, 0);
    });
  });

  describe(`${name}: views`, () => {
    check('a list is newest first, in pages, by status and model', async ({ store, accept, run, end }) => {
      const made: Job[] = [];
      for (let i = 0; i < 5; i += 1) made.push(await accept({ model: i % 2 === 0 ? 'plants' : 'clothes' }));
      const seen: string[] = [];
      let cursor: string | null = null;
      do {
        const page: { jobs: Job[]; next: string | null } = await store.list({ limit: 2, cursor });
        assert.ok(page.jobs.length <= 2);
        seen.push(...page.jobs.map(({ id }) => id));
        cursor = page.next;
      } while (cursor !== null);
      assert.deepEqual(seen, made.map(({ id }) => id).reverse());
      const decided = await run({ model: 'plants', priority: 1 });
      await end(decided, succeeded('red'));
      const list = async (filter: object) => (await store.list({ limit: 10, cursor: null, ...filter })).jobs.length;
      assert.equal(await list({ status: 'succeeded' }), 1);
      assert.equal(await list({ model: 'clothes' }), 2);
      assert.equal(await list({ model: 'plants', status: 'starting' }), 3);
    });

    check('a new job between two pages repeats and hides nothing', async ({ store, accept }) => {
      const first = await accept();
      const second = await accept();
      const page = await store.list({ limit: 1, cursor: null });
      assert.equal(page.jobs[0]?.id, second.id);
      await accept();
      assert.equal((await store.list({ limit: 1, cursor: page.next })).jobs[0]?.id, first.id);
    });

    check('a cursor that no page gave is refused', async ({ store }) => {
      for (const cursor of ['', 'x', '-1', '1e9', '"; DROP TABLE job']) {
        await assert.rejects(async () => store.list({ limit: 1, cursor }), { code: 'bad_parameter' }, cursor);
      }
    });

    check('the position in the queue counts what would be claimed before', async ({ store, accept, claim, end }) => {
      const [a, b, c] = [await accept(), await accept({ version: '1' }), await accept({ priority: 3 })];
      const positions = () => Promise.all([a, b, c].map(({ id }) => store.queuePosition(id)));
      assert.deepEqual(await positions(), [1, 2, 0]);
      const [taken] = await claim();
      assert.ok(taken);
      assert.deepEqual(await positions(), [0, 1, null]);
      await end(taken, succeeded('red'));
      assert.deepEqual(await positions(), [0, 1, null]);
      assert.equal(await store.queuePosition('nobody'), null);
    });

    check('the age of the oldest is told of what might be claimed', async ({ store, clock, accept, claim, end }) => {
      const ages = async () => Object.fromEntries(await store.oldestWaiting());
      assert.deepEqual(await ages(), {});
      await accept({ priority: -1 });
      clock.advance(3_000);
      await accept({ model: 'iris', version: '2' });
      await accept({ caller: 'ben', priority: 5 });
      clock.advance(1_000);
      assert.deepEqual(await ages(), { plants: 4_000, iris: 1_000 });
      const [newer] = await claim({ maxRows: 1 });
      assert.deepEqual(await ages(), { plants: 4_000, iris: 1_000 }, 'what is claimed first is not the oldest');
      const [older] = await claim({ maxRows: 1 });
      assert.ok(newer && older);
      assert.deepEqual(await ages(), { iris: 1_000 });
      // It stands in no line until the time of its next attempt, and then where it stood before.
      await end(older, failed(true));
      assert.deepEqual(await ages(), { iris: 1_000 });
      clock.advance(MAX_BACKOFF_MS);
      await store.sweep(100);
      assert.deepEqual(await ages(), { plants: 4_000 + MAX_BACKOFF_MS, iris: 1_000 + MAX_BACKOFF_MS });
    });

    check('counts follow every move', async ({ store, accept, claim, end }) => {
      const counts = async () => (await store.counts()).get('plants');
      await accept({ rows: 3 });
      await accept();
      assert.deepEqual(await counts(), { waitingJobs: 2, waitingRows: 4, soloJobs: 0, processingJobs: 0 });
      const [job] = await claim({ maxRows: 3 });
      assert.ok(job);
      assert.deepEqual(await counts(), { waitingJobs: 1, waitingRows: 1, soloJobs: 0, processingJobs: 1 });
      await end(job, interrupted('silent'));
      assert.deepEqual(await counts(), { waitingJobs: 2, waitingRows: 4, soloJobs: 0, processingJobs: 0 });
      for (const again of await claim({ maxRows: 4 })) await end(again, succeeded('red'));
      assert.deepEqual(await counts(), { waitingJobs: 0, waitingRows: 0, soloJobs: 0, processingJobs: 0 });
    });
  });
}
