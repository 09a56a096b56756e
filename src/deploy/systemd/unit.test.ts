import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { needsProgram } from '../../../test/support/needs.ts';
import { provisionScript } from '../remote/provision.ts';
import { prepareScript } from '../remote/scripts.ts';
import { GATEWAY_UNIT, unitText, WORKER_UNIT, type GatewayUnit, type WorkerUnit } from './unit.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-unit-'));
after(() => rmSync(folder, { recursive: true, force: true }));

// systemd looks whether the program of a unit is there.
mkdirSync(join(folder, 'current/runtime/bin'), { recursive: true });
symlinkSync(process.execPath, join(folder, 'current/runtime/bin/node'));
const user = userInfo().username;
const gateway: GatewayUnit = { type: 'gateway', dir: folder, work: folder, user };
const worker: WorkerUnit = { type: 'worker', dir: folder, work: folder, user, groups: [], drainS: 30 };

suite('systemd', { skip: needsProgram('systemd-analyze') }, () => {
  const analyze = (name: string, text: string, ...words: string[]): { status: number | null; said: string } => {
    const file = join(folder, name);
    writeFileSync(file, text);
    const { status, stdout, stderr } = spawnSync('systemd-analyze', [...words, file], { encoding: 'utf8' });
    return { status, said: `${stdout}${stderr}` };
  };

  for (const [what, name, unit] of [
    ['the unit of a gateway', GATEWAY_UNIT, gateway],
    ['the unit of a worker', WORKER_UNIT, worker],
    ['the unit of a user’s own worker', WORKER_UNIT, { ...worker, user: null }],
  ] as const) {
    test(`has nothing to say about ${what}`, () => {
      assert.deepEqual(analyze(name, unitText(unit), 'verify'), { status: 0, said: '' });
    });
  }

  test('finds the sandboxes closed: at most 3 of 10 for a gateway, 4.5 for a worker, which needs devices', () => {
    const exposure = (name: string, unit: GatewayUnit | WorkerUnit): number => {
      const { said } = analyze(name, unitText(unit), 'security', '--offline=yes', '--no-pager');
      return Number(/Overall exposure level for \S+: ([\d.]+)/.exec(said)?.[1]);
    };
    assert.ok(exposure(GATEWAY_UNIT, gateway) <= 3);
    assert.ok(exposure(WORKER_UNIT, worker) <= 4.5);
  });
});

test('the shell takes every script that is sent to a machine', () => {
  const scripts = [
    provisionScript('/opt/postern', {
      user: 'postern',
      work: '/var/lib/postern',
      deployKey: 'ssh-ed25519 AAAA ana@laptop',
    }),
    prepareScript('~/postern', 'ana'),
  ];
  for (const script of scripts) execFileSync('sh', ['-n', '-c', script]);
});
