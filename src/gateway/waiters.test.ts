import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import type { Job } from '../dispatch/job.ts';
import { createIds } from '../dispatch/id.ts';
import { PosternError } from '../errors.ts';
import { createWaiters } from './waiters.ts';

const decided = (id: string): Job => ({ id, status: 'succeeded' }) as Job;

test('everybody who waits for a job is told, and nobody else', async () => {
  const clock = createManualClock();
  const waiters = createWaiters({ clock, maxWaiters: 10 });
  const first = waiters.wait('a', 1_000);
  const second = waiters.wait('a', 1_000);
  const other = waiters.wait('b', 1_000);
  waiters.decided(decided('a'));
  assert.equal((await first)?.id, 'a');
  assert.equal((await second)?.id, 'a');
  assert.equal(waiters.size, 1);
  waiters.stop();
  assert.equal(await other, null);
});

test('a wait ends after its time, at most one tick late, and leaves no timer', async () => {
  const clock = createManualClock();
  const waiters = createWaiters({ clock, maxWaiters: 10 });
  let ended = false;
  const waiting = waiters.wait('a', 250).then((job) => {
    ended = true;
    return job;
  });
  clock.advance(200);
  await Promise.resolve();
  assert.equal(ended, false);
  clock.advance(100);
  assert.equal(await waiting, null);
  assert.equal(waiters.size, 0);
  clock.advance(100);
  assert.equal(clock.timerCount, 0);
});

test('an aborted signal ends the wait at once, and its listener is taken off', async () => {
  const waiters = createWaiters({ clock: createManualClock(), maxWaiters: 10 });
  const abort = new AbortController();
  const waiting = waiters.wait('a', 60_000, abort.signal);
  abort.abort();
  assert.equal(await waiting, null);
  assert.equal(waiters.size, 0);
  assert.equal(await waiters.wait('a', 60_000, abort.signal), null);
});

test('more waiters than the limit are refused, and room comes back', async () => {
  const waiters = createWaiters({ clock: createManualClock(), maxWaiters: 1 });
  const first = waiters.wait('a', 1_000);
  await assert.rejects(waiters.wait('b', 1_000), { code: 'overloaded' });
  waiters.decided(decided('a'));
  await first;
  void waiters.wait('b', 1_000);
  waiters.stop();
});

test('waiting for no time is no wait', async () => {
  const clock = createManualClock();
  const waiters = createWaiters({ clock, maxWaiters: 1 });
  assert.equal(await waiters.wait('a', 0), null);
  assert.equal(clock.timerCount, 0);
});

test('who waits for what is recorded is let go while the store is cut off; what is not recorded needs no store', async () => {
  const clock = createManualClock();
  let fault: PosternError | null = null;
  const waiters = createWaiters({ clock, maxWaiters: 10, fault: () => fault });
  const nextId = createIds(clock, randomBytes);
  const [recorded, unrecorded] = [nextId(true), nextId(false)];
  const letGo = waiters.wait(recorded, 60_000);
  const kept = waiters.wait(unrecorded, 60_000);
  clock.advance(1_000);
  assert.equal(waiters.size, 2);
  fault = new PosternError('storage_failed', 'silence');
  clock.advance(100);
  assert.equal(await letGo, null);
  assert.equal(waiters.size, 1);
  waiters.decided(decided(unrecorded));
  assert.equal((await kept)?.id, unrecorded);
});
