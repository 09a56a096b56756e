import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createRandom } from '../../../test/support/random.ts';
import {
  gatewaysNeeded,
  gatewaysWanted,
  queueS,
  workersNeeded,
  workersWanted,
  workOffS,
  type ModelLook,
} from './policy.ts';
import { DEFAULT_WISHES, gatewayTargets, workerTargets, type WorkerTargets } from './targets.ts';

const TARGETS = workerTargets(DEFAULT_WISHES);
const CALM: ModelLook = {
  at: 0,
  workers: 4,
  waitingRows: 0,
  oldestMs: 0,
  freeRows: 16,
  capacityRows: 32,
  busyRows: 16,
  rowsPerS: 32,
};
const FULL: ModelLook = { ...CALM, freeRows: 0, busyRows: 32, rowsPerS: 64 };
/** A look every five seconds, the last one at the end. */
const lasting = (seconds: number, look: ModelLook, from = 0): ModelLook[] =>
  Array.from({ length: seconds / 5 + 1 }, (_, n) => ({ ...look, at: (from + n * 5) * 1000 }));

void test('a load needs as many as keep the rows that they take below the target', () => {
  assert.deepEqual(workersNeeded(CALM, TARGETS), { count: 3, reason: 'idle' });
  assert.deepEqual(workersNeeded({ ...CALM, busyRows: 25 }, TARGETS), { count: 4, reason: 'enough' });
  assert.deepEqual(workersNeeded(FULL, TARGETS), { count: 5, reason: 'busy' });
});

void test('what waits needs as many more as work it off in time', () => {
  // 64 rows a second with 32 at work: a row takes half a second. 640 rows in 10 s are 64 a second: another 32 rows, 4 workers.
  const late = { ...FULL, waitingRows: 640, oldestMs: 20_000 };
  assert.deepEqual(workersNeeded(late, TARGETS), { count: 9, reason: 'queue' });
  assert.equal(workersNeeded(late, { ...TARGETS, queueS: 20 }).count, 7);
  assert.equal(
    workersNeeded({ ...late, waitingRows: 1e9 }, TARGETS).count,
    9,
    'and no more than twice as many and one',
  );
});

void test('where nothing was ended yet, one more is needed when somebody has waited too long', () => {
  const slow = { ...FULL, rowsPerS: 0, waitingRows: 100, oldestMs: 5_000 };
  assert.deepEqual(workersNeeded(slow, TARGETS), { count: 5, reason: 'enough' });
  assert.deepEqual(workersNeeded({ ...slow, busyRows: 8, oldestMs: 11_000 }, TARGETS), { count: 5, reason: 'queue' });
});

void test('nobody is there: the first job needs one, and none needs none', () => {
  const away = { ...CALM, workers: 0, capacityRows: 0, freeRows: 0, busyRows: 0, rowsPerS: 0 };
  assert.equal(workersNeeded({ ...away, waitingRows: 500 }, TARGETS).count, 1);
  assert.equal(workersNeeded(away, TARGETS).count, 0);
  assert.equal(workersWanted([away], { ...TARGETS, minWorkers: 0 }).wanted, 0);
  assert.deepEqual(workersWanted([{ ...away, waitingRows: 1 }], { ...TARGETS, minWorkers: 0 }), {
    wanted: 1,
    reason: 'queue',
  });
  assert.deepEqual(workersWanted([away], TARGETS), { wanted: 1, reason: 'bound' });
});

void test('work that waits beside workers with room is not waited for by machines', () => {
  const blocked = { ...CALM, waitingRows: 5_000, oldestMs: 600_000, freeRows: 30 };
  assert.equal(workersNeeded(blocked, TARGETS).reason, 'blocked');
  const { wanted, reason } = workersWanted(lasting(300, { ...blocked, busyRows: 25 }), TARGETS);
  assert.deepEqual([wanted, reason], [4, 'blocked']);
});

void test('a gateway that has just begun to watch wants no fewer than there are', () => {
  assert.deepEqual(workersWanted(lasting(295, CALM), TARGETS), { wanted: 4, reason: 'steadying' });
  assert.deepEqual(workersWanted(lasting(300, CALM), TARGETS), { wanted: 3, reason: 'idle' });
});

void test('a rush must last, and one look of it keeps everybody for the whole time down', () => {
  assert.equal(workersWanted(lasting(10, FULL), TARGETS).wanted, 4);
  assert.equal(workersWanted(lasting(15, FULL), TARGETS).wanted, 5);
  const blip = lasting(600, CALM).map((look, n) => (n === 70 ? { ...FULL, at: look.at } : look));
  assert.equal(workersWanted(blip, TARGETS).wanted, 4);
  assert.equal(workersWanted(lasting(600, CALM), TARGETS).wanted, 3);
});

void test('the least and the most are kept to', () => {
  assert.deepEqual(workersWanted(lasting(300, CALM), { ...TARGETS, minWorkers: 4 }), { wanted: 4, reason: 'bound' });
  assert.deepEqual(workersWanted(lasting(300, FULL), { ...TARGETS, maxWorkers: 2 }), { wanted: 2, reason: 'bound' });
  assert.equal(workersWanted([], TARGETS).wanted, 1);
});

void test('queue seconds are never missing and never less than somebody has waited', () => {
  assert.equal(workOffS({ waitingRows: 10, rowsPerS: 0 }), null);
  assert.equal(queueS({ waitingRows: 10, rowsPerS: 0, oldestMs: 4_000 }), 4);
  assert.equal(queueS({ waitingRows: 100, rowsPerS: 5, oldestMs: 4_000 }), 20);
  assert.equal(queueS({ waitingRows: 0, rowsPerS: 0, oldestMs: 0 }), 0);
});

void test('gateways are needed by their event loops and by connections, and one always', () => {
  const targets = gatewayTargets(DEFAULT_WISHES);
  const look = { at: 0, gateways: 2, loops: 0.2, connections: 10 };
  assert.deepEqual(gatewaysNeeded(look, targets), { count: 1, reason: 'idle' });
  assert.deepEqual(gatewaysNeeded({ ...look, loops: 1.9 }, targets), { count: 4, reason: 'busy' });
  assert.deepEqual(gatewaysNeeded({ ...look, connections: 12_000 }, targets), { count: 3, reason: 'busy' });
  const calm = Array.from({ length: 61 }, (_, n) => ({ ...look, at: n * 5_000 }));
  assert.deepEqual(gatewaysWanted(calm, targets), { wanted: 1, reason: 'idle' });
  assert.deepEqual(gatewaysWanted(calm, { ...targets, minGateways: 2 }), { wanted: 2, reason: 'bound' });
});

// ---- the closed loop: machines that boot, work that comes and goes -----------------------------------------------------

interface Site {
  readonly seed: number;
  /** Rows that come a second, before and after the change. */
  readonly before: number;
  readonly after: number;
  /** Seconds that a row is at a worker, and rows that one takes at once. */
  readonly rowS: number;
  readonly rows: number;
  readonly bootS: number;
  readonly noise: number;
}

interface Played {
  /** What was wanted, at each second. */
  readonly wanted: readonly number[];
  /** Time to work off what waits at the end. */
  readonly leftS: number;
  readonly ideal: number;
}

const CHANGE_S = 900;
const END_S = 3_600;

/** Work as a fluid, second by second; a scaler that asks every 15 s and starts and drains machines as it is told. */
function play({ seed, before, after, rowS, rows, bootS, noise }: Site, targets: WorkerTargets): Played {
  const random = createRandom(seed);
  let workers = 1;
  let booting: number[] = [];
  let waiting = 0;
  let oldestS = 0;
  const minute: { busy: number; ended: number }[] = [];
  const looks: ModelLook[] = [];
  const wanted: number[] = [];
  let now = 1;
  for (let second = 0; second < END_S; second += 1) {
    const rate = second < CHANGE_S ? before : after;
    waiting += Math.max(0, rate * (1 + noise * (2 * random.next() - 1)));
    workers += booting.filter((at) => at === second).length;
    booting = booting.filter((at) => at > second);
    const capacity = workers * rows;
    const ended = Math.min(waiting, capacity / rowS);
    waiting -= ended;
    minute.push({ busy: ended * rowS, ended });
    if (minute.length > 60) minute.shift();
    oldestS = waiting < 1e-6 ? 0 : Math.min(oldestS + 1, waiting / Math.max(rate, 1e-6));
    const mean = (read: (one: { busy: number; ended: number }) => number): number =>
      minute.reduce((sum, one) => sum + read(one), 0) / minute.length;
    if (second % 5 === 0) {
      looks.push({
        at: second * 1000,
        workers,
        waitingRows: Math.floor(waiting),
        oldestMs: oldestS * 1000,
        freeRows: Math.max(0, capacity - ended * rowS),
        capacityRows: capacity,
        busyRows: mean(({ busy }) => busy),
        rowsPerS: mean((one) => one.ended),
      });
      // As long as the two windows together.
      if (looks.length > 64) looks.shift();
    }
    if (second % 15 === 0) now = workersWanted(looks, targets).wanted;
    wanted.push(now);
    if (second % 15 !== 0) continue;
    for (let missing = now - workers - booting.length; missing > 0; missing -= 1) booting.push(second + bootS);
    // What boots and is not wanted any more is given up first.
    while (booting.length > 0 && now < workers + booting.length) booting.pop();
    workers = Math.min(workers, Math.max(now, 0));
  }
  return {
    wanted,
    leftS: waiting / Math.max(1e-6, (workers * rows) / rowS),
    ideal: (after * rowS) / rows,
  };
}

const site = fc.record({
  seed: fc.integer({ min: 0, max: 2 ** 31 }),
  before: fc.double({ min: 0, max: 40, noNaN: true }),
  after: fc.double({ min: 0, max: 40, noNaN: true }),
  rowS: fc.double({ min: 0.05, max: 20, noNaN: true }),
  rows: fc.integer({ min: 1, max: 32 }),
  bootS: fc.integer({ min: 1, max: 240 }),
  noise: fc.double({ min: 0, max: 0.3, noNaN: true }),
});

void test('whatever the load changes to, it is served, by about as many as it takes, and the number comes to rest', () => {
  fc.assert(
    fc.property(site, (one) => {
      fc.pre(one.after * one.rowS < 40 * one.rows && one.before * one.rowS < 40 * one.rows);
      const { wanted, leftS, ideal } = play(one, TARGETS);
      const last = wanted.slice(-600);
      const changes = last.filter((count, n) => n > 0 && count !== last[n - 1]).length;
      assert.ok(changes <= 1, `it came to no rest: ${last.join(' ')}`);
      assert.ok(leftS <= TARGETS.queueS, `what waits at the end takes ${leftS} s`);
      const most = Math.max(1, Math.ceil((ideal * (1 + one.noise)) / TARGETS.busy) + 1);
      assert.ok(last.at(-1)! <= most, `${last.at(-1)} are wanted in the end, and ${most} are plenty`);
    }),
    { numRuns: 40 },
  );
});

void test('nothing that was wanted is given up within the time down', () => {
  fc.assert(
    fc.property(site, (one) => {
      fc.pre(one.after * one.rowS < 40 * one.rows && one.before * one.rowS < 40 * one.rows);
      const { wanted } = play(one, TARGETS);
      let upAt = -Infinity;
      for (const [second, count] of wanted.entries()) {
        const before = wanted[second - 1] ?? count;
        if (count > before) upAt = second;
        if (count < before) assert.ok(second - upAt >= TARGETS.downS, `up at ${upAt} s, down at ${second} s`);
      }
    }),
    { numRuns: 40 },
  );
});

const anyLook = fc.record({
  workers: fc.integer({ min: 0, max: 2_000 }),
  waitingRows: fc.integer({ min: 0, max: 1e9 }),
  oldestMs: fc.double({ min: 0, max: 1e10, noNaN: true }),
  freeRows: fc.integer({ min: 0, max: 1e6 }),
  capacityRows: fc.integer({ min: 0, max: 1e6 }),
  busyRows: fc.double({ min: 0, max: 1e6, noNaN: true }),
  rowsPerS: fc.double({ min: 0, max: 1e6, noNaN: true }),
});

void test('any looks give a whole number within the bounds, and more work never wants fewer', () => {
  fc.assert(
    fc.property(fc.array(anyLook, { minLength: 1, maxLength: 70 }), (list) => {
      const looks = list.map((look, n): ModelLook => ({ ...look, at: n * 5_000 }));
      const { wanted } = workersWanted(looks, { ...TARGETS, minWorkers: 2, maxWorkers: 9 });
      assert.ok(Number.isSafeInteger(wanted) && wanted >= 2 && wanted <= 9, String(wanted));
      const look = looks.at(-1)!;
      const more = { ...look, waitingRows: look.waitingRows * 2 + 1 };
      assert.ok(workersNeeded(more, TARGETS).count >= workersNeeded(look, TARGETS).count);
    }),
  );
});
