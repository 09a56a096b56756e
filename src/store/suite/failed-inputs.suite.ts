/** What is left of the input when a job is decided: that of a failed one, for another try. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import type { Job } from '../../dispatch/job.ts';
import { canceled, failed, HOUR_MS, START, succeeded, type Bench, type Check } from './bench.suite.ts';

export function failedInputsSuite(name: string, check: Check): void {
  const input = (text: string) => ({ contentType: 'image/jpeg', bytes: Buffer.from(text) });
  const left = async ({ store }: Bench, { id }: Pick<Job, 'id'>): Promise<string | null> => {
    const kept = await store.failedInput(id);
    return kept === null ? null : `${kept.contentType} ${Buffer.from(kept.bytes).toString()}`;
  };

  describe(`${name}: inputs of failed jobs`, () => {
    check('stay, small or large, and nobody else’s does', async (bench) => {
      const { accept, run, end, store, clock, get } = bench;
      const large = 'x'.repeat(100_000);
      const [a, b] = [await run({ input: input('rose') }), await run({ input: input(large) })];
      for (const job of [a, b]) await end(job, failed(false));
      assert.equal(await left(bench, a), 'image/jpeg rose');
      assert.equal(await left(bench, b), `image/jpeg ${large}`);
      assert.equal((await get(a)).input.bytes.byteLength, 0);
      const late = await accept({ deadlineAt: START + 1_000, input: input('late') });
      clock.advance(1_000);
      await store.sweep(100);
      assert.equal(await left(bench, late), 'image/jpeg late');
      const good = await run();
      await end(good, succeeded('red'));
      const taken = await run();
      await store.cancel(taken.id);
      await end(taken, canceled);
      const waiting = await accept();
      for (const job of [good, taken, waiting, { id: 'nobody' }]) assert.equal(await left(bench, job), null);
    });

    check(
      'go with their job',
      async (bench) => {
        const { run, end, store, clock } = bench;
        const job = await run({ input: input('rose') });
        await end(job, failed(false));
        clock.advance(HOUR_MS);
        assert.equal((await store.sweep(100)).forgotten, 1);
        assert.equal(await left(bench, job), null);
      },
      { resultTtlMs: HOUR_MS },
    );

    check('go when they are dropped, small or large, and leave room for others', async (bench) => {
      const { run, accept, end, store, get } = bench;
      const large = 'x'.repeat(100_000);
      const jobs = [];
      for (const text of ['rose', large, 'tulip']) jobs.push(await run({ input: input(text) }));
      for (const job of jobs) await end(job, failed(false));
      const [a, b, c] = jobs as [Job, Job, Job];
      const waiting = await accept({ input: input('waits') });
      const dropped = await store.dropFailedInputs([a.id, b.id, waiting.id, 'nobody']);
      assert.deepEqual(dropped.toSorted(), [a.id, b.id].toSorted());
      for (const job of [a, b]) assert.equal(await left(bench, job), null);
      assert.equal(await left(bench, c), 'image/jpeg tulip');
      assert.deepEqual(await store.dropFailedInputs([a.id, b.id]), []);
      assert.deepEqual(await store.dropFailedInputs([]), []);
      assert.equal((await get(a)).status, 'failed');
      assert.equal(Buffer.from((await bench.claim())[0]!.input.bytes).toString(), 'waits');
    });

    check(
      'the place of a dropped one is free again',
      async (bench) => {
        const { run, end, store } = bench;
        const jobs = [];
        for (const text of ['aaaa', 'bbbb']) jobs.push(await run({ input: input(text) }));
        for (const job of jobs) await end(job, failed(false));
        await store.dropFailedInputs([jobs[1]!.id]);
        const next = await run({ input: input('cccccc') });
        await end(next, failed(false));
        const kept = await Promise.all([...jobs, next].map((job) => left(bench, job)));
        assert.deepEqual(kept, ['image/jpeg aaaa', null, 'image/jpeg cccccc']);
      },
      { maxFailedInputBytes: 10 },
    );

    check('does not stay of a job that was taken back, however it ended', async (bench) => {
      const { run, end, store, clock, get } = bench;
      const job = await run({ input: input('rose') });
      const late = await run({ input: input('late'), deadlineAt: START + 1_000 });
      for (const one of [job, late]) await store.cancel(one.id);
      await end(job, failed(false));
      clock.advance(1_000);
      await store.sweep(100);
      assert.deepEqual([(await get(job)).status, (await get(late)).status], ['failed', 'failed']);
      for (const one of [job, late]) assert.equal(await left(bench, one), null);
    });

    check(
      'are kept up to so many bytes: the oldest go, and one that is larger than that does not stay',
      async (bench) => {
        const { run, end } = bench;
        const jobs = [];
        for (const text of ['aaaa', 'bbbb', 'cccc', 'd'.repeat(11)]) {
          const job = await run({ input: input(text) });
          await end(job, failed(false));
          jobs.push(job);
        }
        const kept = await Promise.all(jobs.map((job) => left(bench, job)));
        assert.deepEqual(kept, [null, 'image/jpeg bbbb', 'image/jpeg cccc', null]);
      },
      { maxFailedInputBytes: 10 },
    );

    check(
      'do not stay where none may',
      async (bench) => {
        const job = await bench.run({ input: input('') });
        await bench.end(job, failed(false));
        assert.equal(await left(bench, job), null);
      },
      { maxFailedInputBytes: 0 },
    );
  });
}
