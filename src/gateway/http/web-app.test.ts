/** The built web app as browsers meet it: what is kept for ever, what is packed, whose addresses are the app's, and what is not served. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { brotliCompressSync, brotliDecompressSync, gzipSync, gunzipSync } from 'node:zlib';
import { refused, startHttp, type RunningHttp } from '../../../test/support/http-service.ts';

const INDEX = `<!doctype html><title>App</title>${'<p>hello</p>'.repeat(200)}`;
const SCRIPT = 'export const answer = 42;\n'.repeat(100);
const HTML = { accept: 'text/html,application/xhtml+xml' };

async function start(t: TestContext): Promise<RunningHttp> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-web-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'app'));
  mkdirSync(join(folder, 'icons'));
  const files: Record<string, string | Buffer> = {
    'index.html': INDEX,
    'index.html.br': brotliCompressSync(INDEX),
    'index.html.gz': gzipSync(INDEX),
    'sw.js': 'self.skipWaiting();',
    'manifest.webmanifest': '{}',
    'icons/icon-192.png': Buffer.from([0x89, 0x50]),
    'app/index-AbCd1234.js': SCRIPT,
    'app/index-AbCd1234.js.br': brotliCompressSync(SCRIPT),
    'app/index-AbCd1234.js.map': '{"sources":["/home/ada/secret.ts"]}',
    'sources.sha256': 'abc',
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  symlinkSync('/etc/hostname', join(folder, 'hostname.txt'));
  return startHttp(t, { webDir: folder });
}

/** Below fetch, which unpacks. */
function raw(running: RunningHttp, path: string, headers: Record<string, string>, method = 'GET') {
  return new Promise<{ status: number; headers: Record<string, unknown>; body: Buffer }>((resolve, reject) => {
    const sent = request({ port: running.port, host: '127.0.0.1', path, headers, method }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    sent.on('error', reject).end();
  });
}

describe('the web app', () => {
  test('has its first document at / and at its own addresses, and programs get problems', async (t) => {
    const running = await start(t);
    for (const path of ['/', '/g/plants/guide/foxglove', '/s/abc', '/console', '/nothing.at.all?x=1']) {
      const response = await fetch(running.base + path, { headers: HTML });
      assert.equal(response.status, 200, path);
      assert.equal(await response.text(), INDEX, path);
      assert.equal(response.headers.get('cache-control'), 'no-cache');
      assert.match(response.headers.get('content-security-policy') ?? '', /default-src 'none'; script-src 'self'/);
    }
    await refused(running, await fetch(`${running.base}/g/plants`, { headers: { accept: '*/*' } }), 'not_found');
    for (const path of ['/api/nothing', '/v1/nothing', '/assets/app.js', '/app/index-Old00000.js', '/metrics/x']) {
      await refused(running, await fetch(running.base + path, { headers: HTML }), 'not_found');
    }
    const post = await fetch(`${running.base}/g/plants`, { method: 'POST', headers: HTML });
    await refused(running, post, 'not_found');
  });

  test('is sent packed to those who unpack, and not again to those who have it', async (t) => {
    const running = await start(t);
    const packed = await raw(running, '/', { 'accept-encoding': 'gzip, deflate, br' });
    assert.equal(packed.headers['content-encoding'], 'br');
    assert.equal(packed.headers.vary, 'accept-encoding');
    assert.equal(brotliDecompressSync(packed.body).toString(), INDEX);
    const zipped = await raw(running, '/', { 'accept-encoding': 'br;q=0, gzip' });
    assert.equal(zipped.headers['content-encoding'], 'gzip');
    assert.equal(gunzipSync(zipped.body).toString(), INDEX);
    const plain = await raw(running, '/', {});
    assert.deepEqual([plain.headers['content-encoding'], plain.body.toString()], [undefined, INDEX]);
    const etag = String(plain.headers.etag);
    assert.equal((await raw(running, '/', { 'if-none-match': etag })).status, 304);
    const head = await raw(running, '/', { 'accept-encoding': 'br' }, 'HEAD');
    assert.deepEqual([head.status, head.body.length], [200, 0]);
  });

  test('is kept for ever where the name has the hash, and asked for where it has not', async (t) => {
    const { base } = await start(t);
    const script = await fetch(`${base}/app/index-AbCd1234.js`);
    assert.equal(script.headers.get('cache-control'), 'public, max-age=31536000, immutable');
    assert.equal(script.headers.get('content-type'), 'text/javascript; charset=utf-8');
    for (const [path, type] of [
      ['/sw.js', 'text/javascript; charset=utf-8'],
      ['/manifest.webmanifest', 'application/manifest+json; charset=utf-8'],
      ['/icons/icon-192.png', 'image/png'],
    ] as const) {
      const response = await fetch(base + path);
      assert.deepEqual(
        [response.headers.get('cache-control'), response.headers.get('content-type')],
        ['no-cache', type],
      );
    }
  });

  test('is no way to other files: maps, links, the note of the build, folders above', async (t) => {
    const running = await start(t);
    for (const path of [
      '/app/index-AbCd1234.js.map',
      '/hostname.txt',
      '/sources.sha256',
      '/index.html.br',
      '/app/../sources.sha256',
      '/app/%2e%2e/sources.sha256',
      '/app/..%2fsw.js',
      '/app/__proto__',
    ]) {
      const { status } = await raw(running, path, {});
      assert.equal(status, 404, path);
    }
  });

  test('that is not there leaves a word, and the API works', async (t) => {
    const running = await startHttp(t, { webDir: join(tmpdir(), 'postern-no-such-folder') });
    const page = await (await fetch(running.base)).text();
    assert.match(page, /The gateway runs/);
    await refused(running, await fetch(`${running.base}/g/plants`, { headers: HTML }), 'not_found');
  });
});
