/** Sessions that live, die and come back. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LEASE_MS, HOUR_MS, succeeded, applied, type Check } from './bench.suite.ts';

export function leasesSuite(name: string, check: Check): void {
  describe(`${name}: leases`, () => {
    check(
      'a session that is not heard for a lease loses its attempts, and they count',
      async ({ store, run, clock, claim }) => {
        const job = await run();
        clock.advance(LEASE_MS - 1);
        assert.deepEqual((await store.sweep(100)).reclaimed, []);
        clock.advance(1);
        const { reclaimed } = await store.sweep(100);
        assert.deepEqual(
          reclaimed.map(({ id, status, session }) => [id, status, session]),
          [[job.id, 'starting', null]],
        );
        assert.equal((await claim({ session: 's2' }))[0]?.attempt, 2);
      },
    );

    check('a heartbeat keeps all attempts of its session, and no other’s', async ({ store, run, clock }) => {
      await run({}, 's1');
      await run({}, 's1');
      const other = await run({}, 's2');
      clock.advance(10_000);
      await store.heartbeat('s1', LEASE_MS);
      clock.advance(10_000);
      const { reclaimed } = await store.sweep(100);
      assert.deepEqual(
        reclaimed.map(({ id }) => id),
        [other.id],
      );
    });

    check('a shorter heartbeat does not shorten a lease', async ({ store, run, clock }) => {
      await run();
      await store.heartbeat('s1', 1);
      clock.advance(LEASE_MS - 1);
      assert.deepEqual((await store.sweep(100)).reclaimed, []);
    });

    check('a heartbeat tells which of the jobs are to be canceled', async ({ store, run }) => {
      const job = await run();
      await run();
      assert.deepEqual(await store.heartbeat('s1', LEASE_MS), []);
      await store.cancel(job.id);
      assert.deepEqual(await store.heartbeat('s1', LEASE_MS), [job.id]);
      assert.deepEqual(await store.heartbeat('nobody', LEASE_MS), []);
    });

    check('a wall clock that jumps reclaims nothing', async ({ store, run, clock }) => {
      await run();
      clock.suspend(12 * HOUR_MS);
      assert.deepEqual((await store.sweep(100)).reclaimed, []);
    });

    check(
      'a lost lease cancels what was to be canceled, and fails what had its attempts',
      async ({ store, run, clock, again }) => {
        const first = await run();
        await store.cancel(first.id);
        const second = await run({}, 's2');
        for (let attempt = 1; attempt <= 3; attempt += 1) {
          clock.advance(LEASE_MS);
          await store.sweep(100);
          if (attempt < 3) assert.equal((await again({ session: `s${attempt + 2}` })).id, second.id);
        }
        assert.equal((await store.get(first.id))?.status, 'canceled');
        assert.equal((await store.get(second.id))?.error?.code, 'attempts_exhausted');
      },
    );

    check('releasing a session gives back what it holds, and nothing else', async ({ store, run, get }) => {
      const mine = await run({}, 's1');
      const other = await run({}, 's2');
      const released = await store.release('s1', 'free');
      assert.deepEqual(
        released.map(({ id, status }) => [id, status]),
        [[mine.id, 'starting']],
      );
      assert.equal((await get(other)).status, 'processing');
      assert.deepEqual(await store.release('s1', 'crashed'), []);
    });

    check('a release that counts uses up attempts', async ({ store, run, again, get }) => {
      const job = await run();
      for (let i = 0; i < 3; i += 1) {
        await store.release('s1', 'crashed');
        if (i < 2) await again();
      }
      assert.equal((await get(job)).error?.code, 'attempts_exhausted');
    });

    check(
      'a returning session keeps what it holds, and what it never got goes back',
      async ({ store, run, get, end }) => {
        const held = await run();
        const never = await run();
        const other = await run({}, 's2');
        const { kept, lost } = await store.reconcile('s1', [
          [held.id, 1],
          [never.id, 7],
          [other.id, 1],
          ['nobody', 1],
        ]);
        assert.deepEqual(
          [kept, lost].map((jobs) => jobs.map(({ id, status }) => [id, status])),
          [[[held.id, 'processing']], [[never.id, 'starting']]],
        );
        assert.equal((await get(other)).status, 'processing');
        assert.equal(applied(await end(held, succeeded('red'))).status, 'succeeded');
        assert.equal((await end(never, succeeded('red'))).type, 'stale');
      },
    );
  });
}
