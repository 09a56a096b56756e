/** `/services` and its local servers: a real gateway, a real worker, and HTTP servers of the test beside it. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { createJournal } from '../support/journal.ts';
import { PosternSystem, until, untilModel, type Gateway } from '../support/postern.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** What the servers of the test have seen. */
const seen = createJournal<string>();
const handlers = new Map<string, Handler>();

const server = createServer((request, response) => {
  const path = (request.url ?? '').split('?')[0]!;
  if (path === '/health') {
    response.end('ok');
    return;
  }
  handlers.get(path)!(request, response);
});

// Longer than any test waits: what closes an idle connection here is not the server.
server.keepAliveTimeout = 600_000;

const folder = mkdtempSync(join(tmpdir(), 'postern-services-'));
let system: PosternSystem;
let gateway: Gateway;
let base = '';

async function writeService(name: string, manifest: Record<string, unknown>): Promise<void> {
  const at = join(folder, name, '1');
  await mkdir(at, { recursive: true });
  await writeFile(
    join(at, 'postern.yaml'),
    stringify({ postern: 1, name, version: '1', runner: 'http', kind: 'service', ...manifest }),
  );
}

/** Serves one path of the test's server. */
function on(path: string, handler: Handler): string {
  handlers.set(path, handler);
  return `${base}${path}`;
}

const told = (what: string): Promise<boolean> => seen.until(() => (seen.entries.includes(what) ? true : undefined));

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

describe('services', { timeout: 120_000 }, () => {
  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}`;
    await writeService('local', {
      url,
      allow: [
        { methods: ['GET', 'POST', 'PUT', 'DELETE'], path: '/a/**' },
        { methods: ['POST'], path: '/small', max_body_mb: 0.1 },
        { methods: ['GET'], path: '/slow', response_timeout_s: 0.2 },
      ],
      forward_headers: ['x-tenant'],
      add_headers: { 'x-added': 'by the owner' },
      concurrency: 4,
      max_body_mb: 200,
    });
    // Nothing listens there.
    await writeService('away', { url: 'http://127.0.0.1:1', allow: [{ methods: ['GET'], path: '/**' }] });
    await writeService('outside', { url: 'http://93.184.216.34:80', allow: [{ methods: ['GET'], path: '/**' }] });
    system = new PosternSystem({ modelsDir: folder });
    gateway = await system.gateway();
    system.worker(gateway, system.issue('gpu-1'));
    await untilModel(gateway.url, 'local');
    base = `${gateway.url}/services/local`;
  });

  after(async () => {
    await system.remove();
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  });

  test('a request and its answer pass through as they are; keys, cookies and foreign headers do not', async () => {
    let received: IncomingMessage | undefined;
    const url = on('/a/echo', (request, response) => {
      received = request;
      void bodyOf(request).then((body) => {
        response.writeHead(418, [
          'content-type',
          'text/plain',
          'x-own',
          '1',
          'set-cookie',
          'a=b',
          'connection',
          'x-own2',
          'x-own2',
          '2',
        ]);
        response.end(`${request.method} ${request.url} ${body.toString()}`);
      });
    });
    const response = await fetch(`${url}?q=%20x&r=1`, {
      method: 'PUT',
      body: 'hello',
      headers: {
        'content-type': 'text/x',
        authorization: 'Bearer secret',
        cookie: 's=1',
        'x-tenant': 't',
        'x-other': 'o',
      },
    });
    assert.equal(response.status, 418);
    assert.equal(await response.text(), 'PUT /a/echo?q=%20x&r=1 hello');
    assert.equal(response.headers.get('x-own'), '1');
    assert.equal(response.headers.get('x-own2'), null);
    assert.equal(response.headers.get('set-cookie'), null);
    assert.match(response.headers.get('content-security-policy')!, /^sandbox/);
    const { headers } = received!;
    assert.equal(headers['content-type'], 'text/x');
    assert.equal(headers['content-length'], '5');
    assert.equal(headers['x-tenant'], 't');
    assert.equal(headers['x-added'], 'by the owner');
    for (const name of ['authorization', 'cookie', 'x-other']) assert.equal(headers[name], undefined, name);
  });

  test('a connection that nobody uses is closed before its server would', async () => {
    const closed = Promise.withResolvers<void>();
    const url = on('/a/idle', (request, response) => {
      request.socket.once('close', () => closed.resolve());
      response.end('done');
    });
    assert.equal(await (await fetch(url)).text(), 'done');
    await closed.promise;
  });

  test('GET, HEAD, DELETE, an empty answer, and 304', async () => {
    const url = on('/a/item', (request, response) => {
      if (request.headers['if-none-match'] === '"1"') response.writeHead(304, { etag: '"1"' }).end();
      else if (request.method === 'DELETE') response.writeHead(204).end();
      else
        response
          .writeHead(200, { 'content-length': '3', etag: '"1"' })
          .end(request.method === 'HEAD' ? undefined : 'abc');
    });
    assert.equal(await (await fetch(url)).text(), 'abc');
    const head = await fetch(url, { method: 'HEAD' });
    assert.equal(head.headers.get('content-length'), '3');
    assert.equal(await head.text(), '');
    assert.equal((await fetch(url, { method: 'DELETE' })).status, 204);
    assert.equal((await fetch(url, { headers: { 'if-none-match': '"1"' } })).status, 304);
  });

  test('32 MiB up and down at once, byte for byte', async () => {
    const url = on('/a/mirror', (request, response) => request.pipe(response));
    const body = randomBytes(32 * 1024 * 1024);
    const response = await fetch(url, { method: 'POST', body });
    const back = Buffer.from(await response.arrayBuffer());
    assert.equal(createHash('sha256').update(back).digest('hex'), createHash('sha256').update(body).digest('hex'));
  });

  test('events arrive one by one while the answer goes on', async () => {
    let more: ServerResponse | undefined;
    const url = on('/a/events', (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      more = response;
    });
    const response = await fetch(url);
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    const reader = response.body!.getReader();
    for (const word of ['one', 'two', 'three']) {
      more!.write(`data: ${word}\n\n`);
      const { value } = (await reader.read()) as { value: Uint8Array };
      assert.equal(Buffer.from(value).toString(), `data: ${word}\n\n`);
    }
    more!.end();
    assert.equal((await reader.read()).done, true);
  });

  test('a caller that leaves ends the work at the server, before and after the answer began', async () => {
    const url = on('/a/endless', (request, response) => {
      if (request.url!.endsWith('begun')) response.write('x');
      seen.add(`here ${request.url}`);
      response.once('close', () => seen.add(`gone ${request.url}`));
    });
    for (const which of ['?before', '?begun']) {
      const leaving = new AbortController();
      const answered = fetch(url + which, { signal: leaving.signal });
      await told(`here /a/endless${which}`);
      if (which === '?begun') await answered;
      leaving.abort();
      await answered.catch(() => undefined);
      await told(`gone /a/endless${which}`);
    }
    // All rows of its credit are free again.
    const quick = on('/a/quick', (_request, response) => response.end('ok'));
    for (let index = 0; index < 9; index++) assert.equal(await (await fetch(quick)).text(), 'ok');
  });

  test('a slow reader slows the server, and nothing is held without bound', async () => {
    let written = 0;
    const piece = Buffer.alloc(65_536);
    const url = on('/a/flood', (_request, response) => {
      const pump = (): void => {
        do written += piece.byteLength;
        while (response.write(piece));
        response.once('drain', pump);
      };
      pump();
    });
    const socket = connect(gateway.httpPort, '127.0.0.1');
    await once(socket, 'connect');
    socket.pause();
    socket.write(`GET ${new URL(url).pathname} HTTP/1.1\r\nhost: x\r\n\r\n`);
    // It stands still when what it wrote does not grow any more over many requests that pass beside it.
    const quick = on('/a/beside', (_request, response) => response.end('ok'));
    let before = -1;
    while (before !== written) {
      before = written;
      for (let index = 0; index < 30; index++) await (await fetch(quick)).text();
    }
    // Socket buffers on three hops and the window, not the endless stream.
    assert.ok(written < 64 * 1024 * 1024, `${written} bytes were taken from the server`);
    socket.destroy();
  });

  test('what is not allowed: paths, methods, sizes, time, upgrades', async () => {
    const problem = async (path: string, init?: RequestInit): Promise<[number, string]> => {
      const response = await fetch(base + path, init);
      return [response.status, ((await response.json()) as { code: string }).code];
    };
    /** As it stands, without what URL makes of it. */
    const rawProblem = async (path: string): Promise<[number, string]> => {
      const { port, hostname, pathname } = new URL(base);
      const request = httpRequest({ hostname, port, path: pathname + path }).end();
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      return [response.statusCode!, (JSON.parse(String(await bodyOf(response))) as { code: string }).code];
    };
    assert.deepEqual(await problem('/b'), [404, 'not_found']);
    assert.deepEqual(await problem('/small'), [405, 'method_not_allowed']);
    assert.deepEqual(await rawProblem('/a/..%2fb'), [400, 'bad_request']);
    assert.deepEqual(await rawProblem('/a/%2e%2e/b'), [400, 'bad_request']);
    assert.deepEqual(await rawProblem('/a/../b'), [400, 'bad_request']);
    assert.deepEqual(await rawProblem('/a//b'), [400, 'bad_request']);
    handlers.set('/small', (request) => request.resume());
    assert.deepEqual(await problem('/small', { method: 'POST', body: Buffer.alloc(200_000) }), [413, 'body_too_large']);
    handlers.set('/slow', () => undefined);
    assert.deepEqual(await problem('/slow'), [504, 'model_timeout']);
    const upgrade = httpRequest(`${base}/a/ws`, { headers: { connection: 'upgrade', upgrade: 'websocket' } }).end();
    const [answer] = (await once(upgrade, 'response')) as [IncomingMessage];
    assert.equal(answer.statusCode, 501);
    answer.resume();
  });

  test('a server that breaks off: an error before its answer, a cut connection after', async () => {
    const before = await fetch(on('/a/breaks', (request) => request.socket.destroy()));
    assert.equal(before.status, 502);
    assert.equal(((await before.json()) as { code: string }).code, 'service_failed');
    const after = await fetch(
      on('/a/breaks-later', (request, response) => {
        response.writeHead(200, { 'content-length': '100' });
        response.write('begun');
        setImmediate(() => setImmediate(() => request.socket.destroy()));
      }),
    );
    await assert.rejects(after.text());
  });

  test('a service that is not there is not ready, and says why; one outside of the private network is refused', async () => {
    const response = await fetch(`${gateway.url}/services/away/x`);
    assert.equal(response.status, 503);
    const problem = (await response.json()) as { code: string; detail: string };
    assert.equal(problem.code, 'no_worker');
    assert.match(problem.detail, /ECONNREFUSED/);
    const state = await until('the refusal', 10_000, async () => {
      const model = (await (await fetch(`${gateway.url}/v1/models/local/outside`)).json()) as { state: string };
      return model.state === 'failed' ? model.state : null;
    });
    assert.equal(state, 'failed');
    assert.equal((await fetch(`${gateway.url}/services/nobody/x`)).status, 404);
  });

  test('more requests than it takes at once wait for their turn', async () => {
    let open = 0;
    let most = 0;
    const url = on('/a/counted', (_request, response) => {
      open += 1;
      most = Math.max(most, open);
      setTimeout(() => {
        open -= 1;
        response.end('ok');
      }, 5);
    });
    const answers = await Promise.all(Array.from({ length: 40 }, async () => (await fetch(url)).status));
    assert.deepEqual(new Set(answers), new Set([200]));
    assert.equal(most, 4);
  });

  test('nothing of it was recorded', async () => {
    const listed = (await (await fetch(`${gateway.url}/v1/predictions`)).json()) as { results: unknown[] };
    assert.deepEqual(listed.results, []);
  });
});
