import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs, isDue, MAX_BACKOFF_MS } from './backoff.ts';

test('the wait is drawn evenly from 0 to twice as much each time, and never more than 30 s', () => {
  for (const [failures, longestMs] of [
    [0, 500],
    [1, 1_000],
    [5, 16_000],
    [6, 30_000],
    [40, 30_000],
  ] as const) {
    const drawn = Array.from({ length: 2_000 }, (_, n) => {
      return backoffMs(`01a1f9f9-d417-72af-9211-${String(n).padStart(12, '0')}`, failures + 1, failures);
    });
    assert.ok(Math.min(...drawn) >= 0 && Math.max(...drawn) <= longestMs);
    const mean = drawn.reduce((sum, ms) => sum + ms, 0) / drawn.length;
    // 2,000 draws: the mean is within 2 % of the middle nine times in ten, and within 10 % practically always.
    assert.ok(Math.abs(mean - longestMs / 2) < longestMs / 20, `${failures}: ${mean} of ${longestMs}`);
    const quarters = [0, 1, 2, 3].map((q) => drawn.filter((ms) => Math.floor((ms / (longestMs + 1)) * 4) === q).length);
    for (const count of quarters) assert.ok(count > 400 && count < 600, quarters.join(' '));
  }
});

test('the same attempt of the same job draws the same, and the next attempt another', () => {
  assert.equal(backoffMs('job', 1, 6), backoffMs('job', 1, 6));
  assert.notEqual(backoffMs('job', 1, 6), backoffMs('job', 2, 6));
});

test('a job is due at its time, and when the clock was put back further than any wait', () => {
  assert.equal(isDue(1_000, 999), false);
  assert.equal(isDue(1_000, 1_000), true);
  assert.equal(isDue(1_000 + MAX_BACKOFF_MS, 1_000), false);
  assert.equal(isDue(1_001 + MAX_BACKOFF_MS, 1_000), true);
});
