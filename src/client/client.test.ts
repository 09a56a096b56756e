import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { createClient, type Client, type ClientOptions } from './client.ts';

interface Seen {
  method: string;
  url: string;
  headers: IncomingMessage['headers'];
  body: Buffer;
}
interface Reply {
  status?: number;
  headers?: Record<string, string>;
  body?: unknown;
  hangUp?: true;
}

/** A gateway that answers from a list, and remembers what it was asked. The last answer repeats. */
async function fakeGateway(
  t: TestContext,
  replies: readonly Reply[],
  options: Partial<ClientOptions> = {},
): Promise<{ client: Client; seen: Seen[]; delays: number[]; url: string }> {
  const seen: Seen[] = [];
  const delays: number[] = [];
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const {
        status = 200,
        headers = {},
        body = {},
        hangUp,
      } = replies[Math.min(seen.length, replies.length - 1)] ?? {};
      seen.push({
        method: request.method ?? '',
        url: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks),
      });
      if (hangUp) {
        request.socket.destroy();
        return;
      }
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      response.writeHead(status, { 'content-type': 'application/json', connection: 'close', ...headers }).end(text);
    });
  };
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const delay = (delayMs: number): Promise<void> => {
    delays.push(delayMs);
    return Promise.resolve();
  };
  return { client: createClient({ gateway: `${url}/`, random: () => 0.5, delay, ...options }), seen, delays, url };
}

const decided = { id: 'p1', status: 'succeeded', output: { predictions: [], rejected: false } };
const problem = (status: number, code: string, headers: Record<string, string> = {}): Reply => ({
  status,
  headers: { 'content-type': 'application/problem+json', ...headers },
  body: { type: `/docs/errors#${code}`, title: 't', status, code, detail: `detail of ${code}` },
});

void test('a prediction is one POST: the bytes as body, parameters in the query, and a wait', async (t) => {
  const { client, seen } = await fakeGateway(t, [{ body: decided }]);
  const result = await client.run('plants', new Blob(['photo'], { type: 'image/jpeg' }), {
    parameters: { top_k: '3' },
    cancelAfterS: 9,
  });
  assert.equal(result.id, 'p1');
  assert.equal(seen.length, 1);
  const [call] = seen;
  assert.equal(call?.method, 'POST');
  assert.equal(call.url, '/v1/models/local/plants/predictions?top_k=3');
  assert.equal(call.headers['content-type'], 'image/jpeg');
  assert.equal(call.headers.prefer, 'wait=30');
  assert.equal(call.headers['cancel-after'], '9s');
  assert.match(String(call.headers['idempotency-key']), /^[0-9a-f]{32}$/);
  assert.equal(call.body.toString(), 'photo');
});

void test('an undecided prediction is polled until it is decided, and every answer is reported', async (t) => {
  const { client, seen } = await fakeGateway(t, [
    { status: 202, body: { id: 'p1', status: 'starting' } },
    { body: { id: 'p1', status: 'processing' } },
    { body: decided },
  ]);
  const updates: string[] = [];
  await client.run('owner/plants', new Uint8Array([1]), { onUpdate: ({ status }) => updates.push(status) });
  assert.deepEqual(updates, ['starting', 'processing', 'succeeded']);
  assert.equal(seen[0]?.url, '/v1/models/owner/plants/predictions');
  assert.equal(seen[1]?.url, '/v1/predictions/p1?wait=30');
});

void test('what may be tried again is tried again, after Retry-After or a jitter, with the same key', async (t) => {
  const { client, seen, delays } = await fakeGateway(t, [
    problem(429, 'queue_full', { 'retry-after': '2' }),
    problem(503, 'overloaded'),
    { hangUp: true },
    { body: decided },
  ]);
  await client.predict('plants', new Uint8Array([1]));
  assert.equal(new Set(seen.map(({ headers }) => headers['idempotency-key'])).size, 1);
  assert.deepEqual(delays, [2_000, 0.5 * 250 * 4, 0.5 * 250 * 8]);
});

void test('retries end: after the last attempt the error is thrown, with its code and its Retry-After', async (t) => {
  const { client, seen } = await fakeGateway(t, [problem(429, 'queue_full', { 'retry-after': '1' })]);
  await assert.rejects(client.predict('plants', new Uint8Array([1])), {
    code: 'queue_full',
    message: 'detail of queue_full',
    retryAfterS: 1,
  });
  assert.equal(seen.length, 4);
});

void test('a Retry-After beyond the limit is handed to the caller instead of waited for', async (t) => {
  const { client, seen, delays } = await fakeGateway(t, [problem(429, 'queue_full', { 'retry-after': '3600' })]);
  await assert.rejects(client.predict('plants', new Uint8Array([1])), { code: 'queue_full', retryAfterS: 3600 });
  assert.deepEqual([seen.length, delays.length], [1, 0]);
});

void test('what cannot get better is not tried again', async (t) => {
  for (const [status, code] of [
    [422, 'not_an_image'],
    [404, 'model_not_found'],
    [413, 'body_too_large'],
  ] as const) {
    const { client, seen } = await fakeGateway(t, [problem(status, code)]);
    await assert.rejects(client.predict('plants', new Uint8Array([1])), { code });
    assert.equal(seen.length, 1);
  }
});

void test('a stream is sent once only: it cannot be read again', async (t) => {
  const { client, seen } = await fakeGateway(t, [problem(503, 'overloaded')]);
  await assert.rejects(client.predict('plants', new Blob(['photo']).stream()), { code: 'overloaded' });
  assert.equal(seen.length, 1);
  assert.equal(seen[0]?.headers['idempotency-key'], undefined);
  assert.equal(seen[0]?.body.toString(), 'photo');
});

void test('answers that are not ours become errors that say so', async (t) => {
  const page = await fakeGateway(t, [{ body: '<html>' }]);
  await assert.rejects(page.client.models(), { code: 'unreachable', message: /is it a Postern gateway/ });
  const proxy = await fakeGateway(t, [{ status: 502, body: '<html>Bad gateway' }]);
  await assert.rejects(proxy.client.models(), { code: 'unreachable' });
  const unknownCode = await fakeGateway(t, [problem(418, 'a_code_of_the_future')]);
  await assert.rejects(unknownCode.client.models(), { code: 'bad_request', message: 'detail of a_code_of_the_future' });
});

void test('a gateway that is not there is unreachable, with the reason', async (t) => {
  const { url } = await fakeGateway(t, []);
  const gone = createClient({ gateway: url.replace(/\d+$/, '1'), retry: { maxAttempts: 1, firstMs: 0, maxMs: 0 } });
  await assert.rejects(gone.models(), { code: 'unreachable', message: /ECONNREFUSED|bad port/ });
});

void test('aborting ends a wait with the caller’s own reason', async (t) => {
  const { client } = await fakeGateway(t, [{ body: { id: 'p1', status: 'processing' } }]);
  const abort = new AbortController();
  const reason = new Error('enough');
  await assert.rejects(
    client.wait('p1', { signal: abort.signal, onUpdate: () => abort.abort(reason) }),
    (thrown) => thrown === reason,
  );
});

void test('a wait that is over says how long it was', async (t) => {
  const { client } = await fakeGateway(t, [{ body: { id: 'p1', status: 'processing' } }]);
  await assert.rejects(client.wait('p1', { timeoutMs: 20 }), { code: 'deadline_exceeded', message: /within 20 ms/ });
});

void test('the default pause between retries is really waited, and ends at once when aborted', async (t) => {
  const { client, seen } = await fakeGateway(t, [problem(503, 'overloaded'), { body: { results: [] } }], {
    delay: undefined,
    retry: { maxAttempts: 2, firstMs: 2, maxMs: 10 },
  });
  assert.deepEqual(await client.models(), []);
  assert.equal(seen.length, 2);
  const abort = new AbortController();
  const slow = await fakeGateway(t, [problem(503, 'overloaded', { 'retry-after': '9' })], { delay: undefined });
  const waiting = slow.client.models(abort.signal);
  queueMicrotask(() => abort.abort(new Error('stop')));
  await assert.rejects(waiting);
});

void test('a model is a name or owner/name, and nothing that could change the address', async (t) => {
  const { client, seen } = await fakeGateway(t, [{ body: decided }]);
  await assert.rejects(client.predict('a/b/c', new Uint8Array()), { code: 'bad_parameter' });
  await client.predict('..?x#y', new Uint8Array([1]));
  assert.equal(seen[0]?.url, '/v1/models/local/..%3Fx%23y/predictions');
});

void test('cancel, a look at one prediction, and the workers are one call each', async (t) => {
  const { client, seen } = await fakeGateway(t, [
    { body: { id: 'a/b', status: 'canceled' } },
    { body: { id: 'a/b', status: 'canceled' } },
    { body: { results: [{ name: 'gpu-1' }] } },
  ]);
  assert.equal((await client.cancel('a/b')).status, 'canceled');
  await client.prediction('a/b', { waitS: 5 });
  assert.equal((await client.workers())[0]?.name, 'gpu-1');
  assert.deepEqual(
    seen.map(({ method, url }) => `${method} ${url}`),
    ['POST /v1/predictions/a%2Fb/cancel', 'GET /v1/predictions/a%2Fb?wait=5', 'GET /v1/workers'],
  );
});

void test('the client has no Node in it', async () => {
  const { readFile } = await import('node:fs/promises');
  for (const file of ['client.ts', 'events.ts', 'http.ts', 'shapes.ts', 'stream.ts']) {
    const text = await readFile(new URL(file, import.meta.url), 'utf8');
    assert.doesNotMatch(text, /from 'node:|\bBuffer\b|\bprocess\./, file);
  }
});
