import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createRandom } from '../../test/support/random.ts';
import { deal, type Candidate } from './choose.ts';
import { newCredit } from './credits.ts';

function candidate(freeRows: number, capacityRows = freeRows): Candidate {
  return { credit: { ...newCredit(), freeRows, capacityRows }, roomRows: freeRows, askRows: 0 };
}

const asks = (candidates: readonly Candidate[]): number[] => candidates.map(({ askRows }) => askRows);

test('the idler worker gets the next job, whatever its size', () => {
  const candidates = [candidate(40, 100), candidate(3, 4)];
  deal(candidates, 1, Math.random);
  assert.deepEqual(asks(candidates), [0, 1]);
});

test('equal workers get equally much', () => {
  const { next } = createRandom(1);
  const totals = [0, 0, 0];
  for (let i = 0; i < 3_000; i += 1) {
    const candidates = [candidate(4), candidate(4), candidate(4)];
    deal(candidates, 1, next);
    asks(candidates).forEach((rows, index) => (totals[index]! += rows));
  }
  for (const total of totals) assert.ok(total > 900 && total < 1_100, totals.join(' '));
});

test('nobody is dealt more than is free, and nothing is left while somebody has room', () => {
  const one = fc.record({ free: fc.integer({ min: 1, max: 1_000 }), busy: fc.integer({ min: 0, max: 1_000 }) });
  fc.assert(
    fc.property(fc.array(one, { minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 5_000 }), (sizes, rows) => {
      const candidates = sizes.map(({ free, busy }) => candidate(free, free + busy));
      const left = deal(candidates, rows, createRandom(rows).next);
      const free = sizes.reduce((sum, size) => sum + size.free, 0);
      const dealt = asks(candidates).reduce((sum, ask) => sum + ask, 0);
      for (const { askRows, credit } of candidates) assert.ok(askRows >= 0 && askRows <= credit.freeRows);
      assert.equal(dealt, Math.min(rows, free));
      assert.equal(left, rows - dealt);
    }),
  );
});
