import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { watchJumps } from './jumps.ts';

void test('sleep, a stopped process and a set clock are noticed; ordinary time and small corrections are not', () => {
  const clock = createManualClock();
  let lateMs = 0;
  // A timer that fires late, as after SIGSTOP: the clocks agree, but have both gone on.
  const late = { ...clock, now: () => clock.now() + lateMs, monotonic: () => clock.monotonic() + lateMs };
  const jumps: number[] = [];
  const watch = watchJumps(late, (jumpMs) => jumps.push(jumpMs));
  clock.advance(60_000);
  clock.suspend(4_000);
  clock.advance(1_000);
  assert.deepEqual(jumps, []);

  clock.suspend(60_000);
  clock.advance(1_000);
  assert.deepEqual(jumps, [60_000]);
  clock.suspend(-60_000);
  clock.advance(1_000);
  assert.deepEqual(jumps.slice(1), [60_000]);
  lateMs = 30_000;
  clock.advance(1_000);
  assert.deepEqual(jumps.slice(2), [30_000]);
  clock.advance(60_000);
  assert.equal(jumps.length, 3);

  watch.cancel();
  assert.equal(clock.timerCount, 0);
});
