/** What a store accepts, refuses, and recognises. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { START, HOUR_MS, succeeded, refusal, type Check } from './bench.suite.ts';

export function submitSuite(name: string, check: Check): void {
  describe(`${name}: submit`, () => {
    check('an accepted job waits, with everything that was given', async ({ store, job, clock }) => {
      const given = job({ parameters: { top_k: 3 }, priority: 5, deadlineAt: clock.now() + 1_000 });
      const [outcome] = await store.submit([given]);
      assert.equal(outcome?.type, 'accepted');
      const stored = await store.get(given.id);
      assert.deepEqual({ ...stored, input: null }, { ...outcome.job, input: null });
      assert.equal(stored?.input.contentType, given.input.contentType);
      assert.deepEqual(stored.parameters, { top_k: 3 });
      assert.equal(stored.status, 'starting');
      assert.equal(stored.createdAt, clock.now());
      assert.equal(stored.attempt, 0);
      assert.equal(stored.completedAt, null);
    });

    check(
      'the queue of a model is bounded, and has room again when a job leaves it',
      async ({ store, job, accept, claim }) => {
        await accept();
        const outcomes = await store.submit([job(), job(), job({ model: 'clothes' })]);
        assert.deepEqual(
          outcomes.map(({ type }) => type),
          ['accepted', 'refused', 'accepted'],
        );
        assert.equal(refusal(outcomes[1]), 'queue_full');
        await claim();
        await accept();
      },
      { queueLimitJobs: 2 },
    );

    check(
      'inputs of undecided jobs are bounded in bytes',
      async ({ store, job, run, end, accept }) => {
        const input = { contentType: 'text/plain', bytes: Buffer.alloc(60) };
        const running = await run({ input });
        assert.equal(refusal((await store.submit([job({ input })]))[0]), 'overloaded');
        await end(running, succeeded('x'));
        await accept({ input });
      },
      { maxInputBytes: 100 },
    );

    check(
      'a caller has no more undecided jobs than its quota, however many come at once, and has room when one is decided',
      async ({ store, job, run, end }) => {
        const mine = (over = {}) => ({ ...job({ caller: 'k1', ...over }), maxUndecidedJobs: 2 });
        const running = await run({ caller: 'k1' });
        const outcomes = await store.submit([mine(), mine(), mine({ model: 'clothes' })]);
        assert.deepEqual(
          outcomes.map(({ type }) => type),
          ['accepted', 'refused', 'refused'],
        );
        assert.equal(refusal(outcomes[1]), 'quota_exceeded');
        // Others are not counted with it, nor is who has no quota.
        const others = await store.submit([{ ...job({ caller: 'k2' }), maxUndecidedJobs: 1 }, job({ caller: 'k1' })]);
        assert.deepEqual(
          others.map(({ type }) => type),
          ['accepted', 'accepted'],
        );
        await end(running, succeeded('x'));
        assert.equal(refusal((await store.submit([mine()]))[0]), 'quota_exceeded');
        const first = outcomes[0]?.type === 'accepted' ? outcomes[0].job.id : '';
        await store.cancel(first);
        assert.equal((await store.submit([mine()]))[0]?.type, 'accepted');
      },
    );

    check('a quota does not refuse the repetition of a job that was accepted', async ({ store, job }) => {
      const again = () => ({ ...job({ caller: 'k1', idempotencyKey: 'k' }), maxUndecidedJobs: 1 });
      const [first] = await store.submit([again()]);
      const [second] = await store.submit([again()]);
      assert.deepEqual([first?.type, second?.type], ['accepted', 'existing']);
    });

    check('a quota counts large inputs too, and refuses them before they are written', async ({ store, job }) => {
      const input = { contentType: 'image/jpeg', bytes: Buffer.alloc(200_000, 7) };
      const large = () => ({ ...job({ caller: 'k1', input }), maxUndecidedJobs: 1 });
      assert.equal((await store.submit([large()]))[0]?.type, 'accepted');
      assert.equal(refusal((await store.submit([large()]))[0]), 'quota_exceeded');
    });

    check('jobs are listed by caller, page by page', async ({ store, accept }) => {
      const ids: Record<string, string[]> = { k1: [], k2: [] };
      for (let n = 0; n < 5; n += 1) {
        for (const caller of ['k1', 'k2']) ids[caller]?.unshift((await accept({ caller })).id);
      }
      const seen: string[] = [];
      let cursor: string | null = null;
      do {
        const page: Awaited<ReturnType<typeof store.list>> = await store.list({ limit: 2, cursor, caller: 'k1' });
        seen.push(...page.jobs.map(({ id }) => id));
        cursor = page.next;
      } while (cursor !== null);
      assert.deepEqual(seen, ids.k1);
      assert.deepEqual((await store.list({ limit: 5, cursor: null, caller: 'k3' })).jobs, []);
      const none = await store.list({ limit: 5, cursor: null, caller: 'k1', status: 'failed' });
      assert.deepEqual([none.jobs, none.next], [[], null]);
    });

    check(
      'a key with the same body gives the same job, whatever its state',
      async ({ store, job, accept, claim, end }) => {
        const first = await accept({ idempotencyKey: 'k', parameters: { a: 1, b: 2 } });
        const again = job({ idempotencyKey: 'k', parameters: { b: 2, a: 1 }, deadlineAt: START + HOUR_MS });
        const [before] = await store.submit([again]);
        assert.equal(before?.type, 'existing');
        assert.equal(before.job.id, first.id);
        const [running] = await claim();
        assert.ok(running);
        await end(running, succeeded('red'));
        const [after] = await store.submit([job({ idempotencyKey: 'k', parameters: { a: 1, b: 2 } })]);
        assert.equal(after?.type, 'existing');
        assert.equal(after.job.status, 'succeeded');
      },
    );

    check('a key with another body is refused; another caller may use the same key', async ({ store, job, accept }) => {
      const first = await accept({ idempotencyKey: 'k' });
      const input = { contentType: 'text/plain', bytes: Buffer.from('tulip') };
      for (const other of [{ input }, { model: 'clothes' }, { version: '2' }, { parameters: { top_k: 1 } }]) {
        const [outcome] = await store.submit([job({ idempotencyKey: 'k', ...other })]);
        assert.equal(refusal(outcome), 'idempotency_mismatch');
      }
      const ben = await accept({ idempotencyKey: 'k', caller: 'ben', input });
      assert.notEqual(ben.id, first.id);
    });

    check('the same key twice in one batch makes one job', async ({ store, job }) => {
      const [first, second] = await store.submit([job({ idempotencyKey: 'k' }), job({ idempotencyKey: 'k' })]);
      assert.equal(first?.type, 'accepted');
      assert.equal(second?.type, 'existing');
      assert.equal(second.job.id, first.job.id);
    });

    check('a key is kept for a day, longer than results are', async ({ store, clock, job, run, end }) => {
      const keyed = await run({ idempotencyKey: 'k' });
      await end(keyed, succeeded('red'));
      const plain = await run();
      await end(plain, succeeded('red'));
      clock.advance(23 * HOUR_MS);
      await store.sweep(100);
      assert.equal(await store.get(plain.id), null);
      assert.equal((await store.submit([job({ idempotencyKey: 'k' })]))[0]?.type, 'existing');
      clock.advance(2 * HOUR_MS);
      await store.sweep(100);
      assert.equal((await store.submit([job({ idempotencyKey: 'k' })]))[0]?.type, 'accepted');
    });
  });
}
