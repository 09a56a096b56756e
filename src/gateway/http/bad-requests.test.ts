/** Bad headers, addresses and connections, and what the engine refuses: a problem with a stable code, nothing left behind. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { PosternError, type ErrorCode } from '../../errors.ts';
import { succeeded } from '../../../test/support/fake-predictions.ts';
import {
  MODEL,
  post,
  raw,
  refused,
  send,
  startHttp,
  until,
  type RunningHttp,
} from '../../../test/support/http-service.ts';

describe('headers and addresses', () => {
  const jpeg = (headers: Record<string, string>): RequestInit => ({
    method: 'POST',
    body: 'x',
    headers: { 'content-type': 'image/jpeg', ...headers },
  });
  const cases: { name: string; path: string; init?: RequestInit; code: ErrorCode }[] = [
    { name: 'a wait of no length', path: MODEL, init: jpeg({ prefer: 'wait=0' }), code: 'bad_parameter' },
    {
      name: 'a wait of an hour',
      path: MODEL,
      init: jpeg({ prefer: 'respond-async, wait=3600' }),
      code: 'bad_parameter',
    },
    { name: 'a wait that is no number', path: MODEL, init: jpeg({ prefer: 'wait=abc' }), code: 'bad_parameter' },
    {
      name: 'a Cancel-After that is no duration',
      path: MODEL,
      init: jpeg({ 'cancel-after': 'soon' }),
      code: 'bad_parameter',
    },
    { name: 'a Cancel-After of a year', path: MODEL, init: jpeg({ 'cancel-after': '9000h' }), code: 'bad_parameter' },
    { name: 'a Cancel-After of nothing', path: MODEL, init: jpeg({ 'cancel-after': '0s' }), code: 'deadline_in_past' },
    {
      name: 'an idempotency key that is too long',
      path: MODEL,
      init: jpeg({ 'idempotency-key': 'x'.repeat(256) }),
      code: 'bad_parameter',
    },
    { name: 'an unknown prediction', path: '/v1/predictions/nothing', code: 'prediction_not_found' },
    { name: 'an unknown prediction, waited for', path: '/v1/predictions/nothing?wait=5', code: 'prediction_not_found' },
    {
      name: 'an unknown prediction, canceled',
      path: '/v1/predictions/nothing/cancel',
      init: { method: 'POST' },
      code: 'prediction_not_found',
    },
    {
      name: 'the output of an unknown prediction',
      path: '/v1/predictions/nothing/output',
      code: 'prediction_not_found',
    },
    { name: 'an id that is too long for an address', path: `/v1/predictions/${'x'.repeat(500)}`, code: 'bad_request' },
    { name: 'a long poll of an hour', path: '/v1/predictions/x?wait=3600', code: 'bad_parameter' },
    { name: 'a page of a thousand', path: '/v1/predictions?limit=1000', code: 'bad_parameter' },
    { name: 'an unknown status', path: '/v1/predictions?status=done', code: 'bad_parameter' },
    { name: 'a cursor of a kilobyte', path: `/v1/predictions?cursor=${'x'.repeat(1000)}`, code: 'bad_parameter' },
    { name: 'an unknown model', path: '/v1/models/local/nothing', code: 'model_not_found' },
    { name: 'an unknown address', path: '/v3/nothing?secret=1', code: 'not_found' },
    {
      name: 'a method that is not allowed',
      path: '/v1/models',
      init: { method: 'DELETE' },
      code: 'method_not_allowed',
    },
    { name: 'an address that cannot be decoded', path: '/v1/models/%zz/x', code: 'bad_request' },
  ];
  for (const { name, path, init, code } of cases) {
    test(`${name}: ${code}`, async (t) => {
      const running = await startHttp(t);
      const response = await fetch(running.base + path, init);
      const problem = await refused(running, response, code);
      if (code === 'method_not_allowed') assert.equal(response.headers.get('allow'), 'GET, HEAD, OPTIONS');
      assert.ok(!problem.detail.includes('secret'));
    });
  }

  test('what no HTTP parser accepts is answered on the socket', async (t) => {
    const running = await startHttp(t);
    await refused(running, await raw(running, 'GARBAGE\r\n\r\n'), 'bad_request');
    await refused(
      running,
      await raw(running, `GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`),
      'headers_too_large',
    );
    await refused(
      running,
      await raw(running, 'GET / HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n'),
      'bad_request',
    );
    await refused(
      running,
      await raw(running, 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n'),
      'bad_request',
    );
    await refused(
      running,
      await raw(running, 'GET / HTTP/1.1\r\nhost: x\r\nexpect: a miracle\r\nconnection: close\r\n\r\n'),
      'bad_request',
    );
    await refused(running, await raw(running, 'GET / HTTP/1.1\r\nconnection: close\r\n\r\n'), 'bad_request');
  });

  test('a request that never ends is a request_timeout', async (t) => {
    const running = await startHttp(t, { requestTimeoutMs: 600, headersTimeoutMs: 500 });
    await refused(running, await raw(running, 'GET / HTTP/1.1\r\nhost: x\r\n'), 'request_timeout');
    const body = `POST ${MODEL} HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\ncontent-length: 100\r\n\r\nabc`;
    await refused(running, await raw(running, body), 'request_timeout');
  });

  test('a sender that goes away half-way leaves nothing behind', async (t) => {
    const running = await startHttp(t);
    for (const type of ['image/jpeg', 'application/json', 'multipart/form-data; boundary=b']) {
      const socket = connect(running.port, '127.0.0.1');
      socket.write(`POST ${MODEL} HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ncontent-length: 100\r\n\r\n--b`);
      await once(socket, 'connect');
      socket.resetAndDestroy();
    }
    const page = async (): Promise<string> => (await fetch(`${running.base}/metrics`)).text();
    for (;;) {
      const text = await page();
      if (
        text.includes('status="499"} 3') &&
        text.includes('postern_in_flight_requests 1') &&
        text.includes('postern_body_bytes 0')
      )
        break;
    }
    assert.deepEqual(running.errors, []);
  });
});

describe('connections', () => {
  /** Asked on a connection of its own, which counts; fetch would keep as many as it likes. */
  const connections = async (running: RunningHttp): Promise<number> => {
    const page = await raw(running, 'GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    return Number(/^postern_http_connections (\d+)$/m.exec(await page.text())?.[1]);
  };

  test('a caller that stops reading is cut off', async (t) => {
    const running = await startHttp(t, { stalledTimeoutMs: 2000 });
    running.fake.ending = succeeded('x'.repeat(32 * 1024 * 1024), 'application/octet-stream');
    await raw(running, post(MODEL, 'image/jpeg', 'x'));
    const socket = connect(running.port, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.on('error', () => undefined);
    socket.pause();
    socket.write('GET /v1/predictions/job-1/output HTTP/1.1\r\nhost: x\r\n\r\n');
    while ((await connections(running)) < 2) continue;
    while ((await connections(running)) > 1) continue;
  });

  test('beyond the limit new ones are closed, and the old ones work', async (t) => {
    const running = await startHttp(t, { maxConnections: 2 });
    const first = connect(running.port, '127.0.0.1');
    await once(first, 'connect');
    const second = connect(running.port, '127.0.0.1');
    await once(second, 'connect');
    const third = connect(running.port, '127.0.0.1');
    third.on('error', () => undefined);
    await once(third, 'close');
    first.write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n');
    assert.match(String((await once(first, 'data'))[0]), /^HTTP\/1.1 200 /);
    first.destroy();
    second.destroy();
  });
});

describe('what the engine refuses', () => {
  test('a full queue is 429 with Retry-After', async (t) => {
    const running = await startHttp(t);
    running.fake.refusal = new PosternError('queue_full', 'The queue of plants is full.', { retryAfterS: 7.2 });
    const response = await send(running, 'image/jpeg', 'x');
    assert.equal(response.headers.get('retry-after'), '8');
    await refused(running, response, 'queue_full');
  });

  test('a store that is away is 503 with Retry-After, though nobody knows for how long', async (t) => {
    const running = await startHttp(t);
    running.fake.refusal = new PosternError('storage_failed', 'The database is away.');
    const response = await send(running, 'image/jpeg', 'x');
    assert.deepEqual([response.status, response.headers.get('retry-after')], [503, '1']);
    assert.equal((await refused(running, response, 'storage_failed')).retry_after, 1);
  });

  test('a wait that the engine has no room for still answers with the id: the job is recorded', async (t) => {
    const running = await startHttp(t);
    running.fake.ending = null;
    running.fake.wait = () => Promise.reject(new PosternError('overloaded', 'Too many callers wait.'));
    const headers = { 'content-type': 'image/jpeg', prefer: 'wait' };
    const response = await fetch(running.base + MODEL, { method: 'POST', body: 'x', headers });
    assert.equal(response.status, 202);
    assert.equal(response.headers.get('location'), `${running.base}/v1/predictions/job-1`);
  });

  test('what nobody expected is internal, says nothing, and is logged with its cause', async (t) => {
    const running = await startHttp(t);
    running.fake.submit = () => Promise.reject(new Error('password=hunter2'));
    const response = await send(running, 'image/jpeg', 'x');
    assert.equal(response.status, 500);
    assert.ok(!(await response.text()).includes('hunter2'));
    assert.equal(running.errors.length, 1);
    assert.equal((running.errors[0]?.error as Error).message, 'password=hunter2');
  });

  test('a caller that leaves while the engine thinks is not answered and not an error', async (t) => {
    const running = await startHttp(t);
    running.fake.ending = null;
    const socket = connect(running.port, '127.0.0.1');
    socket.write(post(MODEL, 'image/jpeg', 'x', 'prefer: wait\r\n'));
    await until(() => running.fake.waiting === 1);
    socket.resetAndDestroy();
    await until(() => running.fake.waiting === 0);
    assert.deepEqual(running.errors, []);
  });
});
