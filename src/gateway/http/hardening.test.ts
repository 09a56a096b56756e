/** Requests that are no requests, senders that never end, pages of other sites, and addresses that want it all. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { addressGroup, parseProxies } from './address.ts';
import { exchange, MODEL, refused, startHttp } from '../../../test/support/http-service.ts';

const AIM = `POST ${MODEL} HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\n`;
/** What an attacker wants to be taken for a request of its own. */
const HIDDEN =
  'POST /v1/models/local/echo/predictions HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-type: image/jpeg\r\n\r\nx';

describe('a request that two readers would cut in different places', () => {
  const table: readonly (readonly [what: string, bytes: string])[] = [
    [
      'Content-Length beside Transfer-Encoding',
      `${AIM}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
    ],
    [
      'Transfer-Encoding beside Content-Length',
      `${AIM}transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n${HIDDEN}`,
    ],
    ['two lengths', `${AIM}content-length: 1\r\ncontent-length: ${HIDDEN.length + 1}\r\n\r\nx${HIDDEN}`],
    ['two lengths that agree', `${AIM}content-length: 1\r\ncontent-length: 1\r\n\r\nx${HIDDEN}`],
    ['a list of lengths', `${AIM}content-length: 1, 1\r\n\r\nx${HIDDEN}`],
    ['a length with a sign', `${AIM}content-length: +1\r\n\r\nx${HIDDEN}`],
    ['a negative length', `${AIM}content-length: -1\r\n\r\n${HIDDEN}`],
    ['a length in hexadecimal', `${AIM}content-length: 0x1\r\n\r\nx${HIDDEN}`],
    ['a length with a space in it', `${AIM}content-length: 1 0\r\n\r\nx${HIDDEN}`],
    ['a length beyond all numbers', `${AIM}content-length: 99999999999999999999\r\n\r\nx${HIDDEN}`],
    ['a space before the colon', `${AIM}content-length : 1\r\n\r\nx${HIDDEN}`],
    ['a header that goes on in the next line', `${AIM}x-a: b\r\n c: d\r\ncontent-length: 1\r\n\r\nx${HIDDEN}`],
    ['an encoding that goes on in the next line', `${AIM}transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
    ['an unknown transfer encoding', `${AIM}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
    ['chunked that is not the last encoding', `${AIM}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n${HIDDEN}`],
    ['chunked twice', `${AIM}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
    ['lines that end with a bare LF', `${AIM.replaceAll('\r\n', '\n')}content-length: 1\n\nx${HIDDEN}`],
    ['one header that ends with a bare LF', `${AIM}x-a: b\ncontent-length: 1\r\n\r\nx${HIDDEN}`],
    ['a bare CR in a header', `${AIM}x-a: b\rcontent-length: 1\r\n\r\nx${HIDDEN}`],
    ['a NUL in a header', `${AIM}x-a: b\0c\r\ncontent-length: 1\r\n\r\nx${HIDDEN}`],
    ['a broken chunk size', `${AIM}transfer-encoding: chunked\r\n\r\n1g\r\nx\r\n0\r\n\r\n${HIDDEN}`],
    [
      'a chunk size beyond all numbers',
      `${AIM}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nx\r\n0\r\n\r\n${HIDDEN}`,
    ],
    ['a chunk longer than it says', `${AIM}transfer-encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n${HIDDEN}`],
    ['a chunk whose end is a bare LF', `${AIM}transfer-encoding: chunked\r\n\r\n1\nx\n0\n\n${HIDDEN}`],
    [
      'two hosts',
      `POST ${MODEL} HTTP/1.1\r\nhost: x\r\nhost: y\r\ncontent-length: 1\r\ncontent-type: image/jpeg\r\n\r\nx`,
    ],
    ['a request line in two', `POST ${MODEL}\r\n HTTP/1.1\r\nhost: x\r\n\r\n${HIDDEN}`],
    ['an unknown method', `GE\x00T / HTTP/1.1\r\nhost: x\r\n\r\n${HIDDEN}`],
    ['HTTP/2 without having asked', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ];
  for (const [what, bytes] of table) {
    test(`${what} is refused, the connection closed, and nothing of it done`, { timeout: 20_000 }, async (t) => {
      const running = await startHttp(t);
      const answer = await exchange(running.port, bytes);
      assert.match(answer, /^HTTP\/1\.1 4\d\d /);
      assert.equal(answer.match(/^HTTP\/1\.1 \d/gm)?.length, 1, answer);
      assert.deepEqual(running.fake.submitted, []);
      assert.deepEqual(running.errors, []);
    });
  }
});

describe('a body that was packed', () => {
  for (const [encoding, body] of [
    ['gzip', gzipSync(Buffer.alloc(50 * 1024 * 1024))],
    ['br', Buffer.from('x')],
    ['zstd', Buffer.from('x')],
    ['gzip, identity', Buffer.from('x')],
  ] as const) {
    test(`with ${encoding} is not unpacked but refused`, async (t) => {
      const running = await startHttp(t);
      const headers = { 'content-type': 'image/jpeg', 'content-encoding': encoding };
      const response = await fetch(running.base + MODEL, { method: 'POST', body: new Uint8Array(body), headers });
      await refused(running, response, 'unsupported_media_type');
    });
  }
});

/** Opens a connection that is closed at the end of the test. */
async function open(t: TestContext, port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

describe('senders that never end', () => {
  const slow: readonly (readonly [what: string, start: string, drop: string])[] = [
    ['headers', 'GET /livez HTTP/1.1\r\nhost: x\r\n', 'x-a: b\r\n'],
    ['a body', `${AIM}content-length: 1000000\r\n\r\n`, 'x'],
    ['chunks', `${AIM}transfer-encoding: chunked\r\n\r\n`, '1\r\nx\r\n'],
  ];
  for (const [what, start, drop] of slow) {
    test(`${what} that trickle in are cut off, and leave no bytes behind`, { timeout: 30_000 }, async (t) => {
      const running = await startHttp(t, { requestTimeoutMs: 1_000, headersTimeoutMs: 500 });
      const socket = await open(t, running.port);
      let answer = '';
      socket.on('data', (chunk) => (answer += chunk.toString()));
      socket.write(start);
      // Each byte would keep alive what only looks for silence.
      const trickle = setInterval(() => socket.write(drop), 50);
      t.after(() => clearInterval(trickle));
      await once(socket, 'close');
      assert.match(answer, /^HTTP\/1\.1 408 /);
      const metrics = await (await fetch(`${running.base}/metrics`)).text();
      assert.match(metrics, /^postern_body_bytes 0$/m);
      assert.equal(running.fake.submitted.length, 0);
    });
  }
});

describe('one address', () => {
  test('has so many connections and no more; one that ends makes room', { timeout: 20_000 }, async (t) => {
    const running = await startHttp(t, { maxConnectionsPerAddress: 3 });
    const held = [await open(t, running.port), await open(t, running.port), await open(t, running.port)];
    const fourth = connect(running.port, '127.0.0.1');
    fourth.on('error', () => undefined);
    await once(fourth, 'close');
    held[0]?.destroy();
    // The server hears of the end a moment later.
    for (;;) {
      const again = connect(running.port, '127.0.0.1');
      again.on('error', () => undefined);
      again.write('GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
      let answer = '';
      again.on('data', (chunk) => (answer += chunk.toString()));
      await once(again, 'close');
      if (answer.startsWith('HTTP/1.1 200')) break;
    }
  });

  test('that is a trusted proxy has as many as it likes', { timeout: 20_000 }, async (t) => {
    const running = await startHttp(t, { maxConnectionsPerAddress: 2, trustedProxies: ['127.0.0.0/8'] });
    for (let n = 0; n < 5; n += 1) await open(t, running.port);
    assert.equal((await fetch(`${running.base}/livez`)).status, 200);
  });

  test('is a /64 in IPv6, and itself in IPv4', () => {
    const groups: readonly (readonly [address: string, group: string])[] = [
      ['192.0.2.7', '192.0.2.7'],
      ['::ffff:192.0.2.7', '192.0.2.7'],
      ['2001:db8::1', '2001:db8:0:0::/64'],
      ['2001:DB8:0:0:ffff::2', '2001:db8:0:0::/64'],
      ['2001:0db8:0000:0001::', '2001:db8:0:1::/64'],
      ['fe80::1%eth0', 'fe80:0:0:0::/64'],
      ['::1', '0:0:0:0::/64'],
    ];
    for (const [address, group] of groups) assert.equal(addressGroup(address), group);
  });

  test('is the nearest one that no trusted proxy has', () => {
    const proxies = parseProxies(['10.0.0.0/8', 'fd00::/8']);
    const from = (remoteAddress: string, forwarded?: string): string =>
      proxies.clientOf({ socket: { remoteAddress }, headers: { 'x-forwarded-for': forwarded } } as never);
    assert.equal(from('198.51.100.1', '1.2.3.4'), '198.51.100.1');
    assert.equal(from('10.0.0.1', '1.2.3.4'), '1.2.3.4');
    assert.equal(from('::ffff:10.0.0.1', '1.2.3.4, 10.9.9.9'), '1.2.3.4');
    assert.equal(from('10.0.0.1', '6.6.6.6, 1.2.3.4'), '1.2.3.4');
    assert.equal(from('10.0.0.1', '6.6.6.6, unknown, 10.1.1.1'), '10.1.1.1');
    assert.equal(from('10.0.0.1'), '10.0.0.1');
    assert.equal(from('fd00::1', '2001:db8::9'), '2001:db8::9');
    for (const wrong of ['10.0.0.0/33', '10.0.0/8', 'x', '10.0.0.0/8/8', '::/129', '10.0.0.0/-1']) {
      assert.throws(() => parseProxies([wrong]), /expected an address or a network/, wrong);
    }
  });
});

describe('pages of other sites', () => {
  const ask = (base: string, origin: string, method = 'GET', more: Record<string, string> = {}): Promise<Response> =>
    fetch(`${base}/v1/models`, { method, headers: { origin, ...more } });
  const preflight = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' };

  test('may read nothing unless it was configured', async (t) => {
    const running = await startHttp(t);
    for (const method of ['GET', 'OPTIONS']) {
      const { headers } = await ask(running.base, 'https://guide.example', method, preflight);
      for (const name of headers.keys()) assert.ok(!name.startsWith('access-control-'), name);
    }
  });

  test('of an allowed origin may read answers, errors included, and send a key', async (t) => {
    const running = await startHttp(t, { corsOrigins: ['https://guide.example'] });
    const { headers } = await ask(running.base, 'https://guide.example');
    assert.equal(headers.get('access-control-allow-origin'), 'https://guide.example');
    assert.match(headers.get('access-control-expose-headers') ?? '', /location/);
    assert.match(headers.get('vary') ?? '', /origin/i);
    const missing = await fetch(`${running.base}/v1/predictions/none`, {
      headers: { origin: 'https://guide.example' },
    });
    assert.equal(missing.status, 404);
    assert.equal(missing.headers.get('access-control-allow-origin'), 'https://guide.example');
    const asked = await ask(running.base, 'https://guide.example', 'OPTIONS', preflight);
    assert.equal(asked.status, 204);
    assert.match(asked.headers.get('access-control-allow-headers') ?? '', /authorization/);
    assert.match(asked.headers.get('access-control-allow-methods') ?? '', /POST/);
  });

  for (const origin of [
    'https://evil.example',
    'https://guide.example.evil.example',
    'https://evilguide.example',
    'http://guide.example',
    'https://guide.example:8443',
    'https://GUIDE.example',
    'null',
  ]) {
    test(`of ${origin} may not, where https://guide.example may`, async (t) => {
      const running = await startHttp(t, { corsOrigins: ['https://guide.example'] });
      for (const method of ['GET', 'OPTIONS']) {
        const { headers } = await ask(running.base, origin, method, preflight);
        assert.equal(headers.get('access-control-allow-origin'), null);
        assert.match(headers.get('vary') ?? '', /origin/i);
      }
    });
  }

  test('never bring cookies along, with any origin allowed neither', async (t) => {
    for (const corsOrigins of [['*'], ['https://guide.example']]) {
      const running = await startHttp(t, { corsOrigins });
      for (const method of ['GET', 'OPTIONS']) {
        const { headers } = await ask(running.base, 'https://guide.example', method, preflight);
        assert.equal(headers.get('access-control-allow-credentials'), null);
        assert.equal(headers.get('access-control-allow-origin'), corsOrigins[0]);
      }
    }
  });
});

describe('HTTPS only', () => {
  const ask = async (t: TestContext, publicUrl: string | undefined): Promise<(string | null)[]> => {
    const { base } = await startHttp(t, publicUrl === undefined ? {} : { publicUrl });
    const answers = ['/', '/v1/models', '/v1/predictions/none/stream', '/nothing'].map(async (path) => {
      const response = await fetch(base + path);
      await response.body?.cancel();
      return response.headers.get('strict-transport-security');
    });
    return Promise.all(answers);
  };

  test('is asked of browsers where the public address is HTTPS, by every answer', async (t) => {
    assert.deepEqual(await ask(t, 'https://postern.example'), Array(4).fill('max-age=31536000'));
  });

  test('is not asked where it is not: the name would be lost for as long as a year', async (t) => {
    assert.deepEqual(await ask(t, 'http://postern.example'), Array(4).fill(null));
    assert.deepEqual(await ask(t, undefined), Array(4).fill(null));
  });
});
