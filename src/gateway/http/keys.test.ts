/** Who is let in, by key or without one: every way that a request can be let in or refused, in tables. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { systemClock } from '../../clock.ts';
import type { ErrorCode } from '../../errors.ts';
import type { KeyWish } from '../../identity/keys/key.ts';
import { createKey, revokeKey } from '../../identity/keys/records.ts';
import { makeToken } from '../../identity/keys/token.ts';
import { exchange, MODEL, refused, startHttp, until, type RunningHttp } from '../../../test/support/http-service.ts';

const act = () => ({ actor: 'test', at: systemClock.now() });

function makeKey(running: RunningHttp, wish: Partial<KeyWish> = {}): { id: string; token: string } {
  const { record, token } = createKey(running.records, { name: 'test', ...wish }, act());
  return { id: record.id, token };
}

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
const jpeg = { 'content-type': 'image/jpeg', prefer: 'wait' };

function predict(running: RunningHttp, headers: Record<string, string>, path = MODEL): Promise<Response> {
  return fetch(running.base + path, { method: 'POST', body: 'x', headers: { ...jpeg, ...headers } });
}

const get = (running: RunningHttp, path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(running.base + path, { headers });

/** Addresses of every route, with something in the place of each parameter. */
const addressOf = (path: string): string =>
  path
    .replace(':name', 'plants')
    .replace(':owner', 'local')
    .replace(/:(\w+)/g, 'x')
    .replace(/\*$/, 'x');

describe('a gateway that has a key', () => {
  test('answers nobody without one, on any route but the public ones', async (t) => {
    const running = await startHttp(t);
    makeKey(running);
    const guarded = running.service.routes.filter(({ scope }) => scope !== 'public');
    assert.ok(guarded.length > 15);
    for (const { method, path } of guarded) {
      const response = await fetch(running.base + addressOf(path), { method });
      // The Open Inference Protocol has a type of its own for problems.
      const { code, detail } = (await response.json()) as { code: string; detail: string };
      assert.deepEqual([response.status, code], [401, 'unauthorized'], path);
      assert.match(detail, /API key/, path);
      assert.match(response.headers.get('www-authenticate') ?? '', /^Bearer/, path);
    }
    for (const { method, path } of running.service.routes.filter(({ scope }) => scope === 'public')) {
      const { status } = await fetch(running.base + addressOf(path), { method });
      assert.ok(status !== 401 || path === '/admin/login', path);
    }
  });

  test('tells a HEAD request and an unknown address no more than that', async (t) => {
    const running = await startHttp(t);
    makeKey(running);
    assert.equal((await fetch(`${running.base}/v1/workers`, { method: 'HEAD' })).status, 401);
    assert.equal((await get(running, '/v1/unknown')).status, 404);
  });

  const right: readonly (readonly [what: string, header: (token: string) => string])[] = [
    ['Bearer', (token) => `Bearer ${token}`],
    ['Token, as the client of Replicate sends it', (token) => `Token ${token}`],
    ['any case of the scheme', (token) => `bEARER ${token}`],
    ['more than one space', (token) => `Bearer   ${token}`],
  ];
  for (const [what, header] of right) {
    test(`takes it as ${what}`, async (t) => {
      const running = await startHttp(t);
      const { id, token } = makeKey(running);
      assert.equal((await predict(running, { authorization: header(token) })).status, 201);
      assert.equal(running.fake.submitted[0]?.caller, id);
    });
  }

  const other = makeToken().token;
  const wrong: readonly (readonly [what: string, header: (token: string) => string])[] = [
    ['a key of another gateway', () => `Bearer ${other}`],
    ['the id of a key with the secret of another', (token) => `Bearer ${token.slice(0, 21)}${other.slice(21)}`],
    ['a key that was cut off', (token) => `Bearer ${token.slice(0, -1)}`],
    ['a key with something behind it', (token) => `Bearer ${token}x`],
    ['a key in capitals', (token) => `Bearer ${token.toUpperCase()}`],
    ['two keys', (token) => `Bearer ${token} ${token}`],
    ['two keys with a comma', (token) => `Bearer ${token}, Bearer ${token}`],
    ['the id alone', (token) => `Bearer ${token.slice(0, 20)}`],
    ['an empty key', () => 'Bearer '],
    ['no scheme', (token) => token],
    ['Basic', (token) => `Basic ${Buffer.from(`x:${token}`).toString('base64')}`],
    ['Digest', (token) => `Digest ${token}`],
    ['a very long key', () => `Bearer postern_${'a'.repeat(8_000)}`],
    ['a pattern', () => 'Bearer postern_%'],
    ['SQL', () => "Bearer postern_' OR 1=1 --"],
    ['the name of a property', () => 'Bearer __proto__'],
  ];
  for (const [what, header] of wrong) {
    test(`refuses ${what}`, async (t) => {
      const running = await startHttp(t);
      const { token } = makeKey(running);
      const answer = await refused(running, await predict(running, { authorization: header(token) }), 'unauthorized');
      assert.ok(!JSON.stringify(answer).includes(token.slice(21)), 'the answer repeats the key');
      assert.equal(running.fake.submitted.length, 0);
    });
  }

  test('takes no key from the address, a cookie or another header', async (t) => {
    const running = await startHttp(t);
    const { token } = makeKey(running, { scopes: ['admin'] });
    await refused(running, await get(running, `/v1/models?key=${token}&access_token=${token}`), 'unauthorized');
    for (const name of ['cookie', 'x-api-key', 'proxy-authorization']) {
      await refused(running, await get(running, '/v1/models', { [name]: token }), 'unauthorized');
    }
    await refused(running, await get(running, '/v1/models', { cookie: `postern-admin=${token}` }), 'unauthorized');
  });

  test('believes no header about where a request comes from', async (t) => {
    const running = await startHttp(t);
    makeKey(running);
    const claims: Record<string, string>[] = [
      { 'x-forwarded-for': '127.0.0.1' },
      { forwarded: 'for=127.0.0.1' },
      { 'x-real-ip': '127.0.0.1' },
      { host: 'localhost' },
      { 'x-original-url': '/livez' },
      { 'x-http-method-override': 'OPTIONS' },
    ];
    for (const headers of claims) {
      await refused(running, await get(running, '/v1/admin/keys', headers), 'unauthorized');
    }
  });

  test('goes on asking for one when the last is revoked', async (t) => {
    const running = await startHttp(t);
    const { id, token } = makeKey(running);
    revokeKey(running.records, id, act());
    const { detail } = await refused(running, await predict(running, bearer(token)), 'unauthorized');
    assert.match(detail, /revoked/);
    await refused(running, await predict(running, {}), 'unauthorized');
  });
});

describe('what a key is for', () => {
  type Scopes = ('predict' | 'read' | 'admin')[];
  const table: readonly (readonly [scopes: Scopes, method: string, path: string, allowed: boolean])[] = [
    [['predict'], 'POST', MODEL, true],
    [['predict'], 'GET', '/v1/predictions', true],
    [['predict'], 'GET', '/v1/models', true],
    [['predict'], 'GET', '/v1/workers', false],
    [['predict'], 'GET', '/metrics', false],
    [['predict'], 'GET', '/v1/admin/keys', false],
    [['predict'], 'POST', '/v1/admin/keys', false],
    [['read'], 'POST', MODEL, false],
    [['read'], 'POST', '/v1/predictions/x/cancel', false],
    [['read'], 'GET', '/v1/predictions', true],
    [['read'], 'GET', '/v1/models', true],
    [['read'], 'GET', '/v1/workers', true],
    [['read'], 'GET', '/metrics', true],
    [['read'], 'GET', '/v1/admin/audit', false],
    [['predict', 'read'], 'POST', MODEL, true],
    [['predict', 'read'], 'GET', '/metrics', true],
    [['predict', 'read'], 'GET', '/v1/admin/whoami', false],
    [['admin'], 'POST', MODEL, true],
    [['admin'], 'GET', '/metrics', true],
    [['admin'], 'GET', '/v1/admin/keys', true],
  ];
  for (const [scopes, method, path, allowed] of table) {
    test(`${scopes.join(' and ')} ${allowed ? 'may' : 'may not'} ${method} ${path}`, async (t) => {
      const running = await startHttp(t);
      const headers = { ...bearer(makeKey(running, { scopes }).token), ...jpeg };
      const response = await fetch(running.base + path, {
        method,
        headers,
        ...(method === 'POST' ? { body: 'x' } : {}),
      });
      if (allowed) assert.ok(response.ok, await response.text());
      else await refused(running, response, 'forbidden');
    });
  }

  test('every administrative route is closed to keys without that scope', async (t) => {
    const running = await startHttp(t);
    const headers = bearer(makeKey(running, { scopes: ['predict', 'read'] }).token);
    const routes = running.service.routes.filter(({ scope }) => scope === 'admin');
    assert.ok(routes.length >= 5);
    for (const { method, path } of routes) {
      await refused(running, await fetch(running.base + addressOf(path), { method, headers }), 'forbidden');
    }
  });

  test('a key of one model cannot use, see or guess another', async (t) => {
    const running = await startHttp(t);
    const headers = bearer(makeKey(running, { models: ['plants'] }).token);
    assert.equal((await predict(running, headers)).status, 201);
    for (const model of ['echo', 'unknown']) {
      await refused(running, await predict(running, headers, `/v1/models/local/${model}/predictions`), 'forbidden');
      const body = JSON.stringify({ model: `local/${model}`, input: { a: 1 } });
      const inBody = { method: 'POST', body, headers: { ...headers, 'content-type': 'application/json' } };
      await refused(running, await fetch(`${running.base}/v1/predictions`, inBody), 'forbidden');
      await refused(running, await get(running, `/v1/models/local/${model}`, headers), 'model_not_found');
    }
    const { results } = (await (await get(running, '/v1/models', headers)).json()) as { results: { name: string }[] };
    assert.deepEqual(
      results.map(({ name }) => name),
      ['plants'],
    );
    assert.equal(running.fake.submitted.length, 1);
  });

  test('every route that names a model refuses a key of another one', async (t) => {
    const running = await startHttp(t);
    const headers = bearer(makeKey(running, { models: ['echo'] }).token);
    const routes = running.service.routes.filter(({ path, scope }) => path.includes(':name') && scope !== 'admin');
    assert.ok(routes.length >= 2);
    for (const { method, path } of routes) {
      const { status } = await fetch(running.base + addressOf(path), { method, headers });
      assert.ok(status === 403 || status === 404, `${method} ${path}: ${status}`);
    }
  });

  test('a prediction is its maker’s own: to others it never was', async (t) => {
    const running = await startHttp(t);
    running.fake.ending = null;
    const [mine, others] = [makeKey(running), makeKey(running)];
    const admin = makeKey(running, { scopes: ['admin'] });
    const created = await fetch(running.base + MODEL, {
      method: 'POST',
      body: 'x',
      headers: { ...jpeg, prefer: '', ...bearer(mine.token) },
    });
    const { id } = (await created.json()) as { id: string };
    for (const path of [`/v1/predictions/${id}`, `/v1/predictions/${id}/output`, `/v1/predictions/${id}/stream`]) {
      await refused(running, await get(running, path, bearer(others.token)), 'prediction_not_found');
    }
    const cancel = (token: string): Promise<Response> =>
      fetch(`${running.base}/v1/predictions/${id}/cancel`, { method: 'POST', headers: bearer(token) });
    await refused(running, await cancel(others.token), 'prediction_not_found');
    assert.equal((await get(running, `/v1/predictions/${id}`, bearer(mine.token))).status, 200);
    assert.equal((await get(running, `/v1/predictions/${id}`, bearer(admin.token))).status, 200);
    const listed = async (token: string): Promise<number> =>
      ((await (await get(running, '/v1/predictions', bearer(token))).json()) as { results: object[] }).results.length;
    assert.deepEqual([await listed(mine.token), await listed(others.token), await listed(admin.token)], [1, 0, 1]);
    assert.equal((await cancel(mine.token)).status, 200);
  });

  test('a key’s quota goes along with its predictions', async (t) => {
    const running = await startHttp(t);
    await predict(running, bearer(makeKey(running, { maxUndecidedJobs: 7 }).token));
    await predict(running, bearer(makeKey(running).token));
    assert.deepEqual(
      running.fake.submitted.map(({ maxUndecidedJobs }) => maxUndecidedJobs),
      [7, null],
    );
  });

  test('a key that asks too often is told when to come again', async (t) => {
    const running = await startHttp(t);
    const headers = bearer(makeKey(running, { ratePerS: 0.01, burstRequests: 2 }).token);
    assert.ok((await get(running, '/v1/models', headers)).ok);
    assert.ok((await predict(running, headers)).ok);
    const response = await predict(running, headers);
    const retryAfterS = Number(response.headers.get('retry-after'));
    assert.ok(retryAfterS > 90 && retryAfterS <= 100, `${retryAfterS}`);
    await refused(running, response, 'rate_limited');
    assert.ok((await get(running, '/v1/models', bearer(makeKey(running).token))).ok);
  });
});

describe('what waits or streams with a key', () => {
  for (const [what, path] of [
    ['a long poll', '?wait=60'],
    ['a stream of events', '/stream'],
  ] as const) {
    test(`${what} is cut when the key is revoked, and nobody else’s is`, async (t) => {
      const running = await startHttp(t);
      running.fake.ending = null;
      const held = (): number => running.fake.waiting + running.fake.reading;
      const [revoked, kept] = [makeKey(running), makeKey(running)];
      const open = async ({
        token,
      }: {
        token: string;
      }): Promise<{ closed: Promise<unknown>; isOpen: () => boolean }> => {
        const created = await fetch(running.base + MODEL, {
          method: 'POST',
          body: 'x',
          headers: { ...jpeg, prefer: '', ...bearer(token) },
        });
        const { id } = (await created.json()) as { id: string };
        const socket = connect(running.port, '127.0.0.1');
        socket.on('error', () => undefined);
        const closed = once(socket, 'close');
        socket.resume();
        t.after(() => socket.destroy());
        socket.write(`GET /v1/predictions/${id}${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`);
        return { closed, isOpen: () => !socket.destroyed };
      };
      const [first, second] = [await open(revoked), await open(kept)];
      await until(() => held() === 2);
      revokeKey(running.records, revoked.id, act());
      await first.closed;
      await until(() => held() === 1);
      assert.ok(second.isOpen());
    });
  }
});

describe('a gateway that never had a key', () => {
  test('belongs to whoever is on this machine, admin routes included', async (t) => {
    const running = await startHttp(t);
    for (const path of ['/v1/predictions', '/v1/workers', '/metrics', '/v1/admin/keys']) {
      assert.equal((await get(running, path)).status, 200, path);
    }
    // A proxy with a password of its own passes it on.
    assert.equal((await get(running, '/v1/models', { authorization: 'Basic eDp5' })).status, 200);
  });

  const raw = (running: RunningHttp, method: string, path: string, headers: string): Promise<string> =>
    exchange(running.port, `${method} ${path} HTTP/1.1\r\nconnection: close\r\n${headers}\r\n\r\n`);
  const strangers: readonly (readonly [
    what: string,
    method: string,
    path: string,
    headers: string,
    code: ErrorCode | null,
  ])[] = [
    [
      'a name that was pointed at this machine (DNS rebinding)',
      'GET',
      '/v1/predictions',
      'host: evil.example',
      'forbidden',
    ],
    ['a name with a port', 'GET', '/v1/models', 'host: evil.example:8080', 'forbidden'],
    ['a name in capitals', 'GET', '/v1/models', 'host: EVIL.EXAMPLE', 'forbidden'],
    ['a name that looks like an address', 'GET', '/v1/models', 'host: 127.0.0.1.evil.example', 'forbidden'],
    ['a name that ends like ours', 'GET', '/v1/models', 'host: localhost.evil.example', 'forbidden'],
    ['localhost', 'GET', '/v1/models', 'host: localhost:8080', null],
    ['a name under localhost', 'GET', '/v1/models', 'host: guide.localhost:8080', null],
    ['an address', 'GET', '/v1/models', 'host: 127.0.0.1:8080', null],
    ['an IPv6 address', 'GET', '/v1/models', 'host: [::1]:8080', null],
    ['a form of another site', 'POST', MODEL, 'host: localhost\r\norigin: https://evil.example', 'forbidden'],
    ['a sandboxed page', 'POST', MODEL, 'host: localhost\r\norigin: null', 'forbidden'],
    ['a page on another port', 'POST', MODEL, 'host: localhost:8080\r\norigin: http://localhost:3000', 'forbidden'],
    ['a cross-site fetch', 'POST', MODEL, 'host: localhost\r\nsec-fetch-site: cross-site', 'forbidden'],
    ['a same-site fetch', 'POST', MODEL, 'host: localhost\r\nsec-fetch-site: same-site', 'forbidden'],
    [
      'its own page',
      'POST',
      MODEL,
      'host: localhost:8080\r\norigin: http://localhost:8080\r\nsec-fetch-site: same-origin',
      null,
    ],
    [
      'an administrator behind a proxy',
      'GET',
      '/v1/admin/keys',
      'host: localhost\r\nx-forwarded-for: 1.2.3.4',
      'unauthorized',
    ],
    ['an administrator behind another proxy', 'GET', '/v1/admin/keys', 'host: localhost\r\nvia: 1.1 p', 'unauthorized'],
    ['an administrator under a short name', 'GET', '/v1/admin/keys', 'host: box', 'unauthorized'],
    ['an administrator on this machine', 'GET', '/v1/admin/keys', 'host: localhost', null],
  ];
  for (const [what, method, path, headers, code] of strangers) {
    test(`${code === null ? 'answers' : 'refuses'} ${what}`, async (t) => {
      const running = await startHttp(t);
      const body = method === 'POST' ? '\r\ncontent-type: image/jpeg\r\ncontent-length: 1\r\n\r\nx' : '';
      const answer = await raw(running, method, path, headers + body);
      if (code === null) assert.match(answer, /^HTTP\/1.1 20\d/);
      else assert.match(answer, new RegExp(`"code":"${code}"`));
      assert.equal(running.fake.submitted.length, code === null && method === 'POST' ? 1 : 0);
    });
  }

  test('answers under its public name', async (t) => {
    const running = await startHttp(t, { publicUrl: 'https://postern.example' });
    assert.match(await raw(running, 'GET', '/v1/models', 'host: postern.example'), /^HTTP\/1.1 200/);
    assert.match(await raw(running, 'GET', '/v1/models', 'host: other.example'), /forbidden/);
  });
});

describe('an open gateway', () => {
  test('lets anybody predict and read by id, and keeps lists and everything else to keys', async (t) => {
    const running = await startHttp(t, { open: true });
    const admin = makeKey(running, { scopes: ['admin'] });
    const created = (await (await predict(running, {})).json()) as { id: string };
    assert.equal((await get(running, `/v1/predictions/${created.id}`)).status, 200);
    for (const path of ['/v1/predictions', '/v1/workers', '/metrics', '/v1/admin/keys']) {
      await refused(running, await get(running, path), 'unauthorized');
      assert.equal((await get(running, path, bearer(admin.token))).status, 200, path);
    }
    await refused(running, await get(running, '/v1/models', bearer(makeToken().token)), 'unauthorized');
    // With a key of one's own, a prediction is one's own.
    const key = makeKey(running);
    const own = (await (await predict(running, bearer(key.token))).json()) as { id: string };
    await refused(running, await get(running, `/v1/predictions/${own.id}`), 'prediction_not_found');
  });

  test('without a single key lists nothing to anybody, and is administered from its own machine alone', async (t) => {
    const running = await startHttp(t, { open: true });
    await refused(running, await get(running, '/v1/predictions'), 'unauthorized');
    await refused(running, await get(running, '/v1/admin/keys', { 'x-forwarded-for': '1.2.3.4' }), 'unauthorized');
    assert.equal((await get(running, '/v1/admin/keys')).status, 200);
  });
});
