/** Inputs by URL, through the HTTP service and a real file server. */
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { test, type TestContext } from 'node:test';
import { send, startHttp } from '../../../test/support/http-service.ts';
import { startWebServer, type Respond } from '../../../test/support/web-server.ts';

const JPEG = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 1, 2, 3]);
const input = (image: unknown, more: object = {}): string => JSON.stringify({ input: { image, ...more } });

async function startBoth(t: TestContext, respond?: Respond) {
  const files = await startWebServer(t, respond === undefined ? {} : { respond });
  const running = await startHttp(t, { maxBodyBytes: 2_000 }, { allow: ['127.0.0.1'] });
  return { files, running, url: `http://127.0.0.1:${files.port}` };
}

async function problemOf(response: Response): Promise<[status: number, code: unknown]> {
  const { code } = (await response.json()) as { code?: unknown };
  return [response.status, code];
}

test('the file behind an address is the input, with its type; the rest are parameters', async (t) => {
  const { files, running, url } = await startBoth(t, ({ path }, response) => {
    if (path === '/moved') response.writeHead(302, { location: '/rose.jpg' }).end();
    else response.writeHead(200, { 'content-type': 'image/JPEG; q=1' }).end(JPEG);
  });
  for (const path of ['/rose.jpg', '/moved']) {
    const answer = await send(running, 'application/json', input(url + path, { top_k: 2 }));
    assert.equal(answer.status, 201);
    const submitted = running.fake.submitted.at(-1)!;
    assert.equal(submitted.input.contentType, 'image/jpeg');
    assert.deepEqual(Buffer.from(submitted.input.bytes), JPEG);
    assert.deepEqual(submitted.parameters, { top_k: 2 });
  }
  const [request] = files.received.entries;
  assert.equal(request?.method, 'GET');
  assert.equal(request.headers.cookie, undefined);
  assert.equal(request.headers.authorization, undefined);
  const form = new FormData();
  form.set('image', `${url}/rose.jpg`);
  assert.equal((await send(running, null, form)).status, 201);
  assert.deepEqual(Buffer.from(running.fake.submitted.at(-1)!.input.bytes), JPEG);
});

test('what cannot be had is told at once, and nothing is recorded', async (t) => {
  const { running, url } = await startBoth(t, ({ path }, response) => {
    if (path === '/large') response.end(Buffer.alloc(2_001));
    else if (path === '/empty') response.end();
    else if (path === '/packed') response.writeHead(200, { 'content-encoding': 'gzip' }).end('x');
    else if (path === '/inner') response.writeHead(302, { location: 'http://169.254.169.254/' }).end();
    else response.writeHead(404).end('secret of the server');
  });
  const cases: readonly (readonly [address: string, status: number, code: string])[] = [
    [`${url}/large`, 413, 'body_too_large'],
    [`${url}/empty`, 422, 'empty_input'],
    [`${url}/packed`, 422, 'input_url_failed'],
    [`${url}/missing`, 422, 'input_url_failed'],
    [`${url}/inner`, 400, 'input_url_refused'],
    ['http://127.0.0.2/', 400, 'input_url_refused'],
    ['HTTPS://[::1]/', 400, 'input_url_refused'],
    ['https://user:secret@example.com/', 400, 'input_url_refused'],
  ];
  for (const [address, status, code] of cases) {
    const answer = await send(running, 'application/json', input(address));
    const text = await answer.clone().text();
    assert.deepEqual(await problemOf(answer), [status, code], address);
    assert.doesNotMatch(text, /secret/);
  }
  assert.equal(running.fake.submitted.length, 0);
  assert.deepEqual(running.errors, []);
});

test('a caller that leaves ends the download, and no job is made', async (t) => {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  const { files, running, url } = await startBoth(t, (_request, response) => {
    response.on('close', () => resolve());
    response.write('half');
  });
  const caller = httpRequest(`${running.base}/v1/models/local/plants/predictions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  });
  caller.on('error', () => undefined);
  caller.end(input(`${url}/slow`));
  await files.received.find(() => true);
  caller.destroy();
  await closed;
  assert.equal(running.fake.submitted.length, 0);
});
