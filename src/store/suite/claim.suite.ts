/** Which waiting jobs a session gets. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import type { Job } from '../../dispatch/job.ts';
import { START, LEASE_MS, interrupted, type Check } from './bench.suite.ts';

export function claimSuite(name: string, check: Check): void {
  describe(`${name}: claim`, () => {
    const ids = (jobs: readonly Job[]): string[] => jobs.map(({ id }) => id);

    check('a claimed job is fenced: attempt, session, worker, version', async ({ accept, claim, clock }) => {
      const { id } = await accept();
      clock.advance(250);
      const [job] = await claim({ session: 's9', worker: 'gpu-9', version: '3' });
      assert.equal(job?.id, id);
      assert.equal(job.status, 'processing');
      assert.equal(job.attempt, 1);
      assert.equal(job.session, 's9');
      assert.equal(job.worker, 'gpu-9');
      assert.equal(job.servedVersion, '3');
      assert.equal(job.startedAt, START + 250);
      assert.equal(Buffer.from(job.input.bytes).toString(), 'rose');
    });

    check('higher priority first, then the oldest', async ({ accept, claim }) => {
      const low = await accept({ priority: -1 });
      const first = await accept();
      const second = await accept();
      const high = await accept({ priority: 7 });
      assert.deepEqual(ids(await claim({ maxRows: 10 })), ids([high, first, second, low]));
    });

    check('a caller with many jobs does not keep another one waiting', async ({ accept, claim }) => {
      const anna: Job[] = [];
      for (let i = 0; i < 6; i += 1) anna.push(await accept({ caller: 'anna' }));
      assert.deepEqual(ids(await claim({ maxRows: 2 })), ids(anna.slice(0, 2)));
      const ben1 = await accept({ caller: 'ben' });
      const ben2 = await accept({ caller: 'ben' });
      const order = ids(await claim({ maxRows: 6 }));
      // Anna's third is being served when Ben comes: his first is next to her next ones, not behind all of them.
      assert.ok(order.indexOf(ben1.id) <= 2 && order.indexOf(ben2.id) <= 4, order.join(' '));
    });

    check('being away saves up nothing', async ({ accept, claim }) => {
      await accept({ caller: 'ben' });
      await claim();
      for (let i = 0; i < 8; i += 1) await accept({ caller: 'anna' });
      await claim({ maxRows: 4 });
      const ben = [await accept({ caller: 'ben' }), await accept({ caller: 'ben' }), await accept({ caller: 'ben' })];
      const order = ids(await claim({ maxRows: 3 }));
      assert.ok(order.filter((id) => ids(ben).includes(id)).length <= 2, 'ben takes turns and no more');
    });

    check('two claims of one batch never share a job', async ({ store, accept }) => {
      for (let i = 0; i < 5; i += 1) await accept();
      const request = { worker: 'w', model: 'plants', version: '1', maxRows: 3, capacityRows: 3, leaseMs: LEASE_MS };
      const claims = await store.claim([
        { ...request, session: 's1' },
        { ...request, session: 's2' },
      ]);
      assert.deepEqual(
        claims.map(({ jobs, leftRows }) => [jobs.length, leftRows]),
        [
          [3, 2],
          [2, 0],
        ],
      );
      assert.equal(new Set(claims.flatMap(({ jobs }) => ids(jobs))).size, 5);
    });

    check(
      'a job that asks for a version is passed over by others, and not counted as left',
      async ({ store, accept, claim }) => {
        const pinned = await accept({ version: '2' });
        const any = await accept();
        const request = { session: 's1', worker: 'w', model: 'plants', maxRows: 5, capacityRows: 5, leaseMs: LEASE_MS };
        const [claimed] = await store.claim([{ ...request, version: '1' }]);
        assert.deepEqual(ids(claimed?.jobs ?? []), [any.id]);
        assert.equal(claimed?.leftRows, 0);
        assert.deepEqual(ids(await claim({ version: '2' })), [pinned.id]);
      },
    );

    check(
      'a claim of named jobs only leaves those that name no version',
      async ({ store, accept, again, claim, end }) => {
        const any = await accept();
        const named = await accept({ version: '1' });
        const request = { session: 's1', worker: 'w', model: 'plants', version: '1', maxRows: 5, capacityRows: 5 };
        const only = { ...request, leaseMs: LEASE_MS, namedOnly: true };
        const [claimed] = await store.claim([only]);
        assert.deepEqual([ids(claimed?.jobs ?? []), claimed?.leftRows], [[named.id], 0]);
        const [nothing] = await store.claim([only]);
        assert.deepEqual(nothing, { jobs: [], leftRows: 0, soloJobs: 0 });
        assert.deepEqual(ids(await claim({ version: '2', namedOnly: true })), []);
        assert.deepEqual(ids(await claim({ version: '2' })), [any.id]);
        // Alone, too: after two crashes under it the other one must be run alone.
        const [first] = claimed?.jobs ?? [];
        assert.ok(first);
        await end(first, interrupted('crashed'));
        const second = await again({ version: '1', namedOnly: true });
        assert.equal(second.id, named.id);
      },
    );

    check('a large job is waited for, unless it can never fit', async ({ store, accept }) => {
      const large = await accept({ rows: 4 });
      const small = await accept();
      const request = { session: 's1', worker: 'w', model: 'plants', version: '1', leaseMs: LEASE_MS };
      const [waits] = await store.claim([{ ...request, maxRows: 2, capacityRows: 8 }]);
      assert.deepEqual(waits, { jobs: [], leftRows: 5, soloJobs: 0 });
      const [fits] = await store.claim([{ ...request, session: 's2', maxRows: 2, capacityRows: 2 }]);
      assert.deepEqual(ids(fits?.jobs ?? []), [small.id]);
      const [takes] = await store.claim([{ ...request, maxRows: 4, capacityRows: 8 }]);
      assert.deepEqual(ids(takes?.jobs ?? []), [large.id]);
    });

    check('models do not mix', async ({ accept, claim }) => {
      await accept({ model: 'clothes' });
      assert.deepEqual(await claim(), []);
      assert.deepEqual(await claim({ model: 'unheard' }), []);
    });
  });
}
