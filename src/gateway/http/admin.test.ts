/** The console's login and the administrative routes, and every way to misuse a cookie. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '../../clock.ts';
import { listAudit, parseHead, verifyAudit } from '../../identity/audit.ts';
import { createKey, revokeKey } from '../../identity/keys/records.ts';
import type { Scope } from '../../identity/keys/key.ts';
import { openWorkers } from '../../identity/workers.ts';
import { makeToken } from '../../identity/keys/token.ts';
import { refused, startHttp, type RunningHttp } from '../../../test/support/http-service.ts';

const act = () => ({ actor: 'test', at: systemClock.now() });
const JSON_TYPE = { 'content-type': 'application/json' };

function makeKey(running: RunningHttp, scopes: Scope[] = ['admin']): { id: string; token: string } {
  const { record, token } = createKey(running.records, { name: 'ada', scopes }, act());
  return { id: record.id, token };
}

function login(running: RunningHttp, key: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const body = JSON.stringify({ key });
  return fetch(`${running.base}/admin/login`, { method: 'POST', body, headers: { ...JSON_TYPE, ...headers } });
}

interface LoggedIn {
  readonly running: RunningHttp;
  readonly id: string;
  readonly cookie: string;
  readonly proof: string;
}

async function loggedIn(
  t: Parameters<typeof startHttp>[0],
  http: Parameters<typeof startHttp>[1] = {},
): Promise<LoggedIn> {
  const running = await startHttp(t, http);
  const { id, token } = makeKey(running);
  const response = await login(running, token);
  assert.equal(response.status, 200);
  const cookie = response.headers.get('set-cookie')?.split(';', 1)[0] ?? '';
  const { csrf_token: proof } = (await response.json()) as { csrf_token: string };
  return { running, id, cookie, proof };
}

const write = ({ running }: LoggedIn, headers: Record<string, string>, path = '/v1/admin/keys'): Promise<Response> =>
  fetch(running.base + path, { method: 'POST', body: '{"name":"made"}', headers: { ...JSON_TYPE, ...headers } });

describe('the login', () => {
  test('sets a cookie that scripts cannot read, that no other site sends, and that is not the key', async (t) => {
    const running = await startHttp(t);
    const { token } = makeKey(running);
    const response = await login(running, token);
    const cookie = response.headers.get('set-cookie') ?? '';
    assert.match(cookie, /^postern-admin=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/);
    assert.ok(!cookie.includes(token.slice(21)));
    assert.equal(response.headers.get('cache-control'), 'no-store');
  });

  test('over HTTPS the cookie is bound to this host and to HTTPS', async (t) => {
    for (const http of [{ publicUrl: 'https://postern.example' }, { trustedProxies: ['127.0.0.1'] }]) {
      const running = await startHttp(t, http);
      const response = await login(running, makeKey(running).token, { 'x-forwarded-proto': 'https' });
      assert.match(response.headers.get('set-cookie') ?? '', /^__Host-postern-admin=.*; Secure$/);
    }
    // Nobody is believed who is no trusted proxy.
    const running = await startHttp(t);
    const response = await login(running, makeKey(running).token, { 'x-forwarded-proto': 'https' });
    assert.match(response.headers.get('set-cookie') ?? '', /^postern-admin=/);
  });

  test('takes an admin key and nothing else', async (t) => {
    const running = await startHttp(t);
    await refused(running, await login(running, makeKey(running, ['predict', 'read']).token), 'forbidden');
    await refused(running, await login(running, makeToken().token), 'unauthorized');
    await refused(running, await login(running, 7), 'bad_parameter');
    const form = { method: 'POST', body: 'key=x', headers: { 'content-type': 'application/x-www-form-urlencoded' } };
    await refused(running, await fetch(`${running.base}/admin/login`, form), 'unsupported_media_type');
  });

  test('is no way in for pages of other sites', async (t) => {
    const running = await startHttp(t, { corsOrigins: ['https://guide.example'] });
    const { token } = makeKey(running);
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'https://guide.example' },
      { origin: 'null' },
    ]) {
      await refused(running, await login(running, token, headers), 'forbidden');
    }
  });

  test('is throttled by address, and the log of failures stays small and true', async (t) => {
    const running = await startHttp(t, { trustedProxies: ['127.0.0.1'] });
    const { token } = makeKey(running);
    const from = (address: string): Record<string, string> => ({ 'x-forwarded-for': address });
    for (let n = 0; n < 5; n += 1) {
      await refused(running, await login(running, makeToken().token, from('198.51.100.7')), 'unauthorized');
    }
    const { retry_after: retryAfter } = await refused(
      running,
      await login(running, token, from('198.51.100.7')),
      'rate_limited',
    );
    assert.ok((retryAfter ?? 0) > 0);
    // What the caller claims in front of its own address changes nothing; another address is another matter.
    await refused(running, await login(running, token, from('203.0.113.9, 198.51.100.7')), 'rate_limited');
    assert.equal((await login(running, token, from('203.0.113.9'))).status, 200);
    for (let n = 0; n < 40; n += 1) await (await login(running, makeToken().token, from(`192.0.2.${n}`))).text();
    const failures = listAudit(running.records.db, { limit: 500, beforeSeq: null }).filter(
      ({ action }) => action === 'login.failure',
    );
    assert.equal(failures.length, 20);
    assert.equal(failures.at(-1)?.detail.address, '198.51.100.7');
    assert.equal(verifyAudit(running.records.db, null).isIntact, true);
  });

  test('one /64 of IPv6 counts as one address', async (t) => {
    const running = await startHttp(t, { trustedProxies: ['127.0.0.1'] });
    makeKey(running);
    for (let n = 0; n < 5; n += 1) {
      await (await login(running, makeToken().token, { 'x-forwarded-for': `2001:db8::${n}` })).text();
    }
    await refused(running, await login(running, 'x', { 'x-forwarded-for': '2001:db8:0:0:f::1' }), 'rate_limited');
  });
});

describe('the cookie', () => {
  test('stands for the key: reads need nothing else', async (t) => {
    const { running, cookie, id } = await loggedIn(t);
    const response = await fetch(`${running.base}/v1/admin/whoami`, { headers: { cookie } });
    const who = (await response.json()) as { caller: string; key: { name: string }; session: { csrf_token: string } };
    assert.deepEqual([who.caller, who.key.name], [id, 'ada']);
    for (const path of ['/v1/admin/keys', '/v1/workers', '/metrics', '/v1/predictions']) {
      assert.equal((await fetch(running.base + path, { headers: { cookie } })).status, 200, path);
    }
  });

  const other = 'a'.repeat(32);
  const writes: readonly (readonly [
    what: string,
    headers: (session: LoggedIn) => Record<string, string>,
    status: number,
  ])[] = [
    ['without the token', ({ cookie }) => ({ cookie }), 403],
    ['with an empty token', ({ cookie }) => ({ cookie, 'x-csrf-token': '' }), 403],
    ['with somebody’s token', ({ cookie }) => ({ cookie, 'x-csrf-token': other }), 403],
    ['with the token cut off', ({ cookie, proof }) => ({ cookie, 'x-csrf-token': proof.slice(1) }), 403],
    ['with the token in the wrong header', ({ cookie, proof }) => ({ cookie, 'x-xsrf-token': proof }), 403],
    [
      'with the token, from another site',
      ({ cookie, proof }) => ({ cookie, 'x-csrf-token': proof, origin: 'https://evil.example' }),
      403,
    ],
    [
      'with the token, from a site that CORS allows',
      ({ cookie, proof }) => ({ cookie, 'x-csrf-token': proof, origin: 'https://guide.example' }),
      403,
    ],
    [
      'with the token, from another port',
      ({ running, cookie, proof }) => ({
        cookie,
        'x-csrf-token': proof,
        origin: `http://127.0.0.1:${running.port + 1}`,
      }),
      403,
    ],
    ['with the token, from a sandbox', ({ cookie, proof }) => ({ cookie, 'x-csrf-token': proof, origin: 'null' }), 403],
    [
      'with the token, cross-site',
      ({ cookie, proof }) => ({ cookie, 'x-csrf-token': proof, 'sec-fetch-site': 'cross-site' }),
      403,
    ],
    ['with the token and no cookie', ({ proof }) => ({ 'x-csrf-token': proof }), 401],
    [
      'with a forged cookie',
      ({ proof }) => ({ cookie: `postern-admin=${'A'.repeat(43)}`, 'x-csrf-token': proof }),
      401,
    ],
    [
      'with the cookie in two halves',
      ({ cookie, proof }) => ({ cookie: `${cookie.slice(0, 30)}; ${cookie.slice(30)}`, 'x-csrf-token': proof }),
      401,
    ],
    ['with the token', ({ cookie, proof }) => ({ cookie, 'x-csrf-token': proof }), 201],
    [
      'with the token, from its own page',
      ({ running, cookie, proof }) => ({ cookie, 'x-csrf-token': proof, origin: running.base }),
      201,
    ],
    [
      'with the token, among other cookies',
      ({ cookie, proof }) => ({ cookie: `a=b; postern-admin=planted; ${cookie}; c`, 'x-csrf-token': proof }),
      201,
    ],
  ];
  for (const [what, headers, status] of writes) {
    test(`a write ${what} is answered with ${status}`, async (t) => {
      const session = await loggedIn(t, { corsOrigins: ['https://guide.example'] });
      assert.equal((await write(session, headers(session))).status, status);
      const keys = session.running.records.db.prepare("SELECT count(*) AS n FROM key WHERE name = 'made'").get()?.n;
      assert.equal(keys, status === 201 ? 1 : 0);
    });
  }

  test('counts no more after the logout, and the login is on no disk', async (t) => {
    const session = await loggedIn(t);
    const { running, cookie } = session;
    const stored = JSON.stringify(running.records.db.prepare('SELECT * FROM admin_session').all());
    assert.ok(!stored.includes(cookie.split('=')[1] ?? assert.fail()));
    const out = await fetch(`${running.base}/admin/logout`, { method: 'POST', headers: { cookie } });
    assert.equal(out.status, 204);
    assert.match(out.headers.get('set-cookie') ?? '', /^postern-admin=; .*Max-Age=0/);
    await refused(running, await fetch(`${running.base}/v1/admin/keys`, { headers: { cookie } }), 'unauthorized');
    assert.equal(running.records.db.prepare('SELECT count(*) AS n FROM admin_session').get()?.n, 0);
  });

  test('counts no more when its key is revoked', async (t) => {
    const { running, cookie, id } = await loggedIn(t);
    revokeKey(running.records, id, act());
    await refused(running, await fetch(`${running.base}/v1/admin/keys`, { headers: { cookie } }), 'unauthorized');
  });

  test('outlives the gateway: a release logs nobody out', async (t) => {
    const { running, cookie } = await loggedIn(t);
    const again = await startHttp(t, {}, { records: running.records });
    assert.equal((await fetch(`${again.base}/v1/admin/keys`, { headers: { cookie } })).status, 200);
  });
});

describe('the administrative routes', () => {
  const admin = async (t: Parameters<typeof startHttp>[0]) => {
    const running = await startHttp(t);
    const { id, token } = makeKey(running);
    const headers = { authorization: `Bearer ${token}`, ...JSON_TYPE };
    const call = (method: string, path: string, body?: unknown): Promise<Response> =>
      fetch(running.base + path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    return { running, id, call };
  };

  test('make a key that is shown once and works at once, list it, and end it', async (t) => {
    const { running, call } = await admin(t);
    const made = await call('POST', '/v1/admin/keys', { name: 'web', models: ['plants'], rate_per_s: 5 });
    assert.equal(made.status, 201);
    const { id, key } = (await made.json()) as { id: string; key: string };
    const asWeb = (): Promise<Response> =>
      fetch(`${running.base}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
    assert.equal((await asWeb()).status, 200);
    const listed = await (await call('GET', '/v1/admin/keys')).text();
    assert.ok(listed.includes(id) && !listed.includes(key.slice(21)) && !listed.includes('digest'));
    assert.equal((await call('POST', `/v1/admin/keys/${id}/revoke`)).status, 200);
    await refused(running, await asWeb(), 'unauthorized');
    await refused(running, await call('POST', '/v1/admin/keys/unknown/revoke'), 'not_found');
  });

  for (const [what, body] of [
    ['an unknown member', { name: 'a', admin: true }],
    ['a prototype', JSON.parse('{"name":"a","constructor":{}}')],
    ['a scope that does not exist', { name: 'a', scopes: ['root'] }],
    ['an end in the past', { name: 'a', expires_at: 5 }],
    ['nothing', {}],
  ] as const) {
    test(`refuse to make a key of ${what}`, async (t) => {
      const { running, call } = await admin(t);
      const { status } = await call('POST', '/v1/admin/keys', body);
      assert.equal(status, 400);
      assert.equal(running.records.db.prepare('SELECT count(*) AS n FROM key').get()?.n, 1);
    });
  }

  test('show the audit log page by page, with its head, and name who did what', async (t) => {
    const { running, id, call } = await admin(t);
    for (let n = 0; n < 5; n += 1) await call('POST', '/v1/admin/keys', { name: `key ${n}` });
    const page = async (query: string) =>
      (await (await call('GET', `/v1/admin/audit${query}`)).json()) as {
        results: { seq: number; actor: string; action: string; at: string }[];
        next_before: number | null;
        head: string;
      };
    const first = await page('?limit=4');
    assert.deepEqual(
      first.results.map(({ seq, actor }) => [seq, actor]),
      [6, 5, 4, 3].map((seq) => [seq, `key:${id}`]),
    );
    const rest = await page(`?limit=4&before=${first.next_before}`);
    assert.deepEqual([rest.results.map(({ seq }) => seq), rest.next_before], [[2, 1], null]);
    assert.equal(verifyAudit(running.records.db, parseHead(first.head)).isIntact, true);
    assert.equal((await call('GET', '/v1/admin/audit?limit=0')).status, 400);
    assert.equal((await call('GET', '/v1/admin/audit?before=x')).status, 400);
  });

  test('list workers, invited or not, with their sessions, and shut one out', async (t) => {
    const { running, id, call } = await admin(t);
    const workers = openWorkers(running.records);
    workers.allow('gpu-1', new Set(['plants']), act());
    const invitation = { id: 'i1', digest: 'd', worker: 'gpu-2', models: null, expiresAt: systemClock.now() + 60_000 };
    workers.invite(invitation, act());
    running.fake.workerList.push({
      name: 'gpu-1',
      session: 'gpu-1/s',
      state: 'connected',
      agent: 'test',
      address: '10.0.0.2',
      connectedAt: 1,
      lastSeenAt: 2_000,
      roundTripMs: 1.5,
      models: [],
      notAllowed: [],
      certificateEndsAt: 3,
    });
    interface Listed {
      results: { name: string; standing: string; models: string[] | null; session: { address: string } | null }[];
    }
    const list = async () => ((await (await call('GET', '/v1/admin/workers')).json()) as Listed).results;
    const seen = (await list()).map((one) => [one.name, one.standing, one.models, one.session?.address ?? null]);
    assert.deepEqual(seen, [
      ['gpu-1', 'joined', ['plants'], '10.0.0.2'],
      ['gpu-2', 'invited', null, null],
    ]);
    const answer = await call('POST', '/v1/admin/workers/gpu-1/revoke');
    const revoked = (await answer.json()) as { standing: string; revoked_at: string; session: null };
    assert.deepEqual([answer.status, revoked.standing, revoked.session], [200, 'revoked', null]);
    assert.equal((await call('POST', '/v1/admin/workers/gpu-2/revoke')).status, 204);
    assert.deepEqual(
      (await list()).map(({ standing }) => standing),
      ['revoked'],
    );
    await refused(running, await call('POST', '/v1/admin/workers/gpu-2/revoke'), 'not_found');
    await refused(running, await call('POST', '/v1/admin/workers/..%2fkeys/revoke'), 'not_found');
    const entries = listAudit(running.records.db, { limit: 2, beforeSeq: null });
    assert.deepEqual(
      entries.map(({ actor, action, target }) => [actor, action, target]),
      [
        [`key:${id}`, 'worker.revoke', 'worker:gpu-2'],
        [`key:${id}`, 'worker.revoke', 'worker:gpu-1'],
      ],
    );
  });

  test('are for administrators alone, workers included', async (t) => {
    const running = await startHttp(t);
    const { token } = makeKey(running, ['predict', 'read']);
    openWorkers(running.records).allow('gpu-1', null, act());
    const headers = { authorization: `Bearer ${token}` };
    for (const [method, path] of [
      ['GET', '/v1/admin/workers'],
      ['POST', '/v1/admin/workers/gpu-1/revoke'],
    ] as const) {
      await refused(running, await fetch(running.base + path, { method, headers }), 'forbidden');
      await refused(running, await fetch(running.base + path, { method }), 'unauthorized');
    }
    assert.equal(openWorkers(running.records).book.value.workers.get('gpu-1')?.revokedAt, null);
  });

  test('take no large body', async (t) => {
    const { running, call } = await admin(t);
    await refused(running, await call('POST', '/v1/admin/keys', { name: 'x'.repeat(20_000) }), 'body_too_large');
  });
});
