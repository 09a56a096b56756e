/** `postern deploy --provision` on a machine with a systemd of its own: bare before, serving afterwards, and the same again. */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { makeReleaseSource } from '../support/release-source.ts';
import { until } from '../support/postern.ts';
import { lacking } from '../support/needs.ts';
import { bootSystemd, cannotBootSystemd } from '../support/systemd-machine.ts';

const PROGRAM = new URL('../../bin/postern.mjs', import.meta.url).pathname;

void test(
  'a bare machine is made to serve by one command, as a unit in a sandbox, and a second time changes nothing',
  { skip: cannotBootSystemd(), timeout: 280_000 },
  async (t) => {
    const machine = await bootSystemd();
    if (machine === null) return t.skip(lacking('a systemd cannot be booted in namespaces here'));
    const source = makeReleaseSource();
    const folder = mkdtempSync(join(tmpdir(), 'postern-provision-'));
    t.after(async () => {
      await machine.remove();
      source.remove();
      rmSync(folder, { recursive: true, force: true });
    });
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'ci', '-f', join(folder, 'deploy')]);
    const deploy = async (): Promise<string> => {
      const words = ['deploy', machine.target, '--provision', '--source', source.folder];
      const more = ['--ssh-config', machine.sshConfig, '--deploy-key', join(folder, 'deploy.pub')];
      return (await promisify(execFile)(process.execPath, [PROGRAM, ...words, ...more], { cwd: folder })).stdout;
    };

    const first = await deploy();
    for (const made of [
      'user postern',
      'folder /opt/postern',
      'unit postern.service',
      'command /usr/local/bin/postern',
    ]) {
      assert.ok(first.includes(made) && !first.includes(`${made} (as before)`), made);
    }
    assert.match(first, /workers dial port 37373/);
    const id = /([0-9a-f]{16}) serves on/.exec(first)?.[1];
    const answer = await machine.ssh('curl -si http://127.0.0.1:8080/livez');
    assert.match(answer, new RegExp(`x-release: ${id}/`));
    // As whoever logs in, by the command that was installed; it becomes the user of the gateway by itself.
    assert.match(await machine.ssh('postern releases'), new RegExp(`${id} .* current`));
    const user = await machine.ssh('ps -o user= -p $(systemctl show -p MainPID --value postern)');
    assert.equal(user.trim(), 'postern');
    assert.match(await machine.ssh('cat /var/lib/postern/.ssh/authorized_keys'), /^restrict ssh-ed25519 /);

    // The supervisor dies; what serves goes on, and the next supervisor, started by systemd, finds it.
    const supervisor = await machine.ssh('systemctl show -p MainPID --value postern');
    await machine.ssh(`kill -9 ${supervisor.trim()}`);
    assert.match(await machine.ssh('curl -si http://127.0.0.1:8080/livez'), new RegExp(`x-release: ${id}/`));
    await until('another supervisor', 60_000, async () => {
      const { supervisor: runs } = JSON.parse(await machine.ssh('postern releases --json')) as { supervisor: boolean };
      return runs ? true : null;
    });

    const second = await deploy();
    for (const there of ['user postern', 'folder /opt/postern', 'unit postern.service', 'key of whoever deploys']) {
      assert.ok(second.includes(`${there} (as before)`), there);
    }
    assert.match(second, /nothing to send: every layer is there/);
    assert.equal(await machine.ssh('systemctl is-enabled postern'), 'enabled\n');
  },
);
