/** The collector of what goes on: quantiles, rates, the ring of the last hour, and that it rests when nobody watches. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { createManualClock } from '../../../test/support/manual-clock.ts';
import { createFakePredictions, TIMINGS } from '../../../test/support/fake-predictions.ts';
import { silentLogger } from '../../logger.ts';
import { createActivity, totalMs, type AnswerCounts, type Snapshot } from './activity.ts';
import { createDurations } from './durations.ts';
import { COLUMNS, createSeries, type Point } from './series.ts';

describe('durations', () => {
  test('give quantiles within 3 % of the exact ones, from microseconds to hours', () => {
    for (const scale of [0.02, 1, 250, 60_000]) {
      const durations = createDurations();
      const exact = Array.from({ length: 1_000 }, (_, index) => scale * (1 + index / 100));
      for (const ms of exact) durations.add(ms);
      for (const share of [0.5, 0.95, 0.99]) {
        const wanted = exact[Math.ceil(share * 1_000) - 1]!;
        const got = durations.quantile(share)!;
        assert.ok(Math.abs(got / wanted - 1) < 0.03, `${share} of ${scale}: ${got} for ${wanted}`);
      }
    }
  });

  test('take what no clock should say, and are empty again after that', () => {
    const durations = createDurations();
    assert.equal(durations.quantile(0.5), null);
    for (const odd of [0, -5, 1e300, Infinity, NaN]) durations.add(odd);
    assert.equal(durations.count, 5);
    assert.ok(durations.quantile(0.99)! > 0);
    durations.clear();
    assert.deepEqual([durations.count, durations.quantile(0.5)], [0, null]);
  });
});

test('the series keeps the newest points and nothing else', () => {
  const series = createSeries(3);
  const point = (value: number | null) => Object.fromEntries(COLUMNS.map((column) => [column, value])) as Point;
  assert.deepEqual(series.view().at, []);
  for (const [at, value] of [
    [1, 1],
    [2, null],
    [3, 3.14159],
    [4, 4],
  ] as const)
    series.add(at, point(value));
  const { at, columns } = series.view();
  assert.deepEqual(at, [2, 3, 4]);
  for (const column of COLUMNS) assert.deepEqual(columns[column], [null, 3.142, 4]);
});

describe('the activity of a gateway', () => {
  function scene(t: TestContext) {
    const clock = createManualClock(1_750_000_000_000);
    const fake = createFakePredictions(['plants', 'echo']);
    let asked = 0;
    const answers = { all: 0, clientErrors: 0, serverErrors: 0 };
    const activity = createActivity({
      clock,
      logger: silentLogger,
      predictions: {
        models: () => ((asked += 1), fake.models()),
        workers: () => fake.workers(),
      },
      stats: () => ({ totals: fake.totals }),
      onDecided: fake.onDecided,
      answers: (): AnswerCounts => ({ ...answers }),
    });
    activity.start();
    t.after(() => activity.stop());
    const submit = (model: string) =>
      fake.submit({
        model,
        version: null,
        input: { contentType: 'text/plain', bytes: Buffer.from('x') },
        parameters: {},
        priority: 0,
        caller: 'anna',
        deadlineAt: null,
        idempotencyKey: null,
      });
    /** Lets what was begun by a timer end. */
    const settle = () => new Promise((resolve) => setImmediate(resolve));
    const pass = async (ms: number) => {
      for (let left = ms; left > 0; left -= 1_000) {
        clock.advance(1_000);
        await settle();
      }
    };
    return { clock, fake, activity, answers, submit, pass, asked: () => asked };
  }

  test('makes a point of every five seconds, with rates, quantiles and where the time went', async (t) => {
    const { fake, activity, answers, submit, pass } = scene(t);
    for (let n = 0; n < 10; n += 1) await submit('plants');
    fake.ending = { type: 'failed', error: { code: 'model_failed', message: 'no' }, retryable: false };
    await submit('echo');
    Object.assign(answers, { all: 20, clientErrors: 5, serverErrors: 1 });
    await pass(5_000);
    const { at, columns } = activity.series();
    assert.equal(at.length, 1);
    const value = (column: (typeof COLUMNS)[number]) => columns[column][0];
    assert.deepEqual(
      [value('requests_per_s'), value('client_errors_per_s'), value('server_errors_per_s')],
      [4, 1, 0.2],
    );
    assert.deepEqual([value('accepted_per_s'), value('succeeded_per_s'), value('failed_per_s')], [2.2, 2, 0.2]);
    const whole = totalMs(TIMINGS);
    assert.ok(Math.abs(value('p50_ms')! / whole - 1) < 0.03);
    assert.deepEqual(
      [value('queue_ms'), value('link_ms'), value('batch_wait_ms'), value('decode_ms'), value('compute_ms')],
      [0.1, 0.5, 0.2, 3, 8.25],
    );
    assert.ok(value('memory_mib')! > 10);
    // The next window begins from nothing.
    await pass(5_000);
    const next = activity.series().columns;
    assert.deepEqual([next.accepted_per_s[1], next.p50_ms[1], next.queue_ms[1]], [0, null, null]);
  });

  test('tells all watchers the same once a second, and rests between points when there are none', async (t) => {
    const { activity, submit, pass, asked } = scene(t);
    await pass(10_000);
    assert.equal(asked(), 2);
    const seen: Snapshot[][] = [[], []];
    const ends = seen.map((list) => activity.watch((snapshot) => list.push(snapshot)));
    await submit('plants');
    await pass(10_000);
    assert.equal(asked(), 12);
    assert.equal(seen[0]!.length, 10);
    assert.deepEqual(seen[0], seen[1]);
    assert.equal(seen[0]!.filter(({ isNewPoint }) => isNewPoint).length, 2);
    assert.equal(seen[0]![4]!.rates.get('plants')!.succeeded_per_s, 0.2);
    ends.forEach((end) => end());
    await pass(5_000);
    assert.equal(asked(), 13);
  });

  test('goes on when the store does not answer for a while', async (t) => {
    const { fake, activity, pass } = scene(t);
    const broken = { ...fake };
    fake.models = () => Promise.reject(new Error('the disk'));
    await pass(5_000);
    assert.equal(activity.series().at.length, 0);
    fake.models = () => broken.models();
    await pass(5_000);
    assert.equal(activity.series().at.length, 1);
  });
});
