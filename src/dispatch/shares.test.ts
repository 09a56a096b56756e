import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createShares } from './shares.ts';

const weights = (of: Record<string, number>): Map<string, number> => new Map(Object.entries(of));
const plenty = (of: Record<string, number>): Map<string, number> =>
  new Map(Object.keys(of).map((version) => [version, 1_000]));

/** Rows one by one, as callers come; returns what each version got. */
function run(of: Record<string, number>, rows: number, room = plenty(of)): Record<string, number> {
  const shares = createShares(weights(of));
  const got: Record<string, number> = Object.fromEntries(Object.keys(of).map((version) => [version, 0]));
  for (let i = 0; i < rows; i += 1) {
    for (const [version, part] of shares.split(1, room)) {
      got[version] = (got[version] ?? 0) + part;
      if (part > 0) shares.count(version, part);
    }
  }
  return got;
}

void test('rows one by one and many at once are divided by weight', () => {
  assert.deepEqual(run({ 1: 90, 2: 10 }, 100), { 1: 90, 2: 10 });
  assert.deepEqual(Object.fromEntries(createShares(weights({ 1: 75, 2: 25 })).split(8, plenty({ 1: 0, 2: 0 }))), {
    1: 6,
    2: 2,
  });
});

void test('a version without room is replaced by the main one, and the main one by nobody', () => {
  assert.deepEqual(run({ 1: 90, 2: 10 }, 100, weights({ 1: 1_000, 2: 0 })), { 1: 100, 2: 0 });
  assert.deepEqual(run({ 1: 90, 2: 10 }, 100, weights({ 1: 0, 2: 1_000 })), { 1: 0, 2: 0 });
});

void test('a version that is not there leaves its share to the others', () => {
  assert.deepEqual(run({ 1: 90, 2: 10 }, 10, weights({ 2: 1_000 })), { 1: 0, 2: 10 });
});

void test('what was asked for and was not there is not counted', () => {
  const shares = createShares(weights({ 1: 50, 2: 50 }));
  shares.count('1', 64);
  shares.count('1', -64);
  assert.equal(shares.split(2, plenty({ 1: 0, 2: 0 })).get('1'), 1);
});

void test('no version but the main one ever has more than its share, rounded up, and never more than its room', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 49 }),
      fc.array(fc.record({ rows: fc.integer({ min: 1, max: 40 }), main: fc.nat(40), canary: fc.nat(40) })),
      (percent, turns) => {
        const of = { main: 100 - percent, canary: percent };
        const shares = createShares(weights(of));
        let [all, canary] = [0, 0];
        for (const turn of turns) {
          const parts = shares.split(turn.rows, weights({ main: turn.main, canary: turn.canary }));
          for (const [version, part] of parts) {
            assert(part <= (version === 'main' ? turn.main : turn.canary));
            shares.count(version, part);
            all += part;
          }
          canary += parts.get('canary') ?? 0;
          // Halving what is remembered rounds nothing, so the bound holds over any history.
          assert(canary <= (all * percent) / 100 + 1, `${canary} of ${all} at ${percent} %`);
        }
      },
    ),
  );
});
