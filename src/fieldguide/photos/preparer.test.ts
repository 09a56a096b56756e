/** The photo process as photos may treat it: killed, kept busy, left idle. Whoever sent another photo gets that prepared. */
import assert from 'node:assert/strict';
import { before, suite, test, type TestContext } from 'node:test';
import sharp from 'sharp';
import { systemClock, type Clock } from '../../clock.ts';
import { childrenOf, isGone } from '../../../test/support/child-processes.ts';
import { createManualClock } from '../../../test/support/manual-clock.ts';
import { pattern } from '../../../test/support/images.ts';
import { until } from '../../../test/support/postern.ts';
import { createPreparer, type Preparer } from './preparer.ts';

const FRAGILE = new URL('../../../test/support/fragile-preparer.ts', import.meta.url).pathname;
const LONGER_THAN_A_PHOTO_MS = 41_000;
const IDLE_MS = 61_000;

suite('the photo process', { timeout: 120_000 }, () => {
  let photo: Buffer;
  const ending = (word: string): Buffer => Buffer.concat([photo, Buffer.from(word)]);
  before(async () => {
    photo = await pattern(64, 48).jpeg().toBuffer();
  });

  async function started(t: TestContext, clock: Clock = systemClock): Promise<Preparer> {
    const preparer = createPreparer({ clock, program: FRAGILE });
    await preparer.start();
    t.after(() => preparer.stop());
    return preparer;
  }
  const processes = (): number[] => childrenOf(process.pid, 'fragile-preparer');
  const current = (): number => {
    const [pid, ...others] = processes();
    assert.ok(pid !== undefined && others.length === 0, 'there is one');
    return pid;
  };
  const untilGone = (pid: number): Promise<true> =>
    until('the process to end', 60_000, () => Promise.resolve(isGone(pid) ? true : null));
  async function assertPrepares(preparer: Preparer): Promise<void> {
    const { photo: made, thumb, width, height } = await preparer.prepare(photo);
    assert.deepEqual([width, height], [64, 48]);
    for (const bytes of [made, thumb]) assert.equal((await sharp(bytes).metadata()).format, 'jpeg');
  }

  test('a photo that kills it is refused, and the next one has a new process', async (t) => {
    const preparer = await started(t);
    await assertPrepares(preparer);
    const first = current();
    await assert.rejects(preparer.prepare(ending('KILL-ME!')), { code: 'not_an_image' });
    assert.ok(isGone(first));
    await assertPrepares(preparer);
    assert.notEqual(current(), first);
  });

  test('of many at once only the ones that kill it are refused', async (t) => {
    const preparer = await started(t);
    const sent = ['', 'KILL-ME!', '', '', 'KILL-ME!', 'KILL-ME!', ''].map((word) => preparer.prepare(ending(word)));
    const ends = await Promise.allSettled(sent);
    assert.deepEqual(
      ends.map((end) => (end.status === 'rejected' ? (end.reason as { code: string }).code : end.value.width)),
      [64, 'not_an_image', 64, 64, 'not_an_image', 'not_an_image', 64],
    );
    await assertPrepares(preparer);
  });

  test('a photo that takes too long is refused and the process killed; the one beside it is prepared', async (t) => {
    const clock = createManualClock();
    const preparer = await started(t, clock);
    await assertPrepares(preparer);
    const first = current();
    const slow = assert.rejects(preparer.prepare(ending('HANG-ME!')), { code: 'input_invalid' });
    // Half of its time later, so that its own is not over.
    clock.advance(LONGER_THAN_A_PHOTO_MS / 2);
    const beside = assertPrepares(preparer);
    clock.advance(LONGER_THAN_A_PHOTO_MS / 2);
    await slow;
    await beside;
    await untilGone(first);
    await assertPrepares(preparer);
  });

  test('a process that answers nothing at all any more is replaced', async (t) => {
    const clock = createManualClock();
    const preparer = await started(t, clock);
    await assertPrepares(preparer);
    const first = current();
    process.kill(first, 'SIGSTOP');
    const stuck = assert.rejects(preparer.prepare(photo), { code: 'input_invalid' });
    clock.advance(LONGER_THAN_A_PHOTO_MS);
    await stuck;
    await untilGone(first);
    await assertPrepares(preparer);
  });

  test('a photo that was in it when somebody else killed it is prepared by the next one', async (t) => {
    const preparer = await started(t);
    await assertPrepares(preparer);
    const first = current();
    process.kill(first, 'SIGSTOP');
    const sent = assertPrepares(preparer);
    process.kill(first, 'SIGKILL');
    await sent;
    assert.notEqual(current(), first);
  });

  test('it ends when it was idle, when it is killed idle nobody notices, and when the gateway stops nobody waits', async (t) => {
    const clock = createManualClock();
    const preparer = await started(t, clock);
    await assertPrepares(preparer);
    const first = current();
    clock.advance(IDLE_MS);
    await untilGone(first);
    await assertPrepares(preparer);
    const second = current();
    process.kill(second, 'SIGKILL');
    await untilGone(second);
    await until('its end to be noticed', 60_000, () => Promise.resolve(processes().length === 0 ? true : null));
    await assertPrepares(preparer);
    const third = current();
    const waiting = [1, 2, 3].map(() => assert.rejects(preparer.prepare(ending('HANG-ME!')), { code: 'draining' }));
    await preparer.stop();
    await Promise.all(waiting);
    await untilGone(third);
    assert.equal(clock.timerCount, 0);
    await assert.rejects(preparer.prepare(photo), { code: 'overloaded' });
  });
});
