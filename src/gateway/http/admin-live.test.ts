/** The live view of the console: who may watch, what is sent, and how it ends. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { systemClock } from '../../clock.ts';
import { createKey, revokeKey } from '../../identity/keys/records.ts';
import { refused, startHttp, type RunningHttp } from '../../../test/support/http-service.ts';

const act = () => ({ actor: 'test', at: systemClock.now() });

/** Reads events as they come. */
async function watch(t: TestContext, { base }: RunningHttp, headers: Record<string, string> = {}) {
  const response = await fetch(`${base}/v1/admin/live`, { headers });
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  t.after(() => reader.cancel().catch(() => undefined));
  let text = '';
  let over = false;
  async function next(name: string): Promise<Record<string, unknown>> {
    for (;;) {
      const match = new RegExp(`event: ${name}\\ndata: (.*)\\n\\n`).exec(text);
      if (match) {
        text = text.slice(match.index + match[0].length);
        return JSON.parse(match[1]!) as Record<string, unknown>;
      }
      const { done, value } = await reader.read();
      if (done) throw new Error(`the stream ended before ${name}`);
      text += value;
    }
  }
  const end = async (): Promise<void> => {
    while (!over) over = (await reader.read()).done;
  };
  return { next, end };
}

describe('the live view', () => {
  test('shows at once what is there, again every second, and the points of the series', async (t) => {
    const running = await startHttp(t);
    const { next } = await watch(t, running);
    const first = (await next('snapshot')) as {
      gateway: { phase: string; viewers: number };
      models: { name: string; accepted_per_s: number }[];
      workers: unknown[];
      left_out: unknown;
    };
    assert.deepEqual([first.gateway.phase, first.gateway.viewers], ['ready', 1]);
    assert.deepEqual(
      first.models.map(({ name, accepted_per_s: rate }) => [name, rate]),
      [
        ['plants', 0],
        ['echo', 0],
      ],
    );
    assert.deepEqual([first.workers, first.left_out], [[], { workers: 0, models: 0 }]);
    running.fake.workerList.push({
      name: 'gpu-1',
      session: 'gpu-1/s',
      state: 'connected',
      agent: 'test',
      address: '10.0.0.2',
      connectedAt: 1,
      lastSeenAt: 2,
      roundTripMs: 1.5,
      models: [],
      notAllowed: [],
      certificateEndsAt: 3,
    });
    const { workers } = (await next('snapshot')) as { workers: { name: string; round_trip_ms: number }[] };
    assert.deepEqual([workers[0]?.name, workers[0]?.round_trip_ms], ['gpu-1', 1.5]);
    const point = (await next('point')) as { at: number; connected_workers: number };
    assert.equal(point.connected_workers, 1);
    const series = (await (await fetch(`${running.base}/v1/admin/series`)).json()) as {
      period_ms: number;
      at: number[];
      columns: Record<string, unknown[]>;
    };
    assert.deepEqual([series.period_ms, series.at[0]], [5_000, point.at]);
    assert.deepEqual(series.columns.connected_workers, [1]);
  });

  test('is for administrators, ends with the key, and for whoever came without one when there is a first key', async (t) => {
    const running = await startHttp(t);
    const owner = await watch(t, running);
    await owner.next('snapshot');
    const { record, token } = createKey(running.records, { name: 'ada', scopes: ['admin'] }, act());
    await owner.end();
    await refused(running, await fetch(`${running.base}/v1/admin/live`), 'unauthorized');
    const ada = await watch(t, running, { authorization: `Bearer ${token}` });
    await ada.next('snapshot');
    revokeKey(running.records, record.id, act());
    await assert.rejects(ada.end());
  });

  test('has room for so many, and tells all to come back when the gateway drains', async (t) => {
    const running = await startHttp(t);
    const viewers = await Promise.all(Array.from({ length: 32 }, () => watch(t, running)));
    const extra = await fetch(`${running.base}/v1/admin/live`);
    assert.equal(extra.headers.get('retry-after'), '30');
    await refused(running, extra, 'overloaded');
    const drained = running.service.drain(20_000);
    for (const { next, end } of viewers) {
      assert.deepEqual(await next('reconnect'), { reason: 'draining' });
      await end();
    }
    await drained;
  });

  test('forgets viewers that leave', async (t) => {
    const running = await startHttp(t);
    const leaving = new AbortController();
    const gone = await fetch(`${running.base}/v1/admin/live`, { signal: leaving.signal });
    await gone.body!.getReader().read();
    leaving.abort();
    let viewers = 0;
    const { next } = await watch(t, running);
    await next('snapshot');
    for (let looks = 0; looks < 20 && viewers !== 1; looks += 1) {
      ({ viewers } = ((await next('snapshot')) as { gateway: { viewers: number } }).gateway);
    }
    assert.equal(viewers, 1);
  });
});
