import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Store } from '../../src/store/store.ts';
import { runScenario } from './scenario.ts';

/** Each takes about 60 ms of a core; the long form is `npm run sim -- --seeds 10000`. */
const SEEDS = 200;
/** A busy machine runs fewer of them, and says how many: the seeds are the same every time, in the same order. */
const LEAST_SEEDS = 20;
const PATIENCE_MS = 15_000;
// Callers are refused by the thousand here, and the stack of each error costs more than the rest of the refusal.
Error.stackTraceLimit = 2;

test('faults of every kind: nothing is lost, decided twice, changed after it was read, or sent beyond credit', async (t) => {
  const began = performance.now();
  let seed = 0;
  let succeeded = 0;
  while (seed < LEAST_SEEDS || (seed < SEEDS && performance.now() - began < PATIENCE_MS)) {
    seed += 1;
    const { violations, counts } = await runScenario(seed);
    assert.deepEqual(violations, [], `npm run sim -- --seed ${seed}`);
    succeeded += counts.succeeded ?? 0;
  }
  t.diagnostic(`${seed} seeds, ${succeeded} jobs succeeded`);
  assert.ok(succeeded > seed * 50, 'the scenarios must do some work');
});

test('a seed replays exactly', async () => {
  for (const seed of [9]) {
    const first = await runScenario(seed);
    const second = await runScenario(seed);
    assert.equal(first.hash, second.hash);
    assert.notEqual(first.hash, (await runScenario(seed + 100)).hash);
  }
});

/** Stores with one promise broken: the history must notice each, or it proves nothing. */
const SABOTAGES: Record<string, (store: Store) => Store> = {
  'a store that ignores the attempt of a fence': (store) => ({
    ...store,
    async settle(ends) {
      const owned = await Promise.all(
        ends.map(async (end) => {
          const job = await store.get(end.fence.job);
          if (job?.status !== 'processing') return end;
          return { ...end, fence: { ...end.fence, attempt: job.attempt, session: job.session ?? '' } };
        }),
      );
      return store.settle(owned);
    },
  }),
  'a store that forgets to take back what a lost worker held': (store) => ({
    ...store,
    release: () => Promise.resolve([]),
    sweep: async (limit) => {
      // Kept alive for ever: no lease ever runs out.
      for (let run = 1; run < 40; run += 1)
        for (let w = 1; w < 5; w += 1) await store.heartbeat(`worker-${w}-run-${run}`, 1e9);
      return store.sweep(limit);
    },
  }),
  'a store that gives out more rows than were asked for': (store) => ({
    ...store,
    claim: (requests) => store.claim(requests.map((one) => ({ ...one, maxRows: one.maxRows + 1 }))),
  }),
  'a store that gives a job to a version that it did not ask for': (store) => ({
    ...store,
    claim: async (requests) => {
      const other = requests.map((one) => ({ ...one, version: one.version === '1' ? '2' : '1' }));
      return store.claim(other);
    },
  }),
  'a store that loses one job in a hundred': (store) => {
    let count = 0;
    return {
      ...store,
      submit: async (jobs) => {
        const outcomes = await store.submit(jobs);
        for (const outcome of outcomes)
          if (outcome.type === 'accepted' && ++count % 100 === 0) await store.cancel(outcome.job.id);
        return outcomes;
      },
    };
  },
};

for (const [name, sabotage] of Object.entries(SABOTAGES)) {
  test(`the history notices ${name}`, async () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      let violations: readonly string[];
      try {
        ({ violations } = await runScenario(seed, { sabotage, patienceMs: 120_000 }));
      } catch {
        // The dispatcher's own arithmetic noticed first.
        return;
      }
      if (violations.length > 0) return;
    }
    assert.fail('twenty seeds passed with a broken store');
  });
}
