import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressKey, createAdmission } from './admission.ts';

const LIMITS = { maxActive: 3, maxActivePerAddress: 2, maxWaiting: 4, maxWaitingPerAddress: 2 };

void test('places are given in order of arrival, and one address never has them all', () => {
  const admission = createAdmission(LIMITS);
  const begun: string[] = [];
  const come = (name: string) => admission.admit(name.slice(0, 1), () => begun.push(name));
  const a1 = come('a1');
  come('a2');
  const a3 = come('a3');
  come('a4');
  assert.equal(come('a5'), null, 'two of one address wait, a third is refused');
  const b1 = come('b1');
  come('b2');
  assert.deepEqual(begun, ['a1', 'a2', 'b1']);
  assert.deepEqual([admission.activeCount, admission.waitingCount], [3, 3]);

  b1?.leave();
  assert.deepEqual(begun.slice(3), ['b2'], 'a3 came earlier, but its address has its share');
  a3?.leave();
  a3?.leave();
  assert.equal(admission.waitingCount, 1);
  a1?.leave();
  assert.deepEqual(begun.slice(4), ['a4']);
  assert.deepEqual([admission.activeCount, admission.waitingCount], [3, 0]);
});

void test('the waiting are limited in all', () => {
  const admission = createAdmission({ ...LIMITS, maxWaitingPerAddress: 100 });
  const admitted = Array.from({ length: 20 }, (_, i) => admission.admit(`host-${i}`, () => undefined));
  assert.equal(admitted.filter((place) => place !== null).length, 3 + 4);
});

void test('an address is an IPv4 address, or a /64 of IPv6', () => {
  assert.equal(addressKey('192.0.2.7'), '192.0.2.7');
  assert.equal(addressKey('::ffff:192.0.2.7'), '192.0.2.7');
  assert.equal(addressKey('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2');
  assert.equal(addressKey('2001:db8:1:2::9'), '2001:db8:1:2');
  assert.equal(addressKey('2001:db8::9'), '2001:db8:0:0');
  assert.equal(addressKey('::1'), '0:0:0:0');
  assert.equal(addressKey(undefined), 'unknown');
});
