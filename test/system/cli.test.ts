/** The command line in real processes: exit codes, what is said and where, and the commands against a running `up`. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import sharp from 'sharp';
import { until } from '../support/postern.ts';

const PROGRAM = new URL('../../bin/postern.mjs', import.meta.url).pathname;
const MODELS = new URL('../../models', import.meta.url).pathname;

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a command to its end, in `folder`, with nothing of this machine's settings. */
function postern(args: readonly string[], folder: string, env: Record<string, string> = {}): Promise<Ended> {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^(POSTERN|TARGET)_/.test(key)));
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    cwd: folder,
    env: { ...inherited, ...env },
    timeout: 120_000,
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, out, err }));
  });
}

const folder = mkdtempSync(join(tmpdir(), 'postern-cli-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** One line for people, no stack trace. */
function assertSaid(ended: Ended, code: number, pattern: RegExp): void {
  assert.equal(ended.code, code, ended.err);
  assert.match(ended.err, pattern);
  assert.match(ended.err, /^postern: /);
  assert.doesNotMatch(ended.err, /^\s+at /m);
  assert.equal(ended.out, '');
}

suite('mistakes are answered by one line and the right exit code', { concurrency: 2 }, () => {
  void test('an unknown command is 2, with the likely one', async () => {
    assertSaid(await postern(['modls'], folder), 2, /unknown command 'modls'[\s\S]*models/);
  });
  void test('a missing argument is 2', async () => {
    assertSaid(await postern(['predict'], folder), 2, /missing required argument 'model'/);
  });
  void test('an option that is no number is 2', async () => {
    assertSaid(
      await postern(['predict', 'plants', 'x', '--concurrency', '0'], folder),
      2,
      /whole number from 1 to 256/,
    );
  });
  void test('a gateway that is no URL is 2', async () => {
    assertSaid(await postern(['models', '--gateway', 'localhost'], folder), 2, /Expected a URL/);
  });
  void test('wrong settings are 2, all of them at once', async () => {
    const ended = await postern(['models'], folder, { POSTERN_HTP_PORT: '1', POSTERN_HTTP_PORT: 'x' });
    assertSaid(ended, 2, /did you mean POSTERN_HTTP_PORT\?[\s\S]*POSTERN_HTTP_PORT: expected/);
  });
  void test('a wrong .env is 2, and the environment wins over it', async () => {
    const place = join(folder, 'with-env');
    mkdirSync(place);
    writeFileSync(join(place, '.env'), 'POSTERN_URL=nonsense\n');
    assertSaid(await postern(['models'], place), 2, /POSTERN_URL: expected a URL/);
    const url = await closedUrl();
    assertSaid(await postern(['models'], place, { POSTERN_URL: url }), 1, /does not answer/);
  });
  void test('a gateway that is not there is 1', async () => {
    const url = await closedUrl();
    assertSaid(await postern(['models', '--gateway', url], folder), 1, /does not answer \(ECONNREFUSED\)/);
    assertSaid(await postern(['predict', 'plants', PROGRAM, '--gateway', url], folder), 1, /does not answer/);
  });
  void test('an HTTP API without keys stays on loopback', async () => {
    assertSaid(await postern(['gateway'], folder, { POSTERN_HTTP_HOST: '0.0.0.0' }), 2, /POSTERN_OPEN=1/);
  });
  void test('a worker without an identity is 2', async () => {
    assertSaid(await postern(['worker'], folder), 2, /worker\.pem is missing/);
  });
  void test('a manifest that is not there is 2', async () => {
    assertSaid(await postern(['eval', 'plants', 'none.csv'], folder), 2, /none\.csv cannot be read/);
  });
  void test('a port in use is 1, with the setting to change', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const data = join(folder, 'data-in-use');
    const env = {
      POSTERN_DATA_DIR: data,
      POSTERN_HTTP_PORT: String(port),
      POSTERN_TUNNEL_PORT: '0',
      POSTERN_LOG_LEVEL: 'silent',
    };
    assertSaid(
      await postern(['gateway'], folder, env),
      1,
      new RegExp(`127\\.0\\.0\\.1:${port} is already in use.*POSTERN_HTTP_PORT`),
    );
    const swapped = { ...env, POSTERN_HTTP_PORT: '0', POSTERN_TUNNEL_PORT: String(port) };
    assertSaid(
      await postern(['up'], folder, swapped),
      1,
      new RegExp(`127\\.0\\.0\\.1:${port} is already in use.*POSTERN_TUNNEL_PORT`),
    );
    await new Promise((resolve) => server.close(resolve));
  });
});

void test('a Node that is too old is answered by one line that says what to do', () => {
  const pretend = 'Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.11.0"}})';
  const args = ['--import', `data:text/javascript,${pretend}`, PROGRAM, 'models'];
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
  assert.equal(status, 1);
  assert.match(stderr, /^postern: needs Node 24\.12 or newer, this is 20\.11\.0\. .*npm start.*\n$/);
});

suite('help', { concurrency: 2 }, () => {
  for (const command of [
    'up',
    'gateway',
    'worker',
    'init',
    'invite',
    'join',
    'allow',
    'revoke',
    'rotate-ca',
    'predict',
    'models',
    'workers',
    'gateways',
    'scaling',
    'doctor',
    'eval',
  ]) {
    void test(`${command} --help has examples and exit codes, on standard output`, async () => {
      const { code, out, err } = await postern([command, '--help'], folder);
      assert.equal(code, 0);
      assert.equal(err, '');
      for (const part of [`Usage: postern ${command}`, 'Examples:', 'Exit codes:']) assert.ok(out.includes(part), part);
    });
  }
  void test('the program lists every command, and --version is one line', async () => {
    assert.match((await postern(['--help'], folder)).out, /up .*\n[\s\S]*eval /);
    assert.match((await postern(['--version'], folder)).out, /^\d+\.\d+\.\d+\n$/);
  });
});

suite('against a running up', { timeout: 280_000 }, () => {
  let url = '';
  let tunnelPort = 0;
  const data = join(folder, 'data');
  const up = spawn.bind(null, process.execPath, [PROGRAM, 'up', '--json']);
  let child: ReturnType<typeof spawn>;
  let log = '';
  const ask = (...args: string[]): Promise<Ended> =>
    postern(args, folder, {
      POSTERN_URL: url,
      POSTERN_DATA_DIR: data,
      POSTERN_MODELS_DIR: MODELS,
      TARGET_PORT: String(tunnelPort),
    });

  before(async () => {
    const env = {
      ...process.env,
      POSTERN_DATA_DIR: data,
      POSTERN_MODELS_DIR: MODELS,
      POSTERN_HTTP_PORT: '0',
      POSTERN_TUNNEL_PORT: '0',
    };
    child = up({ cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stderr?.on('data', (chunk: Buffer) => (log += chunk.toString()));
    let out = '';
    child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
    await until('the ready line', 120_000, () => Promise.resolve(out.includes('\n') ? true : null));
    const ready = JSON.parse(out) as { url: string; tunnelPort: number };
    [url, tunnelPort] = [ready.url, ready.tunnelPort];
    const photo = sharp({ create: { width: 320, height: 240, channels: 3, background: '#2f7d3a' } }).jpeg();
    await photo.toFile(join(folder, 'a.jpg'));
    writeFileSync(join(folder, 'broken.jpg'), 'this is no photo');
    writeFileSync(
      join(folder, 'manifest.csv'),
      'file,class,source,split\na.jpg,rose,here,test\na.jpg,not_a_plant,here,test\na.jpg,rose,here,train\n',
    );
  });

  after(async () => {
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    child.kill('SIGTERM');
    assert.equal(await ended, 0, log);
  });

  void test('predict answers one file by a table of labels', async () => {
    const { code, out } = await ask('predict', 'plants', 'a.jpg', '--top', '3');
    assert.equal(code, 0);
    assert.match(out, /LABEL +SCORE/);
    assert.equal(out.match(/ %/g)?.length, 3, out);
  });

  void test('predict answers many files by a line each; one bad file makes the exit code 1, and does not stop the rest', async () => {
    const { code, out, err } = await ask('predict', 'plants', 'a.jpg', 'broken.jpg', 'none.jpg', 'a.jpg');
    assert.equal(code, 1);
    assert.match(out, /broken\.jpg +failed: not_an_image/);
    assert.match(out, /none\.jpg +failed: missing_input/);
    assert.equal(out.trim().split('\n').length, 5);
    assert.match(err, /^postern: broken\.jpg: .*\(not_an_image\)$/m);
  });

  void test('predict --stream prints the output of one file as it comes, and nothing else on standard output', async () => {
    writeFileSync(join(folder, 'words.txt'), 'one two three\n');
    const told = await ask(
      'predict',
      'echo',
      'words.txt',
      '--stream',
      '--param',
      'chunk_bytes=4',
      '--param',
      'delay_ms=1',
    );
    assert.deepEqual(told, { code: 0, out: 'one two three\n', err: '' });
    const lines = (await ask('predict', 'echo', 'words.txt', '--stream', '--json', '--param', 'chunk_bytes=7')).out;
    const events = lines
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string; data?: string });
    // In parts, or as one when it was over before it was read.
    const outputs = events.map(({ data = '' }) => Buffer.from(data.replace(/^data:[^,]*,/, ''), 'base64').toString());
    assert.equal(outputs.join(''), 'one two three\n');
    assert.equal(events.at(-1)?.type, 'done');
    assertSaid(await ask('predict', 'echo', 'words.txt', '--stream', '--param', 'chunk_bytes=0'), 1, /chunk_bytes/);
    assertSaid(await ask('predict', 'echo', 'none.txt', '--stream'), 1, /none\.txt: cannot be read/);
    assertSaid(await ask('predict', 'echo', 'a.jpg', 'b.jpg', '--stream'), 2, /takes one file/);
    assertSaid(await ask('predict', 'echo', 'a.jpg', '--param', 'novalue'), 2, /name=value/);
  });

  void test('predict --json prints a line for each file, failures included', async () => {
    const { code, out } = await ask('predict', 'plants', 'a.jpg', 'broken.jpg', '--json');
    assert.equal(code, 1);
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { file: string; status: string; error?: { code: string } });
    const byFile = new Map(lines.map((line) => [line.file, line]));
    assert.equal(byFile.get('a.jpg')?.status, 'succeeded');
    assert.equal(byFile.get('broken.jpg')?.error?.code, 'not_an_image');
  });

  void test('an unknown model is one problem, not one for each file', async () => {
    assertSaid(await ask('predict', 'nothing', 'a.jpg', 'a.jpg', 'a.jpg'), 1, /^postern: [^\n]+\n$/);
  });

  void test('models and workers tell what is there, as a table and as JSON', async () => {
    assert.match((await ask('models')).out, /plants +1 +ready +image-classification/);
    assert.match((await ask('workers')).out, /local +connected +127\.0\.0\.1/);
    const models = JSON.parse((await ask('models', '--json')).out) as { name: string }[];
    assert.ok(models.some(({ name }) => name === 'plants'));
    const workers = JSON.parse((await ask('workers', '--json')).out) as { name: string; models: unknown[] }[];
    assert.deepEqual(
      workers.map(({ name }) => name),
      ['local'],
    );
  });

  void test('doctor finds a good link good, by every check', async () => {
    const { code, out } = await ask('doctor', '--json');
    const { verdict, checks } = JSON.parse(out) as { verdict: string; checks: { name: string; verdict: string }[] };
    assert.equal(code, 0);
    assert.equal(verdict, 'ok');
    const names = [
      'worker certificate',
      'name resolution',
      'tcp',
      'tls',
      'hello',
      'round trip',
      'throughput up',
      'throughput down',
      'http',
      'workers',
      'echo job',
    ];
    assert.deepEqual(
      checks.map(({ name, verdict: each }) => `${name} ${each}`),
      names.map((name) => `${name} ok`),
    );
  });

  void test('doctor names the step that fails and skips what stands on it', async () => {
    const port = new URL(await closedUrl()).port;
    const { code, out } = await postern(['doctor', '--gateway', url], folder, {
      POSTERN_DATA_DIR: data,
      TARGET_PORT: port,
    });
    assert.equal(code, 1);
    assert.match(out, /fail +tcp +nothing listens on 127\.0\.0\.1:\d+\n +→ start the gateway/);
    assert.match(out, /skip +hello/);
    // The HTTP port is no tunnel: TCP answers, TLS does not.
    const http = await postern(['doctor', '--gateway', url], folder, {
      POSTERN_DATA_DIR: data,
      TARGET_PORT: new URL(url).port,
    });
    assert.match(http.out, /ok +tcp/);
    assert.match(http.out, /fail +tls/);
  });

  void test('invite and join make an identity that doctor can use; it is not overwritten, and can be revoked', async () => {
    const address = `127.0.0.1:${tunnelPort}`;
    assertSaid(await ask('invite', 'gpu-1', '--address', address), 2, /which models\?/);
    assertSaid(await ask('invite', 'GPU 1', '--all-models'), 2, /lower-case letters/);
    const invited = await ask('invite', 'gpu-1', '--models', 'plants', '--address', address);
    assert.match(invited.out, /^postern join postern_join_[A-Za-z0-9_-]+\n$/);
    const token = invited.out.trim().split(' ')[2] ?? '';
    const env = { POSTERN_IDENTITY_DIR: join(folder, 'gpu-1'), POSTERN_URL: url };
    const joined = await postern(['join', token], folder, env);
    assert.equal(joined.code, 0, joined.err);
    assert.equal(statSync(join(folder, 'gpu-1/worker.key')).mode & 0o777, 0o600);
    assertSaid(await postern(['join', token], folder, env), 2, /holds the identity of worker gpu-1/);
    assertSaid(await postern(['join', token, '--force'], folder, env), 1, /used already/);
    assertSaid(await postern(['join', 'nonsense'], folder, env), 2, /this is no invitation/);
    // No TARGET_PORT: where it joined is where it dials.
    assert.match((await postern(['doctor'], folder, env)).out, /ok +hello .*knows this worker as gpu-1/);
    assertSaid(await ask('invite', 'gpu-1', '--all-models'), 2, /there is a worker gpu-1/);
    assert.equal((await ask('allow', 'gpu-1', '--models', 'echo')).code, 0);
    assert.equal((await ask('revoke', 'gpu-1')).code, 0);
    assert.match((await postern(['doctor'], folder, env)).out, /fail +hello .*worker_revoked/);
    assertSaid(await ask('revoke', 'gpu-2'), 2, /there is no worker gpu-2/);
  });

  void test('eval measures the split that was asked for, and checks targets', async () => {
    const out = join(folder, 'report.json');
    writeFileSync(join(folder, 'easy.json'), '{"accuracy.top1": {"min": 0}}');
    const { code, err } = await ask('eval', 'plants', 'manifest.csv', '--out', out, '--check', 'easy.json', '--json');
    assert.equal(code, 0, err);
    const report = JSON.parse(readFileSync(out, 'utf8')) as {
      photos: number;
      failed: number;
      rejection: { photos: number };
      targets: unknown[];
    };
    assert.deepEqual([report.photos, report.failed, report.rejection.photos, report.targets.length], [2, 0, 1, 1]);
    writeFileSync(join(folder, 'hard.json'), '{"accuracy.top1": {"min": 1.1}}');
    const missed = await ask('eval', 'plants', 'manifest.csv', '--check', 'hard.json');
    assert.equal(missed.code, 1);
    assert.match(missed.out, /MISSED +accuracy\.top1/);
    assertSaid(await ask('eval', 'plants', 'manifest.csv', '--split', 'none'), 2, /no photo of the split none/);
  });

  void test('a worker that dies is started again, and the service goes on', async () => {
    const before = await sessionOf(url);
    const pid = childPid(child.pid ?? 0);
    process.kill(pid, 'SIGKILL');
    await until('another session', 30_000, async () => {
      const now = await sessionOf(url);
      return now !== null && now !== before ? true : null;
    });
    assert.equal((await ask('predict', 'plants', 'a.jpg')).code, 0);
  });
});

void test('a worker does not outlive an up that was ended by force', { timeout: 90_000 }, async () => {
  const readyFile = join(folder, 'ready.json');
  const env = {
    ...process.env,
    POSTERN_DATA_DIR: join(folder, 'data-2'),
    POSTERN_MODELS_DIR: MODELS,
    POSTERN_HTTP_PORT: '0',
    POSTERN_TUNNEL_PORT: '0',
    POSTERN_DRAIN_MS: '200',
  };
  const child = spawn(process.execPath, [PROGRAM, 'up', '--ready-file', readyFile], {
    cwd: folder,
    env,
    stdio: 'ignore',
  });
  await until('the ready file', 120_000, () => Promise.resolve(existsSync(readyFile) ? true : null));
  const worker = childPid(child.pid ?? 0);
  child.kill('SIGKILL');
  await until('the worker to end', 15_000, () => Promise.resolve(existsSync(`/proc/${worker}`) ? null : true));
});

/** The session of the connected worker `local`; null while there is none. */
async function sessionOf(url: string): Promise<string | null> {
  const { results } = (await (await fetch(`${url}/v1/workers`)).json()) as {
    results: { state: string; session: string }[];
  };
  return results.find(({ state }) => state === 'connected')?.session ?? null;
}

function childPid(parent: number): number {
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').trim().split(' ');
  assert.equal(children.length, 1, `up has the children ${children.join(', ')}`);
  return Number(children[0]);
}

/** An address where nothing listens: a port that the system gave and that was closed again. */
async function closedUrl(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}
