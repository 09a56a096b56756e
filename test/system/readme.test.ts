/** What the README tells people to type is typed here, against a system started by the README's own command. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { needsProgram } from '../support/needs.ts';
import { until, untilModel } from '../support/postern.ts';

const root = new URL('../..', import.meta.url).pathname;
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const lines = [...readme.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap(([, block = '']) => block.trim().split('\n'));
const startLine = lines.find((line) => line.includes('npm start'));
const run = promisify(execFile);
/** Plants can take a while to load when the machine is busy. */
const READY_MS = 120_000;

interface Ready {
  readonly url: string;
  readonly pid: number;
  readonly models: readonly { readonly name: string; readonly state: string }[];
}

suite('the README', { skip: needsProgram('curl', 'sh'), timeout: 280_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-readme-'));
  let ready: Ready | null = null;
  let ended: Promise<number | null> = Promise.resolve(null);

  before(async () => {
    assert.ok(startLine !== undefined, 'the README has no line with npm start');
    // `npm ci` has been done: the tests run on what it installed. The rest of the line is taken as it is.
    const command = startLine.replace(/^npm ci && /, '').replace(/\s*#.*$/, '');
    assert.equal(command, 'npm start');
    const readyFile = join(folder, 'ready.json');
    const child = spawn('sh', ['-c', `exec ${command} -- --ready-file ${readyFile}`], {
      cwd: root,
      env: { ...process.env, POSTERN_DATA_DIR: join(folder, 'data'), POSTERN_HTTP_PORT: '0', POSTERN_TUNNEL_PORT: '0' },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    ended = new Promise((resolve) => child.once('close', resolve));
    await until('npm start to be ready', READY_MS, () => Promise.resolve(existsSync(readyFile) ? true : null));
    ready = JSON.parse(readFileSync(readyFile, 'utf8')) as Ready;
    await sharp({ create: { width: 640, height: 480, channels: 3, background: '#2f7d3a' } })
      .jpeg()
      .toFile(join(folder, 'photo.jpg'));
  });

  after(async () => {
    if (ready !== null) process.kill(ready.pid, 'SIGTERM');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  });

  /** Runs a line of the README, with the address of this start in place of the default one. */
  const type = async (line: string): Promise<string> => {
    assert.ok(ready !== null);
    const command = line.replaceAll('http://127.0.0.1:8080', ready.url);
    const env = { ...process.env, POSTERN_URL: ready.url, PATH: `${root}node_modules/.bin:${process.env.PATH ?? ''}` };
    const { stdout } = await run('sh', ['-c', command.replace(/^curl /, 'curl -sS --fail-with-body --max-time 60 ')], {
      cwd: folder,
      env,
    });
    return stdout;
  };

  void test('every model of this clone becomes ready after the first command', async () => {
    assert.ok(ready !== null);
    const names = ready.models.map(({ name }) => name);
    assert.ok(names.includes('plants') && names.includes('echo'), names.join(', '));
    // The ready line may come before a model when the machine is very busy.
    for (const name of names) await untilModel(ready.url, name, READY_MS);
  });

  const curls = lines.filter((line) => line.startsWith('curl '));
  for (const line of curls) {
    void test(line, async () => {
      assert.equal(typeof JSON.parse(await type(line)), 'object');
    });
  }

  void test('the first curl line answers what the README shows, by its shape', async () => {
    const [first = ''] = curls;
    const answer = JSON.parse(await type(first)) as Record<string, unknown>;
    const [, block = ''] = /^```json\n([\s\S]*?)^```/m.exec(readme) ?? [];
    const shown = JSON.parse(block) as Record<string, unknown>;
    assert.equal(answer.status, shown.status);
    assertHasShape(answer, shown, 'answer');
  });

  void test('the command lines for callers work', async () => {
    const bin = `${process.execPath} ${join(root, 'bin/postern.mjs')}`;
    const calls = lines.filter((line) => /^npx postern (predict|models|workers)/.test(line));
    assert.equal(calls.length, 4);
    for (const line of calls) assert.notEqual(await type(line.replace('npx postern', bin)), '', line);
  });
});

void test('the commands for two machines set up two machines, as they stand', { timeout: 280_000 }, async (t) => {
  const bin = `${process.execPath} ${join(root, 'bin/postern.mjs')}`;
  /** The line of the README that begins so, without its remark. */
  const said = (command: string): string => {
    const line = lines.find((one) => `${one} `.startsWith(`npx postern ${command} `));
    assert.ok(line !== undefined, `the README does not say npx postern ${command}`);
    return line.replace(/\s+#.*$/, '').replace('npx postern', bin);
  };
  const [there, here] = [mkdtempSync(join(tmpdir(), 'postern-there-')), mkdtempSync(join(tmpdir(), 'postern-here-'))];
  const started: ReturnType<typeof spawn>[] = [];
  t.after(async () => {
    for (const child of started) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGTERM');
      await gone;
    }
    for (const folder of [there, here]) rmSync(folder, { recursive: true, force: true });
  });
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^(POSTERN|TARGET)_/.test(key)));
  const begin = (line: string, cwd: string, env: Record<string, string>): ReturnType<typeof spawn> => {
    const child = spawn('sh', ['-c', `exec ${line}`], {
      cwd,
      env: { ...inherited, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    started.push(child);
    return child;
  };

  // Two machines: two folders with nothing in common but the address.
  const ports = { POSTERN_HTTP_PORT: '0', POSTERN_TUNNEL_PORT: '0', POSTERN_LOG_LEVEL: 'error' };
  const gateway = begin(`${said('gateway')} --json`, there, ports);
  const first = await new Promise<string>((resolve) =>
    gateway.stdout?.once('data', (bytes: Buffer) => resolve(String(bytes))),
  );
  const { url, tunnelPort } = JSON.parse(first) as { url: string; tunnelPort: number };
  const address = `127.0.0.1:${tunnelPort}`;
  const invited = await run('sh', ['-c', said('invite')], {
    cwd: there,
    env: { ...inherited, POSTERN_TUNNEL_ADDRESS: address },
  });
  const printed = invited.stdout.trim();
  // What it prints is the next line of the README, with a token of its own.
  assert.match(printed, /^postern join postern_join_[\w-]+$/);
  assert.equal(
    said('join').replace(/postern_join_.*/, ''),
    printed.replace('postern', bin).replace(/postern_join_.*/, ''),
  );
  await run('sh', ['-c', printed.replace('postern', bin)], { cwd: here, env: inherited });
  const env = { POSTERN_MODELS_DIR: join(root, 'models'), POSTERN_LOG_LEVEL: 'error', POSTERN_URL: url };
  begin(said('worker'), here, env);
  await untilModel(url, 'plants', READY_MS);
  const doctor = await run('sh', ['-c', `${said('doctor')} --json`], { cwd: here, env: { ...inherited, ...env } });
  assert.equal((JSON.parse(doctor.stdout) as { verdict: string }).verdict, 'ok');
});

void test('every file that the README links to exists', () => {
  const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^https?:/.test(target));
  assert.ok(links.length > 5);
  assert.deepEqual(
    links.filter((target) => !existsSync(join(root, target))),
    [],
  );
});

/** Every key that is shown must be there, with a value of the same type; lists are compared by their first element. */
function assertHasShape(actual: unknown, shown: unknown, path: string): void {
  if (Array.isArray(shown)) {
    assert.ok(Array.isArray(actual), path);
    assertHasShape(actual[0], shown[0], `${path}[0]`);
  } else if (typeof shown === 'object' && shown !== null) {
    for (const [key, value] of Object.entries(shown)) {
      assertHasShape((actual as Record<string, unknown> | undefined)?.[key], value, `${path}.${key}`);
    }
  } else {
    assert.equal(typeof actual, typeof shown, path);
  }
}
