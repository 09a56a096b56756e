import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../../test/support/manual-clock.ts';
import { silentLogger } from '../../logger.ts';
import { createLiveness } from './liveness.ts';

const SILENT_MS = 3_000;

function scene(answers: () => boolean) {
  const clock = createManualClock();
  let pings = 0;
  const liveness = createLiveness({
    clock,
    logger: silentLogger,
    silentMs: SILENT_MS,
    ping() {
      pings += 1;
      if (answers()) liveness.heard();
      return answers() ? Promise.resolve() : new Promise(() => undefined);
    },
  });
  return { clock, liveness, pings: () => pings };
}

/** A caller's question that is never answered. */
const forever = () => new Promise<never>(() => undefined);

test('in silence callers are told in time, those that come are told at once, and nothing is asked for them', async () => {
  let isAlive = false;
  const { clock, liveness } = scene(() => isAlive);
  const ended = liveness.asked();
  const told = assert.rejects(liveness.unlessSilent(forever), {
    code: 'storage_failed',
    message: /not answered for 3 s/,
  });
  clock.advance(SILENT_MS - 1);
  assert.equal(liveness.fault(), null);
  clock.advance(1);
  await told;
  assert.equal(liveness.fault()?.code, 'storage_failed');
  let asked = 0;
  await assert.rejects(
    liveness.unlessSilent(() => {
      asked += 1;
      return forever();
    }),
    { code: 'storage_failed' },
  );
  assert.equal(asked, 0);

  // Nobody asks any more, and still it is noticed that it is back.
  ended();
  isAlive = true;
  liveness.heard();
  assert.equal(liveness.fault(), null);
  assert.equal(await liveness.unlessSilent(() => Promise.resolve('rose')), 'rose');
  clock.advance(SILENT_MS);
  assert.equal(clock.timerCount, 0);
});

test('what takes long is no silence, as long as the simplest question is answered', async () => {
  const { clock, liveness, pings } = scene(() => true);
  const ended = liveness.asked();
  for (let passedMs = 0; passedMs < 10 * SILENT_MS; passedMs += 100) {
    clock.advance(100);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(liveness.fault(), null);
  }
  assert.ok(pings() >= 10, `${pings()} pings`);
  ended();
  clock.advance(SILENT_MS);
  assert.equal(clock.timerCount, 0);
});

test('whoever asks nothing hears nothing, and that is no silence', () => {
  const { clock, liveness } = scene(() => false);
  liveness.asked()();
  clock.advance(10 * SILENT_MS);
  assert.equal(liveness.fault(), null);
  // The time before does not count.
  liveness.asked();
  clock.advance(SILENT_MS - 1);
  assert.equal(liveness.fault(), null);
});

test('what fails by itself fails as it is', async () => {
  const { liveness } = scene(() => true);
  await assert.rejects(
    liveness.unlessSilent(() => Promise.reject(new Error('thorn'))),
    /thorn/,
  );
});

test('nothing is asked after the end', () => {
  const { clock, liveness } = scene(() => false);
  liveness.asked();
  liveness.stop();
  liveness.asked();
  assert.equal(clock.timerCount, 0);
});
