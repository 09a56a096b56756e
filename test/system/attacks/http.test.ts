/** Attacks of callers: names that climb, keys that are not enough, other sites' pages, what is too large, and what we would fetch. */
import { gzipSync } from 'node:zlib';
import { exchange, MODEL } from '../../support/http-service.ts';
import { attackTable } from './attack.ts';
import type { Attack } from './attack.ts';
import { openHttpStage } from './http-stage.ts';
import type { HttpStage } from './http-stage.ts';

const JSON_HEADERS = { 'content-type': 'application/json' };
const postJson = (
  stage: HttpStage,
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<string> =>
  stage.ask(path, { method: 'POST', headers: { ...JSON_HEADERS, ...headers }, body: JSON.stringify(body) });
const photo = (headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'image/jpeg', ...headers },
  body: 'x',
});
/** Bytes on the bare socket, because fetch tidies paths up before it sends them. */
const rawGet = (stage: HttpStage, path: string): Promise<string> =>
  stage.say(`GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n`);

/** [what, address, the refusal]: read as they are, nothing of the disk may come. */
const PATHS: readonly (readonly [what: string, path: string, expected: string])[] = [
  ['the folder above', '/../../../../etc/passwd', 'not_found'],
  ['the folder above a page', '/docs/../../../../etc/passwd', 'not_found'],
  ['the folder above, encoded', '/%2e%2e/%2e%2e/%2e%2e/etc/passwd', 'not_found'],
  ['an encoded slash in a page', '/docs/..%2f..%2f..%2fpackage.json', 'not_found'],
  ['a backslash', '/docs\\..\\..\\package.json', 'not_found'],
  ['overlong UTF-8', '/docs/%c0%ae%c0%ae/package.json', 'bad_request'],
  ['a NUL behind a good name', '/docs%00.html', 'not_found'],
  ['a model that climbs', '/v1/models/local/..%2f..%2fetc%2fpasswd', 'model_not_found'],
  ['a model that is the folder above', '/v1/models/local/%2e%2e', 'model_not_found'],
  ['a version that climbs', '/v1/models/local/plants/versions/..%2f..%2fpostern.yaml', 'model_not_found'],
  ['a model of /v2 that climbs', '/v2/models/..%2f..%2fetc', 'model_not_found'],
  ['a file that climbs', '/v1/files/..%2f..%2fcontrol.sqlite', 'file_not_found'],
  ['a file’s content that climbs', '/v1/files/..%2f..%2fidentity%2fca.key/download', 'file_not_found'],
  ['a blob by its hash', `/v1/files/${'a'.repeat(64)}/download`, 'file_not_found'],
  ['a prediction that climbs', '/v1/predictions/..%2f..%2fcontrol.sqlite', 'prediction_not_found'],
  ['an output that climbs', '/v1/predictions/..%2f..%2fidentity%2fca.key/output', 'prediction_not_found'],
  ['another host in the address', 'http://169.254.169.254/latest/meta-data/', 'not_found'],
];

const paths: Attack<HttpStage>[] = [
  ...PATHS.map(([name, path, expected]) => ({ name, expected, attack: (stage: HttpStage) => rawGet(stage, path) })),
  {
    name: 'a model that climbs, in the body',
    expected: 'bad_parameter',
    attack: (stage) => postJson(stage, '/v1/predictions', { model: 'local/../../etc', input: 'x' }),
  },
  {
    name: 'a version that climbs, in the body',
    expected: 'bad_parameter',
    attack: (stage) => postJson(stage, '/v1/predictions', { model: 'plants', version: '../../1', input: 'x' }),
  },
  {
    name: 'a tunnel to somewhere else (CONNECT)',
    expected: 'none',
    // The connection is closed without a word.
    async attack({ running }) {
      return (await exchange(running.port, 'CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: 127.0.0.1:22\r\n\r\n')) === ''
        ? 'none'
        : 'answered';
    },
  },
];

const keys: Attack<HttpStage>[] = [
  {
    name: 'no key',
    expected: 'unauthorized',
    attack(stage) {
      stage.makeKey();
      return stage.ask(MODEL, photo());
    },
  },
  {
    name: 'a key with another secret behind a right id',
    expected: 'unauthorized',
    attack(stage) {
      const key = stage.makeKey();
      return stage.ask(MODEL, photo({ authorization: `Bearer ${key.slice(0, 25)}${stage.makeKey().slice(25)}` }));
    },
  },
  {
    name: 'a key in the address',
    expected: 'unauthorized',
    attack: (stage) => stage.ask(`${MODEL}?key=${stage.makeKey()}`, photo()),
  },
  {
    name: 'the key of a reader predicts',
    expected: 'forbidden',
    attack: (stage) => stage.ask(MODEL, photo({ authorization: `Bearer ${stage.makeKey({ scopes: ['read'] })}` })),
  },
  {
    name: 'the key of a caller makes keys',
    expected: 'forbidden',
    attack: (stage) => postJson(stage, '/v1/admin/keys', { name: 'x' }, { authorization: `Bearer ${stage.makeKey()}` }),
  },
  {
    name: 'the key of one model used for another',
    expected: 'forbidden',
    attack: (stage) => stage.ask(MODEL, photo({ authorization: `Bearer ${stage.makeKey({ models: ['echo'] })}` })),
  },
  {
    name: 'the key of a caller logs the console in',
    expected: 'forbidden',
    attack: (stage) => postJson(stage, '/admin/login', { key: stage.makeKey() }),
  },
];

const sites: Attack<HttpStage>[] = [
  {
    name: 'a page of another site posts a form to a gateway without keys',
    expected: 'forbidden',
    attack: (stage) => stage.ask(MODEL, photo({ origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' })),
  },
  {
    name: 'a page makes a key with the console’s cookie, and no proof of it (CSRF)',
    expected: 'forbidden',
    async attack(stage) {
      const key = stage.makeKey({ scopes: ['admin'] });
      const login = await fetch(`${stage.running.base}/admin/login`, {
        method: 'POST',
        headers: JSON_HEADERS,
        body: JSON.stringify({ key }),
      });
      const cookie = login.headers.get('set-cookie')?.split(';', 1)[0] ?? '';
      return postJson(stage, '/v1/admin/keys', { name: 'x' }, { cookie });
    },
  },
  {
    name: 'a name that a page pointed at this machine (DNS rebinding)',
    expected: 'forbidden',
    attack: (stage) => stage.say('GET /v1/predictions HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n'),
  },
  {
    name: 'a second Host',
    expected: 'bad_request',
    attack: (stage) => stage.say('GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: evil.example\r\n\r\n'),
  },
  {
    name: 'a request hidden in another’s body',
    expected: 'bad_request',
    attack: (stage) =>
      stage.say(
        `POST ${MODEL} HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n`,
      ),
  },
  {
    name: 'a request that comes back as it was (TRACE)',
    expected: 'method_not_allowed',
    attack: (stage) => stage.say('TRACE / HTTP/1.1\r\nhost: 127.0.0.1\r\ncookie: a=b\r\n\r\n'),
  },
];

const large: Attack<HttpStage>[] = [
  {
    name: 'a body that is announced too large',
    expected: 'body_too_large',
    attack: (stage) =>
      stage.say(`POST ${MODEL} HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\ncontent-length: 9999999999\r\n\r\n`),
  },
  {
    name: 'headers without end',
    expected: 'headers_too_large',
    attack: (stage) => stage.say(`GET / HTTP/1.1\r\nhost: x\r\n${'x-a: aaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n'.repeat(700)}`),
  },
  {
    name: 'an address without end',
    expected: 'headers_too_large',
    attack: (stage) => stage.say(`GET /${'a'.repeat(100_000)} HTTP/1.1\r\n`),
  },
  {
    name: 'a packed body: 100 MB in 100 KB',
    expected: 'unsupported_media_type',
    attack: (stage) =>
      stage.ask(MODEL, {
        ...photo({ 'content-encoding': 'gzip' }),
        body: new Uint8Array(gzipSync(Buffer.alloc(100_000_000))),
      }),
  },
  {
    name: 'a packed body for /v2, which unpacks: 100 MB in 100 KB',
    expected: 'body_too_large',
    attack: (stage) =>
      stage.ask('/v2/models/echo/infer', {
        method: 'POST',
        headers: { ...JSON_HEADERS, 'content-encoding': 'gzip' },
        body: new Uint8Array(gzipSync(Buffer.alloc(100_000_000, ' '))),
      }),
  },
  {
    name: 'many packed bodies for /v2 at once, each within its limit: all of them count while they unpack',
    expected: 'overloaded',
    async attack(stage) {
      const body = new Uint8Array(gzipSync(Buffer.alloc(15_000_000, ' ')));
      const headers = { ...JSON_HEADERS, 'content-encoding': 'gzip' };
      const ask = (): Promise<string> => stage.ask('/v2/models/echo/infer', { method: 'POST', headers, body });
      const codes = await Promise.all(Array.from({ length: 40 }, ask));
      // The others are white space, which is no JSON.
      return codes.find((code) => code !== 'bad_json') ?? 'none';
    },
  },
  {
    name: 'JSON as deep as it goes',
    expected: 'bad_json',
    attack: (stage) =>
      stage.ask('/v1/models/local/echo/predictions', {
        method: 'POST',
        headers: JSON_HEADERS,
        body: `{"input":${'['.repeat(200_000)}${']'.repeat(200_000)}}`,
      }),
  },
];

const fetched: Attack<HttpStage>[] = [
  ['an address that is not encrypted', { input: { image: 'http://127.0.0.1/x' } }, 'input_url_refused'],
  ['a service of this machine', { input: { image: 'https://127.0.0.1:1/x' } }, 'input_url_refused'],
  ['the cloud’s metadata', { input: { image: 'https://169.254.169.254/latest' } }, 'input_url_refused'],
  ['a webhook to this machine', { input: 'x', webhook: 'https://[::1]/x' }, 'webhook_refused'],
  ['a webhook that is not encrypted', { input: 'x', webhook: 'http://example.com/x' }, 'webhook_refused'],
].map(([name, body, expected]) => ({
  name: name as string,
  expected: expected as string,
  attack: (stage: HttpStage) => postJson(stage, MODEL, body),
}));

attackTable('names that climb', openHttpStage, paths);
attackTable('keys', openHttpStage, keys);
attackTable('other sites and smuggled requests', openHttpStage, sites);
attackTable('what is too large', openHttpStage, large);
attackTable('what the gateway would fetch', openHttpStage, fetched);
