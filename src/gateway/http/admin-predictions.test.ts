/** What an administrator sees of everybody's jobs, and does with one. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '../../clock.ts';
import { listAudit } from '../../identity/audit.ts';
import type { Scope } from '../../identity/keys/key.ts';
import { createKey } from '../../identity/keys/records.ts';
import { MODEL, refused, startHttp, type RunningHttp } from '../../../test/support/http-service.ts';

interface Shown {
  id: string;
  status: string;
  caller: string;
  caller_name: string | null;
  queue_position?: number | null;
  timings: Record<string, number> | null;
}

async function scene(t: Parameters<typeof startHttp>[0]) {
  const running = await startHttp(t);
  const make = (name: string, scopes: Scope[]) =>
    createKey(running.records, { name, scopes }, { actor: 'test', at: systemClock.now() });
  const [ada, web] = [make('ada', ['admin']), make('web', ['predict'])];
  const as = (token: string) => (method: string, path: string, body?: string) =>
    fetch(running.base + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' },
      ...(body === undefined ? {} : { body }),
    });
  return { running, ada, web, asAda: as(ada.token), asWeb: as(web.token) };
}

const acts = ({ records }: RunningHttp) =>
  listAudit(records.db, { limit: 50, beforeSeq: null })
    .filter(({ action }) => action.startsWith('job.'))
    .map(({ actor, action, target, detail }) => ({ actor, action, target, detail }));

describe('the predictions of everybody', () => {
  test('are listed with whose they are and where their time went, page by page', async (t) => {
    const { running, web, asAda, asWeb } = await scene(t);
    for (let n = 0; n < 3; n += 1) assert.equal((await asWeb('POST', MODEL, 'x')).status, 201);
    running.fake.ending = null;
    await asWeb('POST', MODEL, 'x');
    const page = async (query: string) =>
      (await (await asAda('GET', `/v1/admin/predictions${query}`)).json()) as {
        results: Shown[];
        next_cursor: string | null;
      };
    const first = await page('?limit=2');
    assert.deepEqual(
      first.results.map(({ id, caller, caller_name: name, status }) => [id, caller, name, status]),
      [
        ['job-4', web.record.id, 'web', 'starting'],
        ['job-3', web.record.id, 'web', 'succeeded'],
      ],
    );
    const second = await page(`?limit=2&cursor=${first.next_cursor}`);
    assert.deepEqual([second.results.map(({ id }) => id), second.next_cursor], [['job-2', 'job-1'], null]);
    const { timings } = second.results[0]!;
    assert.deepEqual(
      [timings?.queue_ms, timings?.link_ms, timings?.batch_wait_ms, timings?.decode_ms, timings?.compute_ms],
      [0.1, 0.5, 0.2, 3, 8.25],
    );
    const { total_ms: total, ...parts } = timings!;
    const sum = Object.values(parts).reduce((all, part) => all + part, 0);
    assert.deepEqual([total, sum.toFixed(3)], [500, '500.000']);
    assert.deepEqual(
      (await page('?status=starting')).results.map(({ id }) => id),
      ['job-4'],
    );
    assert.deepEqual((await page('?caller=nobody')).results, []);
    await refused(running, await asAda('GET', '/v1/admin/predictions?status=lost'), 'bad_parameter');
    const one = (await (await asAda('GET', '/v1/admin/predictions/job-4')).json()) as Shown;
    assert.deepEqual([one.id, one.queue_position, one.timings], ['job-4', 0, null]);
    await refused(running, await asAda('GET', '/v1/admin/predictions/none'), 'prediction_not_found');
  });

  test('can be canceled and, when they failed, tried again; the audit log says by whom', async (t) => {
    const { running, ada, web, asAda, asWeb } = await scene(t);
    running.fake.ending = null;
    await asWeb('POST', MODEL, 'x');
    const canceled = await asAda('POST', '/v1/admin/predictions/job-1/cancel');
    assert.deepEqual([canceled.status, ((await canceled.json()) as Shown).status], [200, 'canceled']);
    await refused(running, await asAda('POST', '/v1/admin/predictions/job-1/retry'), 'retry_refused');
    await refused(running, await asAda('POST', '/v1/admin/predictions/none/retry'), 'prediction_not_found');
    await refused(running, await asAda('POST', '/v1/admin/predictions/none/cancel'), 'prediction_not_found');
    await asWeb('POST', MODEL, 'x');
    running.fake.decide('job-2', {
      type: 'failed',
      error: { code: 'model_failed', message: 'no' },
      retryable: false,
    });
    const again = await asAda('POST', '/v1/admin/predictions/job-2/retry');
    const shown = (await again.json()) as Shown;
    assert.deepEqual([again.status, shown.id, shown.caller], [202, 'job-3', web.record.id]);
    assert.equal(again.headers.get('location'), '/v1/admin/predictions/job-3');
    const actor = `key:${ada.record.id}`;
    const common = { model: 'plants', caller: web.record.id };
    assert.deepEqual(acts(running), [
      { actor, action: 'job.retry', target: 'job:job-2', detail: { ...common, again: 'job-3' } },
      { actor, action: 'job.cancel', target: 'job:job-1', detail: { ...common, status: 'canceled' } },
    ]);
  });

  test('are nobody else’s business', async (t) => {
    const { running, asWeb } = await scene(t);
    await asWeb('POST', MODEL, 'x');
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/job-1'],
      ['POST', '/job-1/cancel'],
      ['POST', '/job-1/retry'],
    ] as const) {
      await refused(running, await asWeb(method, `/v1/admin/predictions${path}`), 'forbidden');
      const anonymous = await fetch(`${running.base}/v1/admin/predictions${path}`, { method });
      await refused(running, anonymous, 'unauthorized');
    }
    assert.deepEqual(acts(running), []);
  });
});
