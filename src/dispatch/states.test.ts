import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TERMINAL } from './job.ts';
import { isLive, move, MOVES } from './states.ts';

test('the table of moves is the one in docs/architecture/dispatch.md', () => {
  assert.deepEqual(MOVES, {
    starting: { claim: 'processing', cancel: 'canceled', expire: 'aborted' },
    processing: {
      succeed: 'succeeded',
      fail: 'failed',
      cancel: 'canceled',
      requeue: 'starting',
      expire: 'failed',
    },
  });
});

test('a final state has no moves, and every state that is not final has some', () => {
  for (const status of TERMINAL) {
    assert.equal(isLive(status), false);
    assert.ok(!(status in MOVES));
  }
  assert.ok(isLive('starting') && isLive('processing'));
});

test('a move that is not in the table does not compile', () => {
  assert.equal(move('starting', 'claim'), 'processing');
  // @ts-expect-error nothing succeeds that nobody took
  assert.equal(move('starting', 'succeed'), undefined);
  // @ts-expect-error a decision is final
  assert.throws(() => move('succeeded', 'requeue'));
});
