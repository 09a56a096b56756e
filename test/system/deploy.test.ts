/**
 * `postern deploy` to a real sshd on loopback, as a user made for the test: from nothing to serving, and what may go wrong on the
 * way. One machine, one story, in the order in which a user would live it; each test goes on where the one before ended.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, suite, test } from 'node:test';
import { openProxy } from '../support/proxy.ts';
import { makeReleaseSource, type ReleaseSource } from '../support/release-source.ts';
import { cannotRunSshd, startMachine, type Machine } from '../support/sshd.ts';

const PROGRAM = new URL('../../bin/postern.mjs', import.meta.url).pathname;
const skip = cannotRunSshd();

interface Event {
  readonly type: string;
  readonly step?: string;
  readonly text?: string;
  readonly done?: number;
  readonly total?: number;
  readonly release?: string;
  readonly previous?: string | null;
  readonly sent_bytes?: number;
}

interface Run {
  readonly code: number | null;
  readonly events: readonly Event[];
  readonly err: string;
  readonly result: Event;
}

interface Status {
  readonly supervisor: boolean;
  readonly current: string | null;
  readonly previous: string | null;
  readonly lock: { readonly owner: string } | null;
  readonly status: { readonly front: string } | null;
}

suite('postern deploy', { skip, timeout: 280_000 }, () => {
  let machine: Machine;
  let source: ReleaseSource;
  let folder: string;
  let url: string;
  const ids: string[] = [];

  before(async () => {
    machine = await startMachine();
    source = makeReleaseSource();
    folder = mkdtempSync(join(tmpdir(), 'postern-deploy-'));
    writeFileSync(
      join(folder, 'settings.env'),
      'POSTERN_HTTP_PORT=0\nPOSTERN_TUNNEL_HOST=127.0.0.1\nPOSTERN_TUNNEL_PORT=0\nPOSTERN_SOAK_S=300\nPOSTERN_DRAIN_MS=3000\n',
    );
  });
  after(async () => {
    await machine.remove();
    source.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Runs a command of this side to its end. `onEvent` may kill it. */
  const postern = (args: readonly string[], onEvent?: (event: Event, kill: () => void) => void): Promise<Run> =>
    new Promise((resolve) => {
      const child = spawn(process.execPath, [PROGRAM, ...args], {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const events: Event[] = [];
      let err = '';
      child.stderr.setEncoding('utf8').on('data', (chunk: string) => (err += chunk));
      createInterface({ input: child.stdout }).on('line', (line) => {
        const event = JSON.parse(line) as Event;
        events.push(event);
        onEvent?.(event, () => void child.kill('SIGKILL'));
      });
      child.once('close', (code) => resolve({ code, events, err, result: events.at(-1) ?? { type: 'none' } }));
    });
  const deployArgs = (config = machine.sshConfig(), dir = '~/postern'): string[] => [
    ...['deploy', machine.target, '--json', '--dir', dir, '--source', source.folder],
    ...['--settings', join(folder, 'settings.env'), '--ssh-config', config],
  ];
  const there = (...args: string[]): string[] => [
    ...args,
    ...[machine.target, '--dir', '~/postern', '--ssh-config', machine.sshConfig(), '--json'],
  ];
  const status = async (): Promise<Status> => (await postern(there('releases'))).result as unknown as Status;
  const serving = async (): Promise<string | undefined> =>
    (await fetch(`${url}/livez`)).headers.get('x-release')?.split('/')[0];
  const noted = (run: Run, step: string): string =>
    run.events.find((e) => e.type === 'done' && e.step === step)?.text ?? '';

  test('a host whose key is not known is refused, with what to do', async () => {
    const { code, err } = await postern(deployArgs(machine.sshConfig({ knownHost: false })));
    assert.equal(code, 1);
    assert.match(err, /Host key verification failed/);
    assert.match(err, /--accept-new-host/);
  });

  test('a dry run says what it would do and changes nothing', async () => {
    const run = await postern([...deployArgs(), '--dry-run']);
    assert.equal(run.code, 0, run.err);
    assert.ok(run.events.some(({ text }) => text?.includes('would send runtime, packages, app')));
    assert.equal((await machine.ssh('ls')).trim(), '');
  });

  test('an upload whose deploying side is killed goes on where it was', async (t) => {
    const proxy = await openProxy(machine.port);
    t.after(() => proxy.close());
    // After so many bytes the line is silent, so that the kill meets an upload that is under way.
    proxy.onConnection = (relayed) => relayed.endAfter('up', 12 << 20, 'silence');
    const killed = await postern(deployArgs(machine.sshConfig({ port: proxy.port })), (event, kill) => {
      if (event.type === 'bytes' && (event.done ?? 0) >= 8 << 20) kill();
    });
    assert.equal(killed.code, null, killed.err);
    for (const relayed of proxy.connections) relayed.cut();

    const run = await postern(deployArgs());
    assert.equal(run.code, 0, run.err);
    const whole = run.events.find(({ type }) => type === 'bytes')?.total ?? 0;
    assert.match(noted(run, 'upload'), /were there from an earlier try/);
    assert.ok((run.result.sent_bytes ?? 0) < whole - (4 << 20), `${run.result.sent_bytes} of ${whole}`);
    ids.push(run.result.release ?? '');
  });

  test('from nothing to serving: the release answers with its name, and its pages and guides are there', async () => {
    const now = await status();
    assert.deepEqual([now.supervisor, now.current, now.lock], [true, ids[0], null]);
    url = now.status?.front ?? '';
    assert.equal(await serving(), ids[0]);
    assert.equal((await fetch(`${url}/api/guides`)).status, 200);
  });

  test('a second deploy sends what changed, and nobody who calls meanwhile notices', async () => {
    source.write('src/second.ts', '// the second release\n');
    const answers = { good: 0, bad: [] as string[] };
    let over = false;
    const caller = (async () => {
      while (!over) {
        const response = await fetch(`${url}/livez`).catch((error: unknown) => error as Error);
        if (response instanceof Error) answers.bad.push(response.message);
        else if (response.status === 200) answers.good += 1;
        else answers.bad.push(String(response.status));
        if (!(response instanceof Error)) await response.text();
        await new Promise(setImmediate);
      }
    })();
    const run = await postern(deployArgs());
    over = true;
    await caller;
    assert.equal(run.code, 0, run.err);
    assert.deepEqual(answers.bad, []);
    assert.ok(answers.good > 10);
    assert.equal(run.result.previous, ids[0]);
    assert.ok((run.result.sent_bytes ?? Infinity) < 4 << 20, `${run.result.sent_bytes} bytes sent`);
    ids.push(run.result.release ?? '');
    assert.equal(await serving(), ids[1]);
  });

  test('a rollback from here serves the release before', async () => {
    const run = await postern(there('rollback'));
    assert.equal(run.code, 0, run.err);
    assert.equal(await serving(), ids[0]);
    assert.equal((await postern(there('switch', ids[1]!))).code, 0);
    assert.equal(await serving(), ids[1]);
  });

  test('a release that does not start is not switched to, and the message says what serves', async () => {
    source.edit(
      'src/cli/run/gateway.ts',
      '/** Runs',
      "process.stderr.write('this release is broken\\n'); process.exit(3);\n/** Runs",
    );
    const { code, err, events } = await postern(deployArgs());
    assert.equal(code, 1);
    assert.equal(events.at(-1)?.step, 'switch');
    assert.match(err, new RegExp(`${ids[1]} serves`));
    assert.equal(await serving(), ids[1]);
    assert.equal((await status()).lock, null);
    source.edit('src/cli/run/gateway.ts', "process.stderr.write('this release is broken\\n'); process.exit(3);\n", '');
  });

  test('a lock that somebody else holds keeps a deploy out, by name', async () => {
    assert.equal((await postern(there('lock', '--owner', 'ana', '--for', '10m'))).code, 0);
    const { code, err } = await postern(deployArgs());
    assert.equal(code, 1);
    assert.match(err, /ana holds the lock/);
    assert.match(err, new RegExp(`${ids[1]} serves`));
    assert.equal((await postern(there('unlock', '--force'))).code, 0);
  });

  test('a disk without room there is said before anything is sent, and cleaned when it fills meanwhile', async (t) => {
    const mount = (at: string, size: string): void => {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=777`, 'tmpfs', at]);
      t.after(() => execFileSync('umount', ['--lazy', at]));
    };
    await machine.ssh('mkdir small');
    mount(join(machine.home, 'small'), '64m');
    const small = await postern(deployArgs(machine.sshConfig(), '~/small/postern'));
    assert.equal(small.code, 1);
    assert.match(small.err, /MiB free in .*small\/postern: the release needs/);

    source.write('src/third.ts', '// the third release\n');
    mount(join(machine.home, 'postern/incoming'), '1m');
    const { code, err } = await postern(deployArgs());
    assert.equal(code, 1);
    assert.match(err, /No space left on device/);
    assert.equal((await machine.ssh('ls postern/incoming')).replace(/^.*\.lock$/gm, '').trim(), '');
    assert.equal(await serving(), ids[1]);
  });

  test('killed in the middle of a switch, the deploying side leaves no lock, and the next deploy works', async () => {
    const killed = await postern(deployArgs(), (event, kill) => {
      if (event.type === 'note' && event.step === 'switch') kill();
    });
    assert.equal(killed.code, null);
    const run = await postern(deployArgs());
    assert.equal(run.code, 0, run.err);
    assert.equal(await serving(), run.result.release);
    assert.equal((await status()).lock, null);
  });
});
