/** `/v1/scaling` and the figures of `/metrics` beside it, over a real socket. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { startHttp, type Problem } from '../../../test/support/http-service.ts';
import { createKey } from '../../identity/keys/records.ts';
import { PosternError } from '../../errors.ts';
import type { ScalingVerdict } from '../scaling/scaling.ts';
import { BOUNDS } from '../scaling/targets.ts';
import type { ModelWork } from '../scaling/whole.ts';
import { createWorkMetrics, MAX_LABELS, OTHERS } from './metrics-work.ts';

interface Verdict {
  targets: Record<string, number>;
  models: { model: string; wanted_workers: number; reason: string; queue_s: number; work_off_s: number | null }[];
  gateways: { count: number; wanted: number; members: { id: string; loop: number }[] };
}

void test('all models and gateways, with the default targets', async (t) => {
  const { base } = await startHttp(t);
  const response = await fetch(`${base}/v1/scaling`);
  assert.equal(response.status, 200);
  const { targets, models, gateways } = (await response.json()) as Verdict;
  assert.deepEqual(Object.keys(targets), Object.keys(BOUNDS));
  assert.deepEqual(
    models.map(({ model, wanted_workers, reason, queue_s, work_off_s }) => [
      model,
      wanted_workers,
      reason,
      queue_s,
      work_off_s,
    ]),
    [
      ['echo', 1, 'bound', 0, 0],
      ['plants', 1, 'bound', 0, 0],
    ],
  );
  assert.deepEqual([gateways.count, gateways.wanted, gateways.members[0]?.id], [1, 1, 'test']);
});

void test('a poll brings its own targets, for one model, named as callers name it', async (t) => {
  const { base } = await startHttp(t);
  for (const [query, wanted] of [
    ['model=plants&min_workers=3', 3],
    ['model=local/plants&min_workers=0', 0],
    ['model=plants&min_workers=2&max_workers=2&target_queue_s=0.5&down_s=60', 2],
  ] as const) {
    const { models } = (await (await fetch(`${base}/v1/scaling?${query}`)).json()) as Verdict;
    assert.deepEqual(
      models.map((one) => [one.model, one.wanted_workers]),
      [['plants', wanted]],
    );
  }
});

void test('what is misspelt, out of bounds or upside down is refused by name', async (t) => {
  const { base } = await startHttp(t);
  for (const [query, expected] of [
    ['target_queue=5', /"target_queue"; expected some of model, target_queue_s/],
    ['target_queue_s=0', /target_queue_s is "0"; expected 0\.1 to 86400/],
    ['target_queue_s=1e3', /target_queue_s is "1e3"/],
    ['min_workers=1.5', /a whole number/],
    ['min_workers=5&max_workers=4', /min_workers is 5, and max_workers is 4/],
    ['up_s=1&up_s=2', /given twice/],
  ] as const) {
    const response = await fetch(`${base}/v1/scaling?${query}`);
    const problem = (await response.json()) as Problem;
    assert.deepEqual([response.status, problem.code], [400, 'bad_parameter'], query);
    assert.match(problem.detail, expected);
  }
  for (const name of ['roses', 'a%20b', '__proto__']) {
    const unknown = await fetch(`${base}/v1/scaling?model=${name}`);
    assert.equal(((await unknown.json()) as Problem).code, 'model_not_found', name);
  }
});

void test('a key sees the models that it is for', async (t) => {
  const { base, records } = await startHttp(t);
  const act = { actor: 'test', at: Date.now() };
  const { token } = createKey(records, { name: 'scaler', scopes: ['read'], models: ['plants'] }, act);
  const ask = (query: string): Promise<Response> =>
    fetch(`${base}/v1/scaling${query}`, { headers: { authorization: `Bearer ${token}` } });
  const { models } = (await (await ask('')).json()) as Verdict;
  assert.deepEqual(
    models.map(({ model }) => model),
    ['plants'],
  );
  assert.equal((await ask('?model=echo')).status, 403);
});

const work = (over: Partial<ModelWork> = {}): ModelWork => ({
  workers: 1,
  waitingJobs: 2,
  waitingRows: 2,
  inFlightJobs: 0,
  oldestMs: 1_500,
  freeRows: 0,
  capacityRows: 8,
  busyRows: 0,
  rowsPerS: 0,
  ...over,
});
const verdictOf = (models: readonly [string, ModelWork][]): ScalingVerdict => ({
  whole: {
    at: 0,
    seenAt: 0,
    models: new Map(models),
    members: [
      {
        id: 'a',
        state: 'serving',
        load: { requests: 0, connections: 0, sessions: 3, loop: 0.25, cores: 0.5, models: {} },
      },
    ],
  },
  models: models.map(([model, one]) => ({ model, work: one, wanted: 2, reason: 'queue' })),
  gateways: { wanted: 1, reason: 'enough' },
});

void test('what nobody can say is missing, and nothing is told when nothing is known', async () => {
  const registry = new Registry();
  let fails = false;
  const read = createWorkMetrics(registry, {
    verdict: () =>
      fails
        ? Promise.reject(new PosternError('storage_failed', 'away'))
        : Promise.resolve(verdictOf([['plants', work()]])),
  });
  await read();
  const page = await registry.metrics();
  assert.match(page, /^postern_queue_seconds\{model="plants"\} 1\.5$/m);
  assert.match(page, /^postern_wanted_workers\{model="plants"\} 2$/m);
  assert.match(page, /^postern_worker_sessions 3$/m);
  assert.doesNotMatch(page, /^postern_queue_work_off_seconds\{/m);
  fails = true;
  await read();
  assert.doesNotMatch(await registry.metrics(), /^postern_/m);
  fails = false;
  await read();
  assert.match(await registry.metrics(), /^postern_gateways 1$/m);
});

void test('labels are bounded: the models with the most work, and the rest as one', async () => {
  const registry = new Registry();
  const many = Array.from({ length: MAX_LABELS + 50 }, (_, n): [string, ModelWork] => [
    `model-${n}`,
    work({ waitingRows: n, waitingJobs: n }),
  ]);
  const read = createWorkMetrics(registry, { verdict: () => Promise.resolve(verdictOf(many)) });
  await read();
  const lines = (await registry.metrics()).split('\n').filter((line) => line.startsWith('postern_queue_jobs{'));
  assert.equal(lines.length, MAX_LABELS + 1);
  // 0 + 1 + … + 49
  assert.ok(lines.includes(`postern_queue_jobs{model="${OTHERS}"} 1225`), lines.at(-1));
});
