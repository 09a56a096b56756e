import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Attempts } from './attempts.ts';
import type { Kept } from './attempts.ts';

const running = (job: string, attempt = 1) => ({ job, attempt, model: 'm', version: '1', rows: 1, progress: null });
const result = (job: string, bytes: number): Kept => ({
  message: { type: 'result', job, attempt: 1, contentType: 'a/b', bytes, timings: TIMINGS },
  payload: new Uint8Array(bytes),
  via: null,
  tick: 0,
  file: null,
  acked: false,
});
const TIMINGS = { queueMs: 0, decodeMs: 0, batchMs: 0, computeMs: 0 };

void test('what runs and what is not acked is held; what is acked is past and never begins again', () => {
  const attempts = new Attempts();
  assert.equal(attempts.begin(running('a')), 'begun');
  assert.equal(attempts.begin(running('b')), 'begun');
  assert.equal(attempts.begin(running('a')), 'duplicate');
  assert.equal(attempts.finish({ job: 'a', attempt: 1 })?.job, 'a');
  assert.equal(attempts.finish({ job: 'a', attempt: 1 }), undefined);
  attempts.keep(result('a', 10));
  assert.deepEqual(attempts.held(), [
    ['b', 1],
    ['a', 1],
  ]);
  attempts.forget({ job: 'a', attempt: 1 });
  assert.deepEqual(attempts.held(), [['b', 1]]);
  assert.equal(attempts.begin(running('a')), 'duplicate');
  assert.equal(attempts.begin(running('a', 2)), 'begun');
});

void test('a cancel that came first stops its attempt once, and is forgotten with the connection', () => {
  const attempts = new Attempts();
  attempts.cancelEarly({ job: 'a', attempt: 1 });
  assert.equal(attempts.begin(running('a')), 'early');
  attempts.cancelEarly({ job: 'b', attempt: 1 });
  attempts.restart();
  assert.equal(attempts.begin(running('b')), 'begun');
  for (let i = 0; i < 3_000; i += 1) attempts.cancelEarly({ job: `x${i}`, attempt: 1 });
  assert.equal(attempts.begin(running('x0')), 'begun', 'the oldest of too many are dropped');
  assert.equal(attempts.begin(running('x2999')), 'early');
});

void test('it is full when too many results, or too many bytes, wait for their ack', () => {
  const attempts = new Attempts();
  const big = result('big', 0);
  attempts.keep({ ...big, payload: { byteLength: 256 * 1024 * 1024 } as Uint8Array });
  assert.equal(attempts.full, true);
  attempts.forget({ job: 'big', attempt: 1 });
  assert.equal(attempts.full, false);
  for (let i = 0; i < 8_192; i += 1) attempts.keep(result(`job-${i}`, 1));
  assert.equal(attempts.full, true);
});
