/** Keys as people use them: the commands in one process, the gateway in another, and nothing secret in what either writes. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { PosternSystem, untilModel } from '../../support/postern.ts';

const PROGRAM = new URL('../../../bin/postern.mjs', import.meta.url).pathname;

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function postern(system: PosternSystem, args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  const settings = { ...process.env, POSTERN_DATA_DIR: join(system.folder, 'gateway'), ...env };
  return new Promise((resolve) => {
    execFile(process.execPath, [PROGRAM, ...args], { env: settings, cwd: system.folder }, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
}

/** Asks again until the answer has this status: the gateway looks at its records five times a second. */
async function untilStatus(url: string, headers: Record<string, string>, status: number): Promise<void> {
  for (;;) {
    // A question that is under way while its key ends is cut.
    const response = await fetch(url, { headers }).catch(() => null);
    await response?.text();
    if (response?.status === status) return;
  }
}

void test('beyond loopback a gateway starts with a key, or not at all', { timeout: 60_000 }, async (t) => {
  const system = new PosternSystem({ httpHost: '0.0.0.0' });
  t.after(() => system.remove());
  await assert.rejects(system.gateway(), /make a key first \(postern keys create/);
  assert.equal((await postern(system, ['keys', 'create', 'web'])).code, 0);
  const gateway = await system.gateway();
  assert.equal((await fetch(`http://127.0.0.1:${gateway.httpPort}/v1/models`)).status, 401);
});

void test(
  'a key is made, used, and revoked under a running gateway, and stands in no log',
  { timeout: 120_000 },
  async (t) => {
    const system = new PosternSystem({ env: { POSTERN_LOG_LEVEL: 'debug' } });
    t.after(() => system.remove());
    const gateway = await system.gateway();
    system.worker(gateway, system.issue('gpu'));
    await untilModel(gateway.url, 'echo');

    const made = await postern(system, ['keys', 'create', 'ada', '--scope', 'admin', '--json']);
    assert.equal(made.code, 0, made.err);
    const { id, key } = JSON.parse(made.out) as { id: string; key: string };
    const models = `${gateway.url}/v1/models`;
    await untilStatus(models, {}, 401);
    await untilStatus(models, { authorization: `Bearer ${key}` }, 200);

    // The commands take it from a file or the environment.
    const keyFile = join(system.folder, 'ada.key');
    writeFileSync(keyFile, `${key}\n`, { mode: 0o600 });
    const call = ['models', '--gateway', gateway.url];
    assert.equal((await postern(system, call)).code, 1);
    assert.equal((await postern(system, [...call, '--key-file', keyFile])).code, 0);
    assert.equal((await postern(system, call, { POSTERN_API_KEY: key })).code, 0);
    const mistyped = await postern(system, call, { POSTERN_API_KEY: `${key.slice(0, -1)}_` });
    assert.equal(mistyped.code, 2);

    const login = await fetch(`${gateway.url}/admin/login`, {
      method: 'POST',
      body: JSON.stringify({ key }),
      headers: { 'content-type': 'application/json' },
    });
    const cookie = /=([^;]+)/.exec(login.headers.get('set-cookie') ?? '')?.[1] ?? assert.fail('no cookie');
    const { csrf_token: proof } = (await login.json()) as { csrf_token: string };
    // Requests that go wrong, so that there is something to log.
    for (const headers of [
      { authorization: `Bearer ${key}x` },
      { authorization: `Bearer ${key}` },
      { cookie: `postern-admin=${cookie}` },
    ]) {
      await (await fetch(`${gateway.url}/v1/predictions/none?key=${key}`, { headers })).text();
      await (await fetch(`${gateway.url}/v1/admin/keys`, { method: 'POST', body: '{', headers })).text();
    }
    const broken = connect(gateway.httpPort, '127.0.0.1', () =>
      broken.end(`GET / HTTP/1.1\r\nauthorization: Bearer ${key}\r\n\0`),
    );
    broken.resume();
    await once(broken, 'close');

    const waiting = fetch(`${gateway.url}/v1/predictions?limit=1`, { headers: { authorization: `Bearer ${key}` } });
    assert.equal((await waiting).status, 200);
    const revoked = await postern(system, ['keys', 'revoke', id]);
    assert.equal(revoked.code, 0, revoked.err);
    await untilStatus(models, { authorization: `Bearer ${key}` }, 401);
    await untilStatus(models, { cookie: `postern-admin=${cookie}` }, 401);

    const listed = await postern(system, ['keys', 'list', '--all', '--json']);
    const audit = await postern(system, ['audit', 'list', '--json']);
    assert.match(audit.out, /"action":"key.revoke"/);
    assert.match(audit.out, /"action":"gateway.start"/);
    assert.match((await postern(system, ['audit', 'verify'])).out, /The log is whole/);
    await gateway.stop();
    assert.match((await postern(system, ['audit', 'list', '--json'])).out, /"action":"gateway.stop"/);

    const written = [gateway.log(), listed.out, audit.out, revoked.out, mistyped.err, made.err];
    for (const file of readdirSync(join(system.folder, 'gateway'), { recursive: true }) as string[]) {
      const path = join(system.folder, 'gateway', file);
      if (statSync(path).isFile()) written.push(readFileSync(path, 'latin1'));
    }
    for (const [what, secret] of [
      ['the key', key.slice(21)],
      ['the cookie', cookie],
      ['the token beside the cookie', proof],
    ] as const) {
      for (const text of written) assert.ok(!text.includes(secret), `${what} was written down`);
    }
  },
);
