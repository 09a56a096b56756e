/** When a job is tried again, and with whom: back-off, and what becomes of jobs whose worker died. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { MAX_BACKOFF_MS } from '../../dispatch/backoff.ts';
import type { Job, Outcome } from '../../dispatch/job.ts';
import { LEASE_MS, START, applied, failed, interrupted, refusal, succeeded, type Check } from './bench.suite.ts';

const RUNNER_CRASHED: Outcome = {
  type: 'failed',
  error: { code: 'runner_crashed', message: 'it died' },
  retryable: true,
};

export function retrySuite(name: string, check: Check): void {
  const ids = (jobs: readonly Job[]): string[] => jobs.map(({ id }) => id).sort();

  describe(`${name}: back-off`, () => {
    check('a job that failed is out of line until its time, and back in its old place then', async (bench) => {
      const { store, run, accept, claim, end, get, clock } = bench;
      const job = await run();
      await accept({ caller: 'ben' });
      const waiting = applied(await end(job, failed(true)));
      const { nextAttemptAt } = waiting;
      assert.ok(nextAttemptAt !== null && nextAttemptAt > START && nextAttemptAt <= START + 500, `${nextAttemptAt}`);
      assert.equal((await get(job)).nextAttemptAt, nextAttemptAt);
      assert.equal(await store.queuePosition(job.id), null);
      assert.deepEqual((await store.counts()).get('plants'), {
        waitingJobs: 2,
        waitingRows: 1,
        soloJobs: 0,
        processingJobs: 0,
      });
      clock.advance(nextAttemptAt - START - 1);
      const [none] = await store.claim([{ ...REQUEST, model: 'clothes' }]);
      assert.deepEqual(none?.jobs, []);
      assert.equal((await get(job)).nextAttemptAt, nextAttemptAt);
      clock.advance(1);
      await store.sweep(100);
      assert.equal((await get(job)).nextAttemptAt, null);
      assert.equal(await store.queuePosition(job.id), 0);
      const [again] = await claim();
      assert.equal(again?.id, job.id);
      assert.equal(again.nextAttemptAt, null);
    });

    check('a claim finds what has become due by itself', async ({ run, end, claim, clock }) => {
      const job = await run();
      await end(job, failed(true));
      assert.deepEqual(await claim(), []);
      clock.advance(500);
      assert.deepEqual(ids(await claim()), [job.id]);
    });

    check('an interruption that is nobody’s fault is not waited for', async ({ run, end, claim }) => {
      const job = await run();
      assert.equal(applied(await end(job, interrupted('free'))).nextAttemptAt, null);
      assert.deepEqual(ids(await claim()), [job.id]);
    });

    check('a clock that is put back keeps nobody out of line', async ({ run, end, claim, clock }) => {
      const job = await run();
      await end(job, failed(true));
      clock.suspend(-3_600_000);
      assert.deepEqual(ids(await claim()), [job.id]);
    });

    check('out of line a job can be canceled, and its deadline passes', async (bench) => {
      const { store, run, end, clock, get } = bench;
      const canceled = await run();
      await end(canceled, failed(true));
      assert.equal((await store.cancel(canceled.id))?.status, 'canceled');
      assert.equal((await get(canceled)).nextAttemptAt, null);
      const late = await run({ deadlineAt: clock.now() + 1 });
      await end(late, failed(true));
      clock.advance(1);
      const { expired } = await store.sweep(100);
      assert.deepEqual(
        expired.map(({ id, status, nextAttemptAt }) => [id, status, nextAttemptAt]),
        [[late.id, 'aborted', null]],
      );
      assert.equal((await store.counts()).get('plants')?.waitingJobs, 0);
    });

    check(
      'out of line it still takes its place in the queue',
      async ({ store, run, end, job }) => {
        await end(await run(), failed(true));
        assert.equal(refusal((await store.submit([job()]))[0]), 'queue_full');
      },
      { queueLimitJobs: 1 },
    );

    check('a job tells of the attempts before, also when it has failed', async ({ run, end, again, get, clock }) => {
      const job = await run();
      clock.advance(5);
      await end(job, failed(true));
      const second = await again({ worker: 'gpu-2' });
      const past = [{ attempt: 1, worker: 'gpu-1', code: 'model_failed', message: 'it broke', endedAt: START + 5 }];
      assert.deepEqual(second.pastAttempts, past);
      await end(second, failed(true));
      const decided = applied(await end(await again({ worker: 'gpu-3' }), failed(true)));
      assert.deepEqual(
        decided.pastAttempts.map(({ attempt, worker }) => [attempt, worker]),
        [
          [1, 'gpu-1'],
          [2, 'gpu-2'],
          [3, 'gpu-3'],
        ],
      );
      assert.deepEqual((await get(job)).pastAttempts, decided.pastAttempts);
    });
  });

  describe(`${name}: what a worker died of`, () => {
    check('only the job that kills its worker alone is condemned for it', async (bench) => {
      const { store, accept, claim, end, get } = bench;
      const [poison, good, other] = [await accept(), await accept(), await accept()];
      await claim({ maxRows: 3 });
      const released = await store.release('s1', 'crashed');
      assert.deepEqual(
        released.map(({ solo, nextAttemptAt }) => [solo, nextAttemptAt]),
        [
          [true, null],
          [true, null],
          [true, null],
        ],
      );
      const healthy = await accept();
      const beside = await claim({ maxRows: 10 });
      assert.deepEqual(ids(beside), [healthy.id], 'suspects are passed over');
      for (let alone = 1; alone <= 3; alone += 1) {
        for (let turn = 0; turn < 3; turn += 1) {
          // Those that ran before are ahead of one that waits for its time.
          const [next] = await claim({ session: 's2', solo: true, maxRows: 10 });
          if (next === undefined) break;
          if (next.id === poison.id) await store.release('s2', 'crashed');
          else assert.equal(applied(await end(next, succeeded('red'))).status, 'succeeded');
        }
        bench.clock.advance(MAX_BACKOFF_MS);
      }
      assert.equal((await get(poison)).error?.code, 'attempts_exhausted');
      assert.equal((await get(poison)).pastAttempts.length, 4);
      for (const { id } of [good, other]) assert.equal((await store.get(id))?.status, 'succeeded');
      assert.equal(applied(await end(beside[0]!, succeeded('red'))).status, 'succeeded');
    });

    check('one that is lost alone in a crash is charged for it, and run alone from then on', async (bench) => {
      const { store, run, claim } = bench;
      const job = await run();
      const [lost] = await store.release('s1', 'crashed');
      assert.equal(lost?.nextAttemptAt, null, 'its worker was waited for already');
      assert.deepEqual(await claim(), []);
      assert.deepEqual(ids(await claim({ solo: true })), [job.id]);
      const [again] = await store.release('s1', 'crashed');
      assert.ok(again?.nextAttemptAt, 'the second time it waits');
    });

    check('silence suspects nobody the first time, and those who were there the second time', async (bench) => {
      const { store, accept, claim, clock } = bench;
      const jobs = [await accept(), await accept()];
      for (const session of ['s1', 's2']) {
        assert.deepEqual(ids(await claim({ session, maxRows: 2 })), ids(jobs));
        clock.advance(LEASE_MS);
        assert.equal((await store.sweep(100)).reclaimed.length, 2);
      }
      assert.deepEqual(await claim({ maxRows: 2 }), []);
      assert.equal((await store.counts()).get('plants')?.soloJobs, 2);
    });

    check('a runner that crashed makes suspects, and costs an attempt only alone', async (bench) => {
      const { accept, claim, again, end, get } = bench;
      await accept();
      await accept();
      const [a, b] = await claim({ maxRows: 2 });
      assert.ok(a && b);
      for (const job of [a, b]) assert.equal(applied(await end(job, RUNNER_CRASHED)).solo, true);
      assert.equal(applied(await end(await again(), succeeded('red'))).status, 'succeeded');
      let last = await again();
      for (let i = 0; i < 3; i += 1) {
        await end(last, RUNNER_CRASHED);
        if (i < 2) last = await again();
      }
      assert.equal((await get(last)).error?.code, 'attempts_exhausted');
    });

    check('a suspect is taken by a session of its version, when it fits', async ({ store, run, claim }) => {
      const job = await run({ version: '1', rows: 3 });
      await store.release('s1', 'crashed');
      const solo = { ...REQUEST, session: 's2', solo: true };
      const claims = await store.claim([
        { ...solo, version: '2', maxRows: 8, capacityRows: 8 },
        { ...solo, maxRows: 2, capacityRows: 8 },
      ]);
      assert.deepEqual(claims, [
        { jobs: [], leftRows: 0, soloJobs: 0 },
        { jobs: [], leftRows: 0, soloJobs: 1 },
      ]);
      assert.deepEqual(ids(await claim({ session: 's2', solo: true, maxRows: 3 })), [job.id]);
    });
  });
}

const REQUEST = {
  session: 's1',
  worker: 'gpu-1',
  model: 'plants',
  version: '1',
  maxRows: 1,
  capacityRows: 1,
  leaseMs: LEASE_MS,
};
