/** Releases that fail, and processes that are killed: what served before serves, and the next switch works. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { until } from '../support/postern.ts';
import { fillDisk, mountSmall } from '../support/small-disk.ts';
import { PROGRAM, Site } from './site.ts';

const SCHEMA = new URL('../../src/store/sqlite/schema.ts', import.meta.url).href;

function scriptOf(site: Site, name: string, text: string): readonly string[] {
  mkdirSync(site.folder, { recursive: true });
  const file = join(site.folder, `${name}.mjs`);
  writeFileSync(file, text);
  return [process.execPath, file];
}

/** Runs the real gateway after `text` was executed in its process, and in each thread of it. */
function gatewayOf(site: Site, name: string, text: string): readonly string[] {
  const [node = '', file = ''] = scriptOf(site, name, text);
  return [node, '--import', file, PROGRAM];
}

suite('what goes wrong with a release', { timeout: 280_000 }, () => {
  let site: Site;
  let good: string;

  before(async () => {
    site = await Site.make({ env: { POSTERN_SOAK_S: '0', POSTERN_DRAIN_MS: '2000' } });
    good = site.release('a');
    await site.supervise();
    await site.ask('switch', good);
  });
  after(() => site.remove());

  const script = (name: string, text: string): readonly string[] => scriptOf(site, name, text);
  const gatewayAfter = (name: string, text: string): readonly string[] => gatewayOf(site, name, text);

  /** What takes one more step of the store's schema. */
  const withStep = (sql: string): string =>
    `const { MIGRATIONS } = await import(${JSON.stringify(SCHEMA)});\nMIGRATIONS.push(${JSON.stringify(sql)});`;

  async function servesStill(): Promise<void> {
    assert.match((await site.serving()) ?? 'nothing', new RegExp(`^${good}/`));
  }

  async function assertRefused(digit: string, command: readonly string[], why: RegExp): Promise<void> {
    const { code, err } = await site.run('switch', site.release(digit, { command }));
    assert.equal(code, 1);
    assert.match(err, why);
    assert.match(err, new RegExp(`${good} serves, as before`));
    await servesStill();
    const { releases } = await site.status();
    assert.equal(releases[digit.repeat(16)]?.health, 'failed');
  }

  void test('one that does not start is refused with its last words', () =>
    assertRefused(
      '1',
      script('dies', "console.error('no such module'); process.exit(3);"),
      /exit code 3[^]*no such module/,
    ));

  void test('one that cannot be executed is refused', () =>
    assertRefused('2', ['/nowhere/node', PROGRAM], /cannot be started/));

  void test('one that breaks its migration is refused, and the database is as it was', () => {
    const broken = gatewayAfter('migration', withStep('CREATE TABLE half (x); SELECT * FROM absent'));
    return assertRefused('3', broken, /no such table: absent/);
  });

  void test('one that starts and fails its health check is ended, and the one before serves throughout', async () => {
    const sick = gatewayAfter(
      'sick',
      `import { Server } from 'node:http';
const { emit } = Server.prototype;
Server.prototype.emit = function (event, request, response) {
  if (event !== 'request' || request.url !== '/readyz') return Reflect.apply(emit, this, arguments);
  response.writeHead(503).end('the model shelf is empty');
  return true;
};`,
    );
    const id = site.release('d', { command: sick });
    let isOver = false;
    const switching = site.run('switch', id).finally(() => (isOver = true));
    const pid = await until('the new process', 30_000, async () => {
      const { instances } = await site.status();
      return instances.find(({ release }) => release === id)?.pid ?? null;
    });
    let asked = 0;
    for (; !isOver; asked += 1) await servesStill();
    const { code, err } = await switching;
    assert.equal(code, 1);
    assert.match(err, /not ready within 30 s \(503 the model shelf is empty\)/);
    assert.ok(asked > 10, `asked ${asked} times`);
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
    const { releases, instances, current } = await site.status();
    assert.equal(current, good);
    assert.ok(instances.every(({ release }) => release !== id));
    assert.equal(releases[id]?.health, 'failed');
    assert.match(releases[id]?.reason ?? '', /503 the model shelf is empty/);
    await servesStill();
  });

  void test('one whose manifest is wrong, or that is not there, is refused before anything is started', async () => {
    writeFileSync(join(site.deployDir, 'releases', site.release('4'), 'release.json'), '{"format":1}');
    for (const id of ['4'.repeat(16), '5'.repeat(16), 'nonsense']) {
      const { code, err } = await site.run('switch', id);
      assert.equal(code, 1);
      assert.match(err, /release_invalid|cannot be used/);
    }
    await servesStill();
  });

  void test('one that would take the schema from the release that serves is refused', async () => {
    const id = site.release('6', { schema: { store: { steps: 99, oldest: 99 } } });
    const { code, err } = await site.run('switch', id);
    assert.equal(code, 1);
    assert.match(err, /would need a release that knows 99 steps/);
    await servesStill();
  });

  void test('one that adds to the schema can be rolled back from, also to a process that starts anew', async () => {
    const wider = gatewayAfter('wider', withStep('CREATE TABLE later (x); ALTER TABLE job ADD COLUMN later TEXT'));
    await site.ask('switch', site.release('9', { command: wider }));
    await site.ask('rollback');
    await servesStill();
    await site.ask('switch', good);
    await servesStill();
  });

  void test('a lock keeps others out, and its owner in', async () => {
    await site.ask('lock', '--owner', 'ana', '--for', '5m');
    const refused = await site.run('switch', good);
    assert.equal(refused.code, 1);
    assert.match(refused.err, /ana holds the lock/);
    await site.ask('switch', good, '--lock', 'ana');
    assert.equal((await site.run('unlock', '--owner', 'bo')).code, 1);
    await site.ask('unlock', '--owner', 'ana');
  });

  void test('maintenance answers callers, also through a switch, and ends', async () => {
    await site.ask('maintenance', 'on', '--text', 'Back at noon.');
    for (const step of ['before', 'after']) {
      const answer = await fetch(`${site.url}/v1/models`);
      assert.equal(answer.status, 503, step);
      assert.match(await answer.text(), /Back at noon\./);
      assert.equal((await fetch(`${site.url}/livez`)).status, 200);
      if (step === 'before') await site.ask('switch', good);
    }
    await site.ask('maintenance', 'off');
    assert.equal((await fetch(`${site.url}/v1/models`)).status, 200);
  });

  void test('a new one that is killed in the middle of the switch changes nothing, and the next switch works', async () => {
    const slow = site.release('7', {
      command: gatewayAfter('slow', 'await new Promise((go) => setTimeout(go, 20_000));'),
    });
    const switching = site.run('switch', slow);
    const pid = await until('the new process', 30_000, async () => {
      const { instances } = await site.status();
      return instances.find(({ release }) => release === slow)?.pid ?? null;
    });
    process.kill(pid, 'SIGKILL');
    assert.equal((await switching).code, 1);
    await servesStill();
    await site.ask('switch', good);
  });

  void test('a supervisor that is killed leaves what serves serving; the next one finds it, and switches', async () => {
    const before = await site.serving();
    await site.endSupervisor('SIGKILL');
    assert.equal(await site.serving(), before);
    await site.supervise();
    const found = await until('the instance to be found', 30_000, async () => {
      const status = await site.status();
      return status.active === null ? null : status;
    });
    assert.equal(`${good}/${found.active}`, before);
    await site.ask('switch', site.release('b'));
    assert.match((await site.serving()) ?? '', /^b{16}\//);
    good = 'b'.repeat(16);
  });

  void test('an instance that crashes is started again, while callers wait in the queue of the socket', async () => {
    const { instances, active } = await site.status();
    process.kill(instances.find(({ instance }) => instance === active)!.pid, 'SIGKILL');
    const answer = await fetch(`${site.url}/readyz`, { headers: { connection: 'close' } });
    assert.equal(answer.status, 200);
    assert.notEqual(answer.headers.get('x-release'), `${good}/${active}`);
  });

  void test('one that crashes again and again is given up for the one before', async () => {
    const crashing = gatewayAfter('crashes', 'setTimeout(() => process.exit(9), 9_000);');
    const id = site.release('8', { command: crashing });
    await site.ask('switch', id);
    await until('the release before it', 150_000, async () => {
      const { current, releases } = await site.status();
      return current === good && releases[id]?.health === 'failed' ? true : null;
    });
    await servesStill();
  });
});

suite('a release within its soak', { timeout: 120_000 }, () => {
  void test('that crashes gives way at once to the one that is warm', async (t) => {
    const site = await Site.make({ env: { POSTERN_DRAIN_MS: '2000' } });
    t.after(() => site.remove());
    const [old, young] = [site.release('a'), site.release('b')];
    await site.supervise();
    await site.ask('switch', old);
    await site.ask('switch', young);
    const status = await until('the old one to be warm', 60_000, async () => {
      const now = await site.status();
      return now.instances.find(({ instance }) => instance === now.warm)?.phase === 'standby' ? now : null;
    });
    process.kill(status.instances.find(({ instance }) => instance === status.active)!.pid, 'SIGKILL');
    const answer = await fetch(`${site.url}/readyz`, { headers: { connection: 'close' } });
    assert.equal(answer.headers.get('x-release'), `${old}/${status.warm}`);
    assert.equal((await site.status()).releases[young]?.health, 'failed');
  });
});

suite('a disk of releases that is full', { timeout: 180_000 }, () => {
  void test('refuses a switch, before it and in the middle of it; what served serves, and the next one works', async (t) => {
    const site = await Site.make({ env: { POSTERN_SOAK_S: '0', POSTERN_DRAIN_MS: '2000' } });
    mkdirSync(site.deployDir, { recursive: true });
    // A switch wants 256 MiB free: this disk has them until it is filled.
    const cannot = mountSmall(site.deployDir, 300);
    if (cannot !== false) {
      await site.remove();
      t.skip(cannot);
      return;
    }
    t.after(async () => {
      // Processes that end still have files open there.
      await site.end();
      execFileSync('umount', ['--lazy', site.deployDir]);
      await site.remove();
    });
    const old = site.release('a');
    const go = join(site.folder, 'go');
    const young = site.release('b', {
      command: gatewayOf(
        site,
        'waits',
        `import { existsSync } from 'node:fs';
for (let left = 1_000; left > 0 && !existsSync(${JSON.stringify(go)}); left -= 1) await new Promise((next) => setTimeout(next, 20));`,
      ),
    });
    await site.supervise();
    await site.ask('switch', old);
    const before = await site.serving();
    assert.match(before ?? 'nothing', new RegExp(`^${old}/`));
    const filler = join(site.deployDir, 'filler');

    const switching = site.run('switch', young);
    const pid = await until('the new process', 30_000, async () => {
      const { instances } = await site.status();
      return instances.find(({ release }) => release === young)?.pid ?? null;
    });
    fillDisk(filler, 300);
    writeFileSync(go, '');
    const midway = await switching;
    assert.equal(midway.code, 1);
    assert.match(midway.err, /state\.json cannot be written \(ENOSPC/);
    assert.doesNotMatch(midway.err, /not ready yet/);
    assert.match(midway.err, new RegExp(`${old} serves, as before`));
    await until('the new process to be gone', 60_000, async () => {
      const { instances } = await site.status();
      return instances.every((one) => one.pid !== pid) ? true : null;
    });
    assert.deepEqual(
      readdirSync(site.deployDir).filter((name) => name.endsWith('.draft')),
      [],
    );
    // Its log is on that disk too, and it has something to say: it goes on without the line.
    fillDisk(join(site.deployDir, 'logs', `${old}.log`), 300);
    const stranger = connect(site.tunnelPort, '127.0.0.1', () => stranger.end('no worker of yours\r\n'));
    await once(
      stranger.resume().on('error', () => undefined),
      'close',
    );
    for (let asked = 0; asked < 20; asked += 1) assert.equal(await site.serving(), before);

    const early = await site.run('switch', young);
    assert.equal(early.code, 1);
    assert.match(early.err, /has 0 MiB free, and a switch wants 256 MiB/);
    const status = await site.status();
    assert.equal(status.current, old);
    assert.equal(`${old}/${status.active}`, before);

    rmSync(filler);
    await site.ask('switch', young);
    assert.match((await site.serving()) ?? 'nothing', new RegExp(`^${young}/`));
  });
});
