/** A worker that is scaled in while it works: SIGTERM, as every scaler sends it. What it has it ends or gives back; nothing is lost. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import type { Prediction } from '../../src/client/shapes.ts';
import { PosternSystem, until, untilModel, type Gateway, type Process } from '../support/postern.ts';

interface Scaling {
  models: { model: string; workers: number; in_flight_jobs: number; waiting_jobs: number }[];
}

void suite('a worker is scaled in', { timeout: 280_000 }, () => {
  let system: PosternSystem;
  let gateway: Gateway;
  before(async () => {
    system = new PosternSystem();
    gateway = await system.gateway();
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
  const start = (name: string, drainMs: number): Process =>
    system.worker(gateway, system.join(gateway, name), { POSTERN_DRAIN_MS: String(drainMs) });

  void test('jobs that it can end in time it ends, the others run elsewhere without having spent an attempt', async () => {
    const first = start('gpu-1', 6_000);
    await untilModel(gateway.url, 'echo');
    const short = await Promise.all(Array.from({ length: 8 }, (_, n) => submit(`short ${n}`, 1_500)));
    const long = await submit('long', 12_000);
    await until('all to run', 30_000, async () => {
      const all = await Promise.all([...short, long].map(read));
      return all.every(({ status }) => status !== 'starting') ? true : null;
    });
    const second = start('gpu-2', 6_000);
    await until('two workers', 60_000, async () => ((await scaling())?.workers === 2 ? true : null));
    await first.stop();
    assert.equal(first.child.exitCode, 0, first.log());
    for (const [n, id] of short.entries()) {
      const prediction = await decided(id);
      assert.equal(prediction.status, 'succeeded', JSON.stringify(prediction));
      assert.equal(await (await fetch(`${gateway.url}/v1/predictions/${id}/output`)).text(), `short ${n}`);
    }
    const late = await decided(long);
    assert.equal(late.status, 'succeeded', JSON.stringify(late));
    await until('one worker', 60_000, async () => ((await scaling())?.workers === 1 ? true : null));
    await second.stop();
  });
});
