/** `/v1/webhooks/deliveries` over a real store: whose deliveries are shown, and what is sent again. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { startHttp } from '../../../test/support/http-service.ts';
import { systemClock } from '../../clock.ts';
import { createIds } from '../../dispatch/id.ts';
import { createKey } from '../../identity/keys/records.ts';
import { createMemoryStore } from '../../store/memory.ts';
import { randomBytes } from 'node:crypto';

interface Page {
  results: { id: string; status: string; prediction: string; attempts: number }[];
  next: string | null;
}

/** Jobs that were cancelled at once: each has one delivery, which nobody sends. */
async function start(t: TestContext, callers: (ids: { anna: string; ben: string }) => readonly string[]) {
  const store = createMemoryStore({ clock: systemClock });
  await store.start();
  t.after(() => store.stop());
  const http = await startHttp(
    t,
    {},
    {
      webhooks: {
        secretOf: (caller) => Promise.resolve(`whsec_${caller}`),
        list: (request) => store.deliveries.list(request),
        ofJob: (id) => store.deliveries.ofJob(id),
        pending: () => store.deliveries.pending(),
        resend: (id) => store.deliveries.retry(id),
      },
    },
  );
  const key = (name: string, scopes: ('predict' | 'admin')[]) =>
    createKey(http.records, { name, scopes }, { actor: 'test', at: systemClock.now() });
  const [anna, ben, admin] = [key('anna', ['predict']), key('ben', ['predict']), key('admin', ['admin'])];
  const nextId = createIds(systemClock, randomBytes);
  const input = { contentType: 'text/plain', bytes: Buffer.from('x') };
  for (const caller of callers({ anna: anna.record.id, ben: ben.record.id })) {
    const id = nextId();
    const webhook = { url: 'https://example.org/hook', events: ['completed' as const], base: 'http://gateway' };
    const rest = { version: null, parameters: {}, rows: 1, priority: 0, deadlineAt: null, idempotencyKey: null };
    await store.submit([{ id, model: 'plants', input, caller, webhook, ...rest }]);
    await store.cancel(id);
  }
  const ask = (path: string, token: string, method = 'GET'): Promise<Response> =>
    fetch(`${http.base}/v1/webhooks/deliveries${path}`, { method, headers: { authorization: `Bearer ${token}` } });
  const page = async (path: string, token: string): Promise<Page> => (await ask(path, token)).json() as Promise<Page>;
  return { store, ask, page, anna: anna.token, ben: ben.token, admin: admin.token };
}

describe('deliveries of webhooks', () => {
  test('everybody sees their own, an administrator all', async (t) => {
    const { page, anna, ben, admin } = await start(t, (ids) => [ids.anna, ids.anna, ids.ben]);
    assert.equal((await page('', anna)).results.length, 2);
    assert.equal((await page('', ben)).results.length, 1);
    assert.equal((await page('?status=pending', admin)).results.length, 3);
    assert.equal((await page('?status=failed', admin)).results.length, 0);
  });

  test('pages follow one another', async (t) => {
    const { page, anna } = await start(t, (ids) => [ids.anna, ids.anna, ids.anna]);
    const first = await page('?limit=2', anna);
    const second = await page(`?limit=2&cursor=${encodeURIComponent(first.next ?? '')}`, anna);
    assert.equal(new Set([...first.results, ...second.results].map(({ id }) => id)).size, 3);
    assert.equal(second.next, null);
  });

  test('a failed one begins anew, for its owner alone', async (t) => {
    const { store, ask, page, anna, ben } = await start(t, (ids) => [ids.anna]);
    const [delivery] = await store.deliveries.claim({ limit: 1, perHost: 1, inFlight: new Map(), leaseMs: 1_000 });
    const outcome = { type: 'failed', answer: 410, reason: 'gone' } as const;
    await store.deliveries.end([{ id: delivery!.id, attempt: 1, outcome }]);
    assert.equal((await page('?status=failed', anna)).results[0]?.id, delivery!.id);
    assert.equal((await ask(`/${delivery!.id}/resend`, ben, 'POST')).status, 404);
    const again = (await (await ask(`/${delivery!.id}/resend`, anna, 'POST')).json()) as Page['results'][number];
    assert.deepEqual([again.status, again.attempts], ['pending', 0]);
    const twice = (await (await ask(`/${delivery!.id}/resend`, anna, 'POST')).json()) as Page['results'][number];
    assert.equal(twice.status, 'pending');
  });

  for (const [path, method, status] of [
    ['?status=lost', 'GET', 400],
    ['?limit=0', 'GET', 400],
    ['?limit=501', 'GET', 400],
    ['?cursor=..%2F', 'GET', 400],
    ['/msg_nothing/resend', 'POST', 404],
    ['/..%2F..%2Fx/resend', 'POST', 404],
  ] as const) {
    test(`${method} ${path} is refused with ${status}`, async (t) => {
      const { ask, anna } = await start(t, (ids) => [ids.anna]);
      assert.equal((await ask(path, anna, method)).status, status);
    });
  }
});
