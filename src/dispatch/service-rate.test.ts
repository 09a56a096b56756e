import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createServiceRate } from './service-rate.ts';

test('a steady rate is seen as it is', () => {
  const rate = createServiceRate();
  for (let ms = 0; ms <= 120_000; ms += 100) rate.add(ms, 5);
  const seen = rate.perSecond(120_000);
  assert.ok(seen > 48 && seen < 52, `50 a second, seen as ${seen}`);
});

test('the wait is the time in which a tenth of the queue goes, within bounds', () => {
  const rate = createServiceRate();
  for (let ms = 0; ms <= 120_000; ms += 100) rate.add(ms, 5);
  const wait = rate.retryAfterS(120_000, 10_000);
  assert.ok(wait >= 19 && wait <= 21, `1000 jobs at 50 a second, told ${wait} s`);
  assert.equal(rate.retryAfterS(120_000, 10), 1);
  assert.equal(rate.retryAfterS(120_000, 10_000_000), 300);
});

test('nothing decided lately: a minute, not a guess', () => {
  const rate = createServiceRate();
  assert.equal(rate.retryAfterS(0, 10_000), 60);
  rate.add(0, 1);
  assert.equal(rate.retryAfterS(3_600_000, 10_000), 60);
});
