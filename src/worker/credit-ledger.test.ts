import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createCreditLedger } from './credit-ledger.ts';

void test('capacity is granted once, used by work, and granted again when the work ends', () => {
  const ledger = createCreditLedger();
  ledger.setCapacity('m', '1', 4);
  assert.deepEqual(ledger.due(), [{ model: 'm', version: '1', rows: 4 }]);
  assert.deepEqual(ledger.due(), []);
  assert.equal(ledger.take('m', '1', 3), true);
  assert.equal(ledger.take('m', '1', 2), false);
  assert.equal(ledger.take('m', '2', 1), false);
  ledger.release('m', '1', 3);
  assert.deepEqual(ledger.due(), [{ model: 'm', version: '1', rows: 3 }]);
});

void test('it presses when the gateway has less than half in hand and there is something to grant', () => {
  const ledger = createCreditLedger();
  ledger.setCapacity('m', '1', 8);
  assert.equal(ledger.isPressing, true);
  ledger.due();
  assert.equal(ledger.isPressing, false, 'all is granted');
  ledger.take('m', '1', 4);
  ledger.release('m', '1', 1);
  assert.equal(ledger.isPressing, false, 'half of it is in hand');
  ledger.take('m', '1', 1);
  assert.equal(ledger.isPressing, true);
  ledger.due();
  assert.equal(ledger.isPressing, false);
});

void test('a new connection begins with what is really free', () => {
  const ledger = createCreditLedger();
  ledger.setCapacity('m', '1', 4);
  ledger.due();
  ledger.take('m', '1', 3);
  ledger.restart();
  assert.equal(ledger.take('m', '1', 1), false, 'old credit is void');
  assert.deepEqual(ledger.due(), [{ model: 'm', version: '1', rows: 1 }]);
});

void test('whatever happens, rows in flight and granted never exceed the largest capacity, and all of it comes back', () => {
  const step = fc.oneof(
    fc.record({ type: fc.constant('capacity' as const), rows: fc.nat(20) }),
    fc.record({ type: fc.constant('take' as const), rows: fc.integer({ min: 1, max: 8 }) }),
    fc.record({ type: fc.constant('release' as const), rows: fc.constant(0) }),
    fc.record({ type: fc.constant('restart' as const), rows: fc.constant(0) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const ledger = createCreditLedger();
      const inFlight: number[] = [];
      let [capacity, granted, largest] = [0, 0, 0];
      const flush = (): void => ledger.due().forEach(({ rows }) => (granted += rows));
      const used = (): number => inFlight.reduce((sum, rows) => sum + rows, 0);
      for (const { type, rows } of steps) {
        if (type === 'capacity') ledger.setCapacity('m', '1', (capacity = rows));
        else if (type === 'restart') {
          ledger.restart();
          granted = 0;
        } else if (type === 'release' && inFlight.length > 0) ledger.release('m', '1', inFlight.pop() ?? 0);
        else if (type === 'take') {
          const taken = ledger.take('m', '1', rows);
          assert.equal(taken, rows <= granted);
          if (taken) {
            granted -= rows;
            inFlight.push(rows);
          }
        }
        largest = Math.max(largest, capacity);
        flush();
        assert.ok(used() + granted <= largest);
      }
      while (inFlight.length > 0) ledger.release('m', '1', inFlight.pop() ?? 0);
      flush();
      assert.ok(granted >= capacity);
    }),
  );
});
