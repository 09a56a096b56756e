/** The looks: what is asked of the store and how often, what is told of several gateways, what is told when nothing is known. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock, type ManualClock } from '../../../test/support/manual-clock.ts';
import type { Job } from '../../dispatch/job.ts';
import { PosternError } from '../../errors.ts';
import { silentLogger } from '../../logger.ts';
import type { ModelCounts } from '../../store/store.ts';
import type { ModelSeats } from '../engine-load.ts';
import { parseLoad, shortened, type GatewayLoad, type ModelLoad } from './load.ts';
import { createScaling, LOOK_MS, type Scaling, type ScalingOptions } from './scaling.ts';
import { DEFAULT_WISHES } from './targets.ts';
import { modelsOf } from './whole.ts';

const counts = (waitingRows: number, processingJobs = 0): ModelCounts => ({
  waitingJobs: waitingRows,
  waitingRows,
  soloJobs: 0,
  processingJobs,
});
const nothing = {
  counts: () => Promise.resolve(new Map<string, ModelCounts>()),
  oldestWaiting: () => Promise.resolve(new Map<string, number>()),
};
const seatsOf = (inFlightRows: number, ...workers: string[]): ModelSeats => ({
  workers: new Set(workers),
  freeRows: 8 - inFlightRows,
  capacityRows: 8,
  inFlightRows,
});

interface Scene {
  readonly clock: ManualClock;
  readonly scaling: Scaling;
  /** Ends a job of `plants`. */
  readonly decide: (job: Partial<Job>) => void;
}

function scene(over: Partial<ScalingOptions> = {}): Scene {
  const clock = createManualClock();
  let observer: (job: Job) => void = () => undefined;
  const scaling = createScaling({
    clock,
    logger: silentLogger,
    id: 'here',
    state: () => 'serving',
    queues: { shared: nothing, own: nothing },
    seats: () => new Map([['plants', seatsOf(4, 'gpu-1')]]),
    knownModels: () => ['plants'],
    sessions: () => 1,
    callers: () => ({ requests: 2, connections: 7 }),
    others: () => [],
    onDecided: (given) => {
      observer = given;
      return () => (observer = () => undefined);
    },
    ...over,
  });
  return {
    clock,
    scaling,
    decide: (job) => observer({ model: 'plants', rows: 1, status: 'succeeded', ...job } as Job),
  };
}

/** Lets what is under way come to its end. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const isStorage = (error: unknown): boolean => error instanceof PosternError && error.code === 'storage_failed';

void test('the store is asked once in five seconds, however many ask', async (t) => {
  let asked = 0;
  const shared = { ...nothing, counts: () => Promise.resolve(new Map([['plants', counts(3 + asked++)]])) };
  const { clock, scaling } = scene({ queues: { shared, own: nothing } });
  await scaling.start();
  t.after(() => scaling.stop());
  await Promise.all(Array.from({ length: 50 }, () => scaling.whole()));
  assert.equal(asked, 1);
  for (let n = 0; n < 4; n += 1) {
    clock.advance(1_000);
    await scaling.verdict(DEFAULT_WISHES, null);
  }
  assert.equal(asked, 1);
  clock.advance(1_000);
  await settled();
  assert.equal(asked, 2);
  assert.equal((await scaling.whole()).models.get('plants')?.waitingRows, 4);
});

void test('a store that takes its time is given twenty times as long to rest', async (t) => {
  let asked = 0;
  const clock = createManualClock();
  const shared = {
    ...nothing,
    counts() {
      asked += 1;
      clock.advance(1_000);
      return nothing.counts();
    },
  };
  const { scaling } = scene({ clock, queues: { shared, own: nothing } });
  await scaling.start();
  t.after(() => scaling.stop());
  await scaling.whole();
  for (let n = 0; n < 19; n += 1) {
    clock.advance(1_000);
    await settled();
  }
  assert.equal(asked, 1);
  for (let n = 0; n < 7; n += 1) {
    clock.advance(1_000);
    await settled();
  }
  assert.equal(asked, 2);
});

void test('without the store nothing is told as if it were so now', async (t) => {
  let works = true;
  const shared = {
    ...nothing,
    counts: () => (works ? nothing.counts() : Promise.reject(new PosternError('storage_failed', 'it is away'))),
  };
  const { clock, scaling } = scene({ queues: { shared, own: nothing } });
  await scaling.start();
  t.after(() => scaling.stop());
  await scaling.whole();
  works = false;
  clock.advance(30_000);
  await settled();
  assert.equal((await scaling.whole()).models.size, 1, 'a short outage changes nothing');
  clock.advance(31_000);
  await settled();
  await assert.rejects(scaling.whole(), isStorage);
  await assert.rejects(scaling.verdict(DEFAULT_WISHES, 'plants'), isStorage);
  works = true;
  clock.advance(LOOK_MS);
  await settled();
  assert.equal((await scaling.whole()).models.size, 1);
});

void test('rows at workers and rows ended are means of the last minute', async (t) => {
  const { clock, scaling, decide } = scene();
  await scaling.start();
  t.after(() => scaling.stop());
  const minute = async (each: () => void = () => undefined): Promise<void> => {
    for (let second = 0; second < 60; second += 1) {
      each();
      clock.advance(1_000);
      await settled();
    }
  };
  await minute(() => {
    decide({ rows: 3 });
    decide({ status: 'canceled', rows: 100 });
  });
  const work = (await scaling.whole()).models.get('plants');
  assert.deepEqual([work?.busyRows, work?.rowsPerS, work?.freeRows, work?.capacityRows], [4, 3, 4, 8]);
  await minute();
  assert.equal((await scaling.whole()).models.get('plants')?.rowsPerS, 0);
});

void test('a model that nobody knows is said to be unknown', async (t) => {
  const { scaling } = scene();
  await scaling.start();
  t.after(() => scaling.stop());
  await assert.rejects(scaling.verdict(DEFAULT_WISHES, 'roses'), /"roses"/);
  assert.deepEqual(
    (await scaling.verdict(DEFAULT_WISHES, 'plants')).models.map(({ model, wanted }) => [model, wanted]),
    [['plants', 1]],
  );
});

void test('what waits long with full workers wants more of them, first at once and then as they come', async (t) => {
  const shared = {
    counts: () => Promise.resolve(new Map([['plants', counts(80, 8)]])),
    oldestWaiting: () => Promise.resolve(new Map([['plants', 20_000]])),
  };
  let workers = ['gpu-1'];
  const { clock, scaling, decide } = scene({
    queues: { shared, own: nothing },
    seats: () => new Map([['plants', { ...seatsOf(8, ...workers), capacityRows: 8 * workers.length, freeRows: 0 }]]),
  });
  await scaling.start();
  t.after(() => scaling.stop());
  const after = async (seconds: number): Promise<number | undefined> => {
    for (let n = 0; n < seconds; n += 1) {
      decide({ rows: 4 });
      clock.advance(1_000);
      await settled();
    }
    return (await scaling.verdict(DEFAULT_WISHES, 'plants')).models[0]?.wanted;
  };
  assert.equal(await after(5), 1);
  assert.equal(await after(20), 3);
  workers = ['gpu-1', 'gpu-2', 'gpu-3'];
  assert.equal(await after(20), 4);
});

// ---- several gateways --------------------------------------------------------------------------------------------------

const model = (over: Partial<ModelLoad>): ModelLoad => ({
  workers: [],
  freeRows: 0,
  capacityRows: 0,
  busyRows: 0,
  rowsPerS: 0,
  waitingJobs: 0,
  waitingRows: 0,
  inFlightJobs: 0,
  oldestMs: 0,
  ...over,
});
const load = (plants: Partial<ModelLoad>): GatewayLoad => ({
  requests: 1,
  connections: 10,
  sessions: 2,
  loop: 0.5,
  cores: 0.75,
  models: { plants: model(plants) },
});

void test('of several gateways rows are added up, workers counted once, and what they share not twice', () => {
  const shared = { counts: new Map([['plants', counts(7, 5)]]), oldest: new Map([['plants', 900]]) };
  const members = [
    { id: 'a', state: 'serving' as const, load: load({ workers: ['gpu-1', 'gpu-2'], freeRows: 3, rowsPerS: 1.5 }) },
    {
      id: 'b',
      state: 'serving' as const,
      load: load({ workers: ['gpu-2', 'gpu-3'], freeRows: 4, waitingRows: 2, waitingJobs: 1, oldestMs: 1_200 }),
    },
  ];
  const work = modelsOf(['iris'], members, shared);
  assert.deepEqual(work.get('plants'), {
    workers: 3,
    waitingJobs: 8,
    waitingRows: 9,
    inFlightJobs: 5,
    oldestMs: 1_200,
    freeRows: 7,
    capacityRows: 0,
    busyRows: 0,
    rowsPerS: 1.5,
  });
  assert.equal(work.get('iris')?.workers, 0);
  assert.deepEqual([...work.keys()], ['iris', 'plants']);
});

void test('workers that are too many to be named are counted by the gateway that has most', () => {
  const of = (workers: ModelLoad['workers']) => ({ id: 'x', state: 'serving' as const, load: load({ workers }) });
  const shared = { counts: new Map<string, ModelCounts>(), oldest: new Map<string, number>() };
  assert.equal(modelsOf([], [of(1_900), of(2_000), of(['gpu-1'])], shared).get('plants')?.workers, 2_000);
});

void test('what another gateway says of itself is checked whole', () => {
  const good = load({ workers: ['gpu-1'] });
  assert.deepEqual(parseLoad(JSON.parse(JSON.stringify(good))), good);
  for (const bad of [
    null,
    'load',
    {},
    { ...good, loop: 2 },
    { ...good, requests: -1 },
    { ...good, models: { plants: model({ freeRows: NaN }) } },
    { ...good, models: { plants: { ...model({}), workers: Array.from({ length: 201 }, () => 'x') } } },
  ]) {
    assert.equal(parseLoad(bad), null, JSON.stringify(bad));
  }
});

void test('a load is told in as much room as there is', () => {
  const many = load({ workers: Array.from({ length: 200 }, (_, n) => `gpu-${n}`) });
  assert.equal(shortened(many, 10_000), many);
  assert.equal(shortened(many, 400)?.models.plants?.workers, 200);
  assert.equal(shortened(many, 100), null);
});
