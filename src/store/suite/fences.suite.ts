/** Who may end an attempt, and what its end means. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import type { Job } from '../../dispatch/job.ts';
import { MAX_FENCES } from '../../dispatch/verdict.ts';
import {
  START,
  fenceOf,
  succeeded,
  failed,
  interrupted,
  canceled,
  applied,
  TIMINGS,
  type Check,
} from './bench.suite.ts';

export function fencesSuite(name: string, check: Check): void {
  describe(`${name}: fences`, () => {
    check(
      'another attempt, another session, an unknown job: nothing changes',
      async ({ store, run, end, claim, get }) => {
        const first = await run();
        await end(first, interrupted('silent'));
        const [second] = await claim({ session: 's2' });
        assert.ok(second);
        const before = await get(second);
        const outcomes = await store.settle([
          { fence: fenceOf(first), outcome: succeeded('late') },
          { fence: { ...fenceOf(second), session: 's1' }, outcome: succeeded('not mine') },
          { fence: { ...fenceOf(second), attempt: 3 }, outcome: succeeded('not yet') },
          { fence: { ...fenceOf(second), job: 'nobody' }, outcome: succeeded('nothing') },
        ]);
        assert.deepEqual(
          outcomes.map(({ type }) => type),
          ['stale', 'stale', 'stale', 'unknown'],
        );
        assert.deepEqual(await get(second), before);
      },
    );

    check('a lost attempt is stale before anybody else has taken the job', async ({ run, end }) => {
      const job = await run();
      await end(job, interrupted('free'));
      assert.equal((await end(job, succeeded('late'))).type, 'stale');
    });

    check('a decision is made once, also within one batch', async ({ store, run, get }) => {
      const job = await run();
      const fence = fenceOf(job);
      const outcomes = await store.settle([
        { fence, outcome: succeeded('first') },
        { fence, outcome: succeeded('second') },
        { fence, outcome: failed(false) },
      ]);
      assert.deepEqual(
        outcomes.map(({ type }) => type),
        ['applied', 'settled', 'settled'],
      );
      assert.equal(Buffer.from((await get(job)).output?.bytes ?? []).toString(), 'first');
    });

    check('progress is fenced as well', async ({ store, run, end, get }) => {
      const job = await run();
      const fence = fenceOf(job);
      const [mine, other] = await store.progress([
        { fence, fraction: 0.5, message: 'half' },
        { fence: { ...fence, session: 's2' }, fraction: 0.9, message: null },
      ]);
      assert.deepEqual(applied(mine).progress, { fraction: 0.5, message: 'half' });
      assert.equal(other?.type, 'stale');
      assert.deepEqual((await get(job)).progress, { fraction: 0.5, message: 'half' });
      await end(job, interrupted('free'));
      assert.equal((await get(job)).progress, null);
    });

    check('what was read stays as it was read', async ({ accept, claim, end, get }) => {
      const accepted = await accept();
      const [running] = await claim();
      assert.ok(running);
      await end(running, succeeded('red'));
      assert.equal(accepted.status, 'starting');
      assert.equal(running.status, 'processing');
      assert.equal(running.output, null);
      assert.deepEqual(await get(running), await get(running));
    });
  });

  describe(`${name}: ends`, () => {
    check('a result decides; the input is let go', async ({ run, end, get, clock }) => {
      const job = await run();
      clock.advance(40);
      const bytes = Buffer.from('a view on something larger').subarray(2, 6);
      const output = { contentType: 'text/plain', bytes };
      const decided = applied(await end(job, { type: 'succeeded', output, timings: TIMINGS }));
      assert.equal(decided.status, 'succeeded');
      assert.equal(decided.completedAt, START + 40);
      assert.deepEqual(decided.timings, TIMINGS);
      const stored = await get(job);
      assert.equal(Buffer.from(stored.output?.bytes ?? []).toString(), 'view');
      assert.equal(stored.input.bytes.byteLength, 0);
      assert.equal(stored.error, null);
    });

    check('an error that would come again decides at once', async ({ run, end }) => {
      const decided = applied(await end(await run(), failed(false)));
      assert.equal(decided.status, 'failed');
      assert.deepEqual(decided.error, { code: 'model_failed', message: 'it broke' });
    });

    check(
      'an error that may pass is tried three times, at the old place in the queue',
      async ({ accept, claim, again, end, run, clock }) => {
        const job = await run();
        const behind = await accept();
        assert.equal(applied(await end(job, failed(true))).status, 'starting');
        const second = await again();
        assert.equal(second.id, job.id);
        assert.equal(second.attempt, 2);
        await end(second, failed(true));
        const third = await again();
        assert.equal(third.attempt, 3);
        assert.ok(clock.now() > START);
        const decided = applied(await end(third, failed(true)));
        assert.equal(decided.status, 'failed');
        assert.equal(decided.error?.code, 'model_failed');
        assert.deepEqual(
          (await claim()).map(({ id }) => id),
          [behind.id],
        );
      },
    );

    check('a job whose attempts were all interrupted fails, and says which', async ({ run, end, again }) => {
      let job = await run();
      for (let i = 0; i < 2; i += 1) {
        assert.equal(applied(await end(job, interrupted('silent'))).status, 'starting');
        job = await again({ worker: `gpu-${i + 2}` });
      }
      const decided = applied(await end(job, interrupted('silent')));
      assert.equal(decided.error?.code, 'attempts_exhausted');
      assert.match(decided.error.message, /1 on gpu-1: worker_lost; 2 on gpu-2: worker_lost; 3 on gpu-3: worker_lost/);
    });

    check(
      'an interruption that is nobody’s fault costs no attempt, and cannot go on for ever',
      async ({ run, end, claim }) => {
        let job: Job | undefined = await run();
        for (let attempt = 1; attempt < MAX_FENCES; attempt += 1) {
          assert.equal(applied(await end(job, interrupted('free'))).status, 'starting', `attempt ${attempt}`);
          [job] = await claim();
          assert.equal(job?.attempt, attempt + 1);
        }
        assert.equal(applied(await end(job, interrupted('free'))).error?.code, 'attempts_exhausted');
      },
    );
  });

  describe(`${name}: cancel`, () => {
    check('a waiting job is canceled at once, and not given out', async ({ store, accept, claim }) => {
      const job = await accept();
      const decided = await store.cancel(job.id);
      assert.equal(decided?.status, 'canceled');
      assert.deepEqual(await claim(), []);
      assert.equal((await store.counts()).get('plants')?.waitingJobs ?? 0, 0);
    });

    check('a running job is canceled when its worker confirms', async ({ store, run, end }) => {
      const job = await run();
      const asked = await store.cancel(job.id);
      assert.equal(asked?.status, 'processing');
      assert.equal(asked.cancelRequested, true);
      assert.equal((await store.cancel(job.id))?.status, 'processing');
      const decided = applied(await end(job, canceled));
      assert.equal(decided.status, 'canceled');
      assert.equal(decided.error, null);
    });

    check('a result that comes before the confirmation counts', async ({ store, run, end }) => {
      const job = await run();
      await store.cancel(job.id);
      assert.equal(applied(await end(job, succeeded('red'))).status, 'succeeded');
      assert.equal((await end(job, canceled)).type, 'settled');
    });

    check('a canceled job is not tried again, however its attempt ends', async ({ store, run, end }) => {
      for (const outcome of [interrupted('silent'), interrupted('free'), failed(true)]) {
        const job = await run();
        await store.cancel(job.id);
        assert.equal(applied(await end(job, outcome)).status, 'canceled');
      }
    });

    check('a worker that gives up unasked costs an attempt, and cancels nothing', async ({ run, end }) => {
      assert.equal(applied(await end(await run(), canceled)).status, 'starting');
    });

    check('what is decided stays decided; what is unknown is null', async ({ store, run, end }) => {
      const job = await run();
      await end(job, succeeded('red'));
      assert.equal((await store.cancel(job.id))?.status, 'succeeded');
      assert.equal(await store.cancel('nobody'), null);
    });
  });
}
