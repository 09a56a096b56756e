/** The short form of `npm run sim:scale`: the same scenarios with few gateways and workers, and the checks of the checker. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Options } from './shape.ts';
import { SABOTAGES } from './sabotages.ts';
import { death, release, scaleOut, steady, storm, type Played } from './scenarios.ts';

const SMALL: Partial<Options> = { gateways: 5, workers: 30, models: 4, keys: 40, linksPerWorker: 3, load: 0.5 };

function assertKept({ scenario, violations, counts }: Played): void {
  assert.deepEqual(violations, [], scenario);
  assert.equal(counts.accepted, counts.succeeded + counts.failed);
  assert.ok(counts.succeeded > 200, 'the scenario must do some work');
}

void test('in peace no worker is over-committed, and keys are served fairly', async () => {
  const played = await steady(SMALL, 30, 10);
  assertKept(played);
  assert.ok(played.figures.fairnessOfKeys > 0.9, String(played.figures.fairnessOfKeys));
});

void test('a region that comes back after an outage finds its gateways, and nothing is lost or decided twice', async () => {
  const played = await storm(SMALL, 60, 60);
  assertKept(played);
  assert.ok((played.more.wholeS ?? Infinity) < 60, String(played.more.wholeS));
});

void test('a release of all gateways, the death of one, and four more', async () => {
  assertKept(await release(SMALL, 3));
  const died = await death(SMALL);
  assertKept(died);
  assert.ok((died.more.safeS ?? Infinity) <= 20.5, `what the dead held was taken back after ${died.more.safeS} s`);
  assertKept(await scaleOut({ ...SMALL, gateways: 6 }, 2));
});

void test('what runs at workers for a gateway that died goes on, whether it ends before its lease or long after', async () => {
  for (const jobMs of [8_000, 32_000]) {
    const died = await death({ ...SMALL, jobMs });
    assertKept(died);
    assert.ok((died.more.heldByOthers ?? 0) > 20, `${died.more.heldByOthers} attempts are too few to say anything`);
    assert.equal(died.more.runAgain, 0, `attempts of ${jobMs} ms that began anew`);
  }
  // Its gateways are back while that still runs.
  assertKept(await storm({ ...SMALL, jobMs: 64_000, load: 0.6 }, 40, 60));
});

void test('a seed replays exactly, and another one takes another way', async () => {
  const [one, again, other] = [await death(SMALL), await death(SMALL), await death({ ...SMALL, seed: 2 })];
  assert.equal(one.hash, again.hash);
  assert.deepEqual(one.counts, again.counts);
  assert.notEqual(one.hash, other.hash);
});

/** In how many seeds a broken promise must be noticed. */
const SABOTAGED_SEEDS = 8;

for (const [name, sabotage] of Object.entries(SABOTAGES)) {
  void test(`the books notice: ${name}`, async (t) => {
    for (let seed = 1; seed <= SABOTAGED_SEEDS; seed += 1) {
      const { violations } = await sabotage.play({ ...SMALL, seed, bugs: sabotage.bugs });
      if (!violations.some((one) => sabotage.notices.test(one))) continue;
      t.diagnostic(`noticed at seed ${seed}`);
      return;
    }
    assert.fail(`${SABOTAGED_SEEDS} seeds passed`);
  });
}
