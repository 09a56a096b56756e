import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { shareRows } from './share.ts';

const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, n) => `${prefix}-${n}`);
const of = (rows: number, gateways: readonly string[], minRows = 1, worker = 'gpu-1'): number[] =>
  shareRows({ rows, minRows, worker, offer: 'echo@1', gateways });
const sum = (shares: readonly number[]): number => shares.reduce((total, share) => total + share, 0);

void test('one gateway has all, and without a gateway there is nothing to share', () => {
  assert.deepEqual(of(7, ['a']), [7]);
  assert.deepEqual(of(1, ['a'], 8), [1]);
  assert.deepEqual(of(7, []), []);
  assert.deepEqual(of(0, ['a', 'b']), [0, 0]);
});

void test('shares add up, differ by one row at most, and are large enough for the largest job or nothing', () => {
  const options = fc.record({ rows: fc.nat(200), minRows: fc.integer({ min: 1, max: 16 }), count: fc.nat(40) });
  fc.assert(
    fc.property(options, ({ rows, minRows, count }) => {
      const shares = of(rows, names('gateway', count), minRows);
      assert.equal(sum(shares), count === 0 ? 0 : rows);
      const given = shares.filter((share) => share > 0);
      if (given.length === 0) return;
      assert.ok(Math.max(...given) - Math.min(...given) <= 1);
      assert.ok(Math.min(...given) >= Math.min(minRows, rows));
    }),
  );
});

void test('it does not matter in which order the gateways are named, and a new one leaves the order of the others', () => {
  const gateways = names('gateway', 9);
  const before = of(3, gateways);
  assert.deepEqual(of(3, [...gateways].reverse()), [...before].reverse());
  const after = of(3, [...gateways, 'one-more']);
  const dropped = before.filter((share, index) => share > (after[index] ?? 0)).length;
  assert.equal(dropped, after[9], 'only its own row was taken from somebody');
});

void test('workers with one row each choose different gateways', () => {
  const gateways = names('gateway', 8);
  const totals = gateways.map(() => 0);
  for (const worker of names('gpu', 800)) {
    for (const [index, share] of of(1, gateways, 1, worker).entries()) totals[index]! += share;
  }
  assert.equal(sum(totals), 800);
  // 100 each on average; a binomial count is within five deviations (9.4 each) of that.
  assert.ok(Math.min(...totals) > 53 && Math.max(...totals) < 147, totals.join(' '));
});
