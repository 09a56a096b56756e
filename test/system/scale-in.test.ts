/** A worker that is scaled in while it works: SIGTERM, as every scaler sends it. What it has it ends or gives back; nothing is lost. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import type { Prediction } from '../../src/client/shapes.ts';
import { PosternSystem, until, untilModel, type Gateway, type Process } from '../support/postern.ts';

/** What is short ends within the drain, what is long does not, by seconds on either side. */
const SHORT_MS = 5_000;
const DRAIN_MS = 10_000;
const LONG_MS = 60_000;

interface Scaling {
  models: { model: string; workers: number; in_flight_jobs: number; waiting_jobs: number }[];
}

void suite('a worker is scaled in', { timeout: 280_000 }, () => {
  let system: PosternSystem;
  let gateway: Gateway;
  before(async () => {
    system = new PosternSystem();
    gateway = await system.gateway({}, { env: { POSTERN_MAX_ATTEMPTS: '1' } });
  });
  after(() => system.remove());

  const scaling = async (): Promise<Scaling['models'][number] | undefined> =>
    ((await (await fetch(`${gateway.url}/v1/scaling?model=echo`)).json()) as Scaling).models[0];
  const submit = async (text: string, delayMs: number): Promise<string> => {
    const response = await fetch(`${gateway.url}/v1/models/local/echo/predictions?delay_ms=${delayMs}`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: text,
    });
    assert.equal(response.status, 202, await response.clone().text());
    return ((await response.json()) as Prediction).id;
  };
  const read = async (id: string): Promise<Prediction> =>
    (await (await fetch(`${gateway.url}/v1/predictions/${id}`)).json()) as Prediction;
  const decided = (id: string): Promise<Prediction> =>
    until(`the end of ${id}`, 120_000, async () => {
      const prediction = (await (await fetch(`${gateway.url}/v1/predictions/${id}?wait=30`)).json()) as Prediction;
      return prediction.status === 'starting' || prediction.status === 'processing' ? null : prediction;
    });
  const start = (name: string): Process =>
    system.worker(gateway, system.join(gateway, name), { POSTERN_DRAIN_MS: String(DRAIN_MS) });

  void test('jobs that it can end in time it ends, the others run elsewhere without having spent an attempt', async () => {
    const first = start('gpu-1');
    await untilModel(gateway.url, 'echo');
    // Nobody else is there, so it runs on gpu-1; and it cannot be over before gpu-1 is gone.
    const long = await submit('long', LONG_MS);
    await until('the long one to run', 30_000, async () => ((await read(long)).status === 'processing' ? true : null));
    const second = start('gpu-2');
    await until('two workers', 45_000, async () => ((await scaling())?.workers === 2 ? true : null));

    const shorts = await Promise.all(Array.from({ length: 16 }, (_, n) => submit(`short ${n}`, SHORT_MS)));
    const before = await until('all to run', 30_000, async () => {
      const all = await Promise.all([long, ...shorts].map(read));
      return all.every(({ status }) => status === 'processing') ? all : null;
    });
    assert.equal(before[0]?.worker, 'gpu-1');
    assert.ok(
      before.slice(1).some(({ worker }) => worker === 'gpu-1'),
      'some of the short ones must run on gpu-1 too',
    );
    await first.stop();
    assert.equal(first.child.exitCode, 0, first.log());

    for (const [n, id] of shorts.entries()) {
      const { status, worker, attempt, past_attempts: past } = await decided(id);
      assert.deepEqual([status, worker, attempt, past], ['succeeded', before[n + 1]?.worker, 1, []]);
      assert.equal(await (await fetch(`${gateway.url}/v1/predictions/${id}/output`)).text(), `short ${n}`);
    }
    const late = await decided(long);
    assert.deepEqual([late.status, late.worker, late.attempt], ['succeeded', 'gpu-2', 2], JSON.stringify(late));
    // It is told of, but not counted: the gateway allows one attempt.
    assert.deepEqual(
      late.past_attempts.map(({ attempt, worker, error }) => [attempt, worker, error]),
      [[1, 'gpu-1', 'the session of the worker ended']],
    );
    await until('one worker', 60_000, async () => ((await scaling())?.workers === 1 ? true : null));
    await second.stop();
  });
});
