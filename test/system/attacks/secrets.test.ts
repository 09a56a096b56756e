/**
 * A day in the life of a gateway and a worker, at the loudest log level: invited, joined, called, refused, told by webhook,
 * revoked. Then everything that was written to logs and shown by commands, and every line of arguments, is searched for every secret.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PosternSystem, until, untilModel } from '../../support/postern.ts';
import { startWebServer } from '../../support/web-server.ts';

/** The body of a PEM, without its lines: what would be recognised whatever way it was written down. */
const pemBody = (pem: string): string => pem.replace(/-----[^-]+-----|\s/g, '').slice(40, 120);

void test(
  'no secret and no payload stands in a log, an audit entry, or a command line',
  { timeout: 180_000 },
  async (t) => {
    const hook = await startWebServer(t);
    const system = new PosternSystem({
      env: { POSTERN_LOG_LEVEL: 'debug', POSTERN_OUTBOUND_ALLOW: `127.0.0.1:${hook.port}`, POSTERN_OUTBOUND_HTTP: '1' },
    });
    t.after(() => system.remove());
    const gateway = await system.gateway();
    const address = `127.0.0.1:${gateway.tunnelPort}`;
    const invited = system.command('gateway', ['invite', 'gpu-1', '--all-models', '--address', address, '--json']);
    const { token } = JSON.parse(invited) as { token: string };
    const identity = join(system.folder, 'gpu-1');
    const joined = system.command('worker', ['join', token], { POSTERN_IDENTITY_DIR: identity });
    const worker = system.worker(gateway, identity);
    await untilModel(gateway.url, 'echo');

    const secretText = 'a-payload-that-nobody-else-may-read';
    const predict = async (headers: Record<string, string>, model = 'echo'): Promise<Response> => {
      const response = await fetch(`${gateway.url}/v1/models/local/${model}/predictions?token=${secretText}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', prefer: 'wait', ...headers },
        body: JSON.stringify({ input: secretText, webhook: `http://127.0.0.1:${hook.port}/hook?secret=${secretText}` }),
      });
      await response.text();
      return response;
    };
    assert.equal((await predict({})).status, 201);
    await hook.received.find(() => true);
    // What goes wrong is written about most.
    await predict({}, 'missing');
    await predict({ 'content-type': 'image/jpeg' }, 'plants');
    await fetch(`${gateway.url}/v1/predictions/${secretText}`);
    assert.throws(() =>
      system.command('worker', ['join', token], { POSTERN_IDENTITY_DIR: join(system.folder, 'thief') }),
    );

    const made = system.command('gateway', ['keys', 'create', 'ada', '--scope', 'admin', '--json']);
    const { id, key } = JSON.parse(made) as { id: string; key: string };
    const bearer = { authorization: `Bearer ${key}` };
    await until('the key to count', 10_000, async () =>
      (await fetch(`${gateway.url}/v1/models`)).status === 401 ? true : null,
    );
    const secret = (await (await fetch(`${gateway.url}/v1/webhooks/default/secret`, { headers: bearer })).json()) as {
      key: string;
    };
    assert.match(secret.key, /^whsec_/);
    await predict(bearer);
    const commandLines = execFileSync('ps', ['-ww', '-o', 'args=', '-p', `${gateway.pid},${worker.pid}`]).toString();
    const audit = system.command('gateway', ['audit', 'list', '--json']);
    const revoked = system.command('gateway', ['keys', 'revoke', id]) + system.command('gateway', ['revoke', 'gpu-1']);
    await until('the end of the session', 10_000, () =>
      Promise.resolve(worker.log().includes('worker_revoked') ? true : null),
    );
    await gateway.stop();

    const written = { gateway: gateway.log(), worker: worker.log(), audit, revoked, joined, commandLines };
    assert.ok(written.gateway.length > 1_000 && written.worker.length > 500, 'the logs were loud');
    const secrets: Record<string, string> = {
      'the key': key.slice(21),
      'the invitation': token.slice(-40),
      'the payload': secretText,
      'the webhook’s secret': secret.key.slice(6),
    };
    for (const folder of [join(system.folder, 'gateway', 'identity'), identity]) {
      for (const file of readdirSync(folder).filter((name) => name.endsWith('.key'))) {
        secrets[`${folder}/${file}`] = pemBody(readFileSync(join(folder, file), 'utf8'));
      }
    }
    assert.ok(Object.keys(secrets).length >= 6, 'the keys of the authority and of the worker were found');
    for (const [what, value] of Object.entries(secrets)) {
      assert.ok(value.length >= 20, `${what} is long enough to be found`);
      for (const [where, text] of Object.entries(written))
        assert.ok(!text.includes(value), `${what} stands in ${where}`);
    }
  },
);
