/** The short form of `npm run sim`, and the checks of the checker. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SABOTAGES } from './sabotages.ts';
import { runScenario, type Sabotage } from './scenario.ts';

/** Each takes about 100 ms of a core; the long form is `npm run sim -- --seeds 10000`. */
const SEEDS = 150;
/** A busy machine runs fewer of them, and says how many: the seeds are the same every time, in the same order. */
const LEAST_SEEDS = 20;
const PATIENCE_MS = 15_000;
/** In how many seeds a broken promise must be noticed. */
const SABOTAGED_SEEDS = 250;
// Callers are refused by the thousand here, and the stack of each error costs more than the rest of the refusal.
Error.stackTraceLimit = 2;

void test('faults of every kind: nothing is lost, decided twice, changed after it was read, or sent beyond credit', async (t) => {
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
  assert.ok(succeeded > seed * 20, 'the scenarios must do some work');
});

/** Each of them failed once, and says what a fix was for. */
const FIXED: Readonly<Record<number, string>> = {
  27: 'a cancel and a result in one commit: the decision was told twice',
  34: 'a commit that failed while a lost worker gave back: its lease was forgotten, and its jobs stood still for ever',
};

void test('seeds that failed once', async () => {
  for (const [seed, why] of Object.entries(FIXED)) {
    assert.deepEqual((await runScenario(Number(seed))).violations, [], `${seed}: ${why}`);
  }
});

void test('a seed replays exactly, with every driver and in every mode', async () => {
  const hashes = new Set<string>();
  for (const driver of ['memory', 'sqlite'] as const) {
    for (const mode of ['safety', 'liveness'] as const) {
      const first = await runScenario(9, { driver, mode, keepLines: true });
      // From another place of the event loop, where promises and ticks might come in another order.
      await new Promise((resolve) => setTimeout(resolve, 1));
      const second = await runScenario(9, { driver, mode, keepLines: true });
      assert.deepEqual(first.lines, second.lines);
      assert.equal(first.hash, second.hash);
      assert.deepEqual(first.counts, second.counts);
      hashes.add(first.hash);
    }
  }
  hashes.add((await runScenario(10)).hash);
  assert.equal(hashes.size, 5, 'other drivers, modes and seeds take other ways');
});

/** The first seed in which it was noticed. */
async function noticedAt(sabotage: Sabotage): Promise<number | null> {
  for (let seed = 1; seed <= SABOTAGED_SEEDS; seed += 1) {
    try {
      const { violations } = await runScenario(seed, { sabotage, patienceMs: 300_000 });
      if (violations.length > 0) return seed;
    } catch {
      // The dispatcher's own arithmetic, or a constraint of the database, noticed first.
      return seed;
    }
  }
  return null;
}

for (const [name, sabotage] of Object.entries(SABOTAGES)) {
  void test(`the history notices: ${name}`, async (t) => {
    const seed = await noticedAt(sabotage);
    assert.notEqual(seed, null, `${SABOTAGED_SEEDS} seeds passed`);
    t.diagnostic(`noticed at seed ${seed}`);
  });
}
