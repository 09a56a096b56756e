import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseEnv } from 'node:util';
import { PosternError } from '../errors.ts';
import { makeToken } from '../identity/keys/token.ts';
import { parseConfig } from './config.ts';
import { SETTINGS, type Setting } from './settings.ts';

const problemsOf = (env: Record<string, string>): string => {
  try {
    parseConfig(env, '/srv');
  } catch (error) {
    assert.ok(error instanceof PosternError);
    assert.equal(error.code, 'config_invalid');
    return error.message;
  }
  return '';
};

void test('an empty environment gives the defaults of the table', () => {
  const config = parseConfig({}, '/srv');
  assert.deepEqual(
    { ...config },
    {
      httpHost: '127.0.0.1',
      httpPort: 8080,
      publicUrl: null,
      open: false,
      corsOrigins: [],
      trustedProxies: [],
      connectionsPerAddress: 1_000,
      tunnelHost: null,
      tunnelPort: 37_373,
      tunnelAddress: null,
      tunnelAllow: [],
      certificateTtlMs: 86_400_000,
      renewalGraceMs: 2_592_000_000,
      pkiDir: null,
      pkiNames: 'uri',
      gatewayName: null,
      bodyLimitBytes: 20 * 1024 * 1024,
      store: 'sqlite',
      blobs: null,
      s3: { endpoint: null, region: null, pathStyle: false },
      databaseUrl: null,
      databaseListenUrl: null,
      peerHost: null,
      peerPort: 0,
      peerAddress: null,
      queueLimitJobs: 10_000,
      jobs: {
        maxJobsOfKey: null,
        maxAttempts: 3,
        waitTtlMs: 86400000,
        resultTtlMs: 3600000,
        idempotencyTtlMs: 86400000,
        maxResults: null,
        maxResultBytes: null,
        maxInputBytes: null,
        maxFailedInputBytes: null,
        blobGraceMs: 600000,
      },
      limitsFile: null,
      outboundAllow: [],
      outboundHttp: false,
      targetHosts: ['127.0.0.1'],
      targetPort: 37_373,
      guidesDir: '/srv/guides',
      webDir: '/srv/web/dist',
      guide: { photoTtlMs: 2_592_000_000, recordTtlMs: 31_536_000_000 },
      modelsDir: '/srv/models',
      modelsWatch: 'list',
      modelSoakMs: 600_000,
      python: 'python3',
      pythonEnvironment: {},
      identityDir: '/srv/data/worker',
      dataDir: '/srv/data',
      drainMs: 30_000,
      deployDir: '/srv/deploy',
      soakMs: 600_000,
      front: 'sockets',
      frontUrl: null,
      nginxReload: 'nginx -s reload',
      logLevel: null,
      url: 'http://127.0.0.1:8080',
      apiKey: null,
    },
  );
});

void test('the configuration cannot be changed after it was parsed', () => {
  assert.ok(Object.isFrozen(parseConfig({}, '/srv')));
});

void test('an empty value counts as absent, and spaces around a value do not count', () => {
  assert.equal(parseConfig({ POSTERN_HTTP_PORT: '', POSTERN_TUNNEL_PORT: ' 4000 ' }, '/srv').httpPort, 8080);
  assert.equal(parseConfig({ POSTERN_TUNNEL_PORT: ' 4000 ' }, '/srv').tunnelPort, 4000);
});

const accepted: [key: string, value: string][] = [
  ['POSTERN_HTTP_PORT', '0'],
  ['POSTERN_HTTP_PORT', '65535'],
  ['POSTERN_HTTP_HOST', '::1'],
  ['POSTERN_TUNNEL_HOST', '0.0.0.0'],
  ['TARGET_HOST', 'gateway.example.org'],
  ['TARGET_HOST', 'gpu_net'],
  ['TARGET_HOST', 'a.example, b.example:37374,[::1]:1,::2'],
  ['POSTERN_OPEN', '1'],
  ['POSTERN_LOG_LEVEL', 'debug'],
  ['POSTERN_URL', 'https://example.org/postern/'],
  ['POSTERN_DRAIN_MS', '0'],
];
for (const [key, value] of accepted) {
  void test(`${key} takes ${JSON.stringify(value)}`, () => assert.equal(problemsOf({ [key]: value }), ''));
}

const refused: [key: string, value: string][] = [
  ['POSTERN_HTTP_PORT', '65536'],
  ['POSTERN_HTTP_PORT', '-1'],
  ['TARGET_PORT', '0'],
  ['POSTERN_HTTP_PORT', '80.5'],
  ['POSTERN_HTTP_PORT', '0x50'],
  ['POSTERN_HTTP_PORT', 'http'],
  ['POSTERN_HTTP_HOST', 'localhost:8080'],
  ['POSTERN_HTTP_HOST', '300.1.1.1'],
  ['TARGET_HOST', 'http://gateway'],
  ['TARGET_HOST', ','],
  ['TARGET_HOST', 'a.example:0'],
  ['TARGET_HOST', Array(17).fill('a.example').join()],
  ['POSTERN_OPEN', 'yes'],
  ['POSTERN_BODY_LIMIT_BYTES', '20MB'],
  ['POSTERN_BODY_LIMIT_BYTES', '1'],
  ['POSTERN_LOG_LEVEL', 'loud'],
  ['POSTERN_URL', 'ftp://example.org'],
  ['BLOB_URL', 'https://bucket.example'],
  ['BLOB_URL', 's3://bucket/../other'],
  ['DATABASE_URL', 'mysql://db/postern'],
  ['DATABASE_URL', 'postgresql://db'],
  ['POSTERN_DATABASE_LISTEN_URL', 'postgresql://db/a b'],
  ['POSTERN_CORS_ORIGINS', 'https://guide.example/page'],
  ['POSTERN_CORS_ORIGINS', 'guide.example'],
  ['POSTERN_CORS_ORIGINS', 'https://a.example, null'],
  ['POSTERN_TRUSTED_PROXIES', '10.0.0.0/33'],
  ['POSTERN_TRUSTED_PROXIES', 'proxy.example'],
  ['POSTERN_URL', 'http://user:password@example.org'],
];
for (const [key, value] of refused) {
  void test(`${key} refuses ${JSON.stringify(value)}, by its name`, () => {
    assert.match(problemsOf({ [key]: value }), new RegExp(`${key}: expected`));
  });
}

void test('a key that cannot be one is refused for its typing error, and not shown', () => {
  const key = makeToken().token;
  assert.equal(parseConfig({ POSTERN_API_KEY: key }, '/srv').apiKey?.reveal(), key);
  const swapped = `${key.slice(0, -1)}${key.endsWith('a') ? 'b' : 'a'}`;
  for (const [wrong, why] of [
    [swapped, /typing error/],
    [key.slice(0, -3), /cut off/],
    ['hunter2', /begins with "postern_"/],
  ] as const) {
    const text = problemsOf({ POSTERN_API_KEY: wrong });
    assert.match(text, why);
    assert.ok(!text.includes(wrong));
  }
});

void test('every problem is reported at once', () => {
  const text = problemsOf({ POSTERN_HTTP_PORT: 'x', TARGET_PORT: 'y', POSTERN_OPEN: 'z' });
  for (const key of ['POSTERN_HTTP_PORT', 'TARGET_PORT', 'POSTERN_OPEN']) assert.ok(text.includes(key), text);
});

void test('an unknown key of ours is refused with the likely one; those of others and of the tests are not ours', () => {
  assert.match(
    problemsOf({ POSTERN_HTP_PORT: '1' }),
    /POSTERN_HTP_PORT: there is no such setting, did you mean POSTERN_HTTP_PORT\?/,
  );
  assert.match(problemsOf({ POSTERN_WHATEVER: '1' }), /POSTERN_WHATEVER: there is no such setting$/m);
  assert.equal(problemsOf({ TARGET_ARCH: 'x', POSTERN_TEST_REQUIRE: '1', PATH: '/bin' }), '');
});

void test('a long value is cut in the message', () => {
  assert.ok(problemsOf({ POSTERN_HTTP_PORT: 'x'.repeat(5_000) }).length < 400);
});

void test('the defaults themselves would be accepted if somebody wrote them down', () => {
  const written = Object.entries<Setting>(SETTINGS).flatMap(([key, { fallback }]) =>
    fallback === null ? [] : [[key, fallback]],
  );
  assert.deepEqual(parseConfig(Object.fromEntries(written) as Record<string, string>, '/srv'), parseConfig({}, '/srv'));
});

const read = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');

void test('models in Python see of the environment what is harmless, and what the operator names', () => {
  const env = { PATH: '/bin', LC_ALL: 'C', CUDA_VISIBLE_DEVICES: '0', HF_TOKEN: 'x', AWS_SECRET_ACCESS_KEY: 'y' };
  const harmless = { PATH: '/bin', LC_ALL: 'C', CUDA_VISIBLE_DEVICES: '0' };
  assert.deepEqual(parseConfig(env, '/srv').pythonEnvironment, harmless);
  const named = parseConfig({ ...env, POSTERN_PYTHON_ENV: 'HF_TOKEN, OTHER' }, '/srv');
  assert.deepEqual(named.pythonEnvironment, { ...harmless, HF_TOKEN: 'x' });
  assert.throws(() => parseConfig({ POSTERN_PYTHON_ENV: 'HF TOKEN' }, '/srv'), /POSTERN_PYTHON_ENV/);
});

void test('a path to a Python is meant from the folder, a bare name is looked for in PATH', () => {
  assert.equal(parseConfig({ POSTERN_PYTHON: '.venv/bin/python' }, '/srv').python, '/srv/.venv/bin/python');
  assert.equal(parseConfig({ POSTERN_PYTHON: 'python3.12' }, '/srv').python, 'python3.12');
});

void test('docs/configuration.md has one row for every setting, with its default and its words', () => {
  const rows = read('docs/configuration.md')
    .split('\n')
    .map((line) =>
      /^\| `((?:POSTERN|TARGET|BLOB|DATABASE)_[A-Z0-9_]+)` \| (\w+) \| (?:`([^`]*)`)? ?\| (.+) \|$/.exec(line),
    )
    .filter((match) => match !== null)
    .map(([, key, use, fallback = '', about]) => ({ key, use, fallback, about }));
  const wanted = Object.entries<Setting>(SETTINGS).map(([key, { use, fallback, about }]) => ({
    key,
    use,
    fallback: fallback ?? '',
    about,
  }));
  assert.deepEqual(rows, wanted);
});

void test('.env.example shows every setting with its default, commented out', () => {
  const example = read('.env.example');
  assert.deepEqual(parseEnv(example), {});
  const shown = [...example.matchAll(/^# ([A-Z0-9_]+)=(.*)$/gm)].map(([, key, value]) => [key, value]);
  assert.deepEqual(
    shown,
    Object.entries<Setting>(SETTINGS).map(([key, { fallback }]) => [key, fallback ?? '']),
  );
});

void test('the URL of a database is a secret, also when it is wrong', () => {
  const url = 'postgresql://postern:hunter2@db/postern';
  const { databaseUrl } = parseConfig({ DATABASE_URL: url }, '/srv');
  assert.equal(databaseUrl?.reveal(), url);
  assert.equal(String(databaseUrl), '[secret]');
  const wrong = (): unknown => parseConfig({ DATABASE_URL: 'mysql://postern:hunter2@db/postern' }, '/srv');
  assert.throws(wrong, (error: Error) => error.message.includes('DATABASE_URL') && !error.message.includes('hunter2'));
});
