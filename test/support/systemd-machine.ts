/**
 * A machine with a systemd of its own, on this one: namespaces of their own for processes, mounts, network and the rest, over a
 * file system that is this machine's and keeps what is written in memory. Everything of it is gone with its first process.
 * Needs root. It is reached by a real sshd that runs inside, on standard input and output: its network has no way out.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { lacking, needsProgram } from './needs.ts';

export interface SystemdMachine {
  readonly target: string;
  readonly sshConfig: string;
  ssh(command: string): Promise<string>;
  remove(): Promise<void>;
}

export function cannotBootSystemd(): false | string {
  if (process.getuid?.() !== 0) return lacking('a machine cannot be booted here (that needs root)');
  return needsProgram('systemctl', 'unshare', 'nsenter', 'ip', 'sshd', 'ssh', 'ssh-keygen');
}

const bootScript = (folder: string, seen: readonly string[]): string => `set -eu
cd ${folder}
mkdir ram; mount -t tmpfs -o size=2g tmpfs ram; mkdir ram/up ram/work ram/root
mount -t overlay overlay -o lowerdir=/,upperdir=ram/up,workdir=ram/work ram/root
cd ram/root
mount -t proc proc proc; mount -t sysfs sysfs sys; mount -t tmpfs tmpfs run; mount -t tmpfs tmpfs tmp
mount --rbind /dev dev; mount -t cgroup2 cgroup2 sys/fs/cgroup
ip link set lo up
${seen.map((place) => `mkdir -p .${place}; mount --bind ${place} .${place}`).join('\n')}
# Whatever is installed here by an earlier hand is not there.
rm -rf opt/postern opt/postern-worker var/lib/postern etc/postern etc/systemd/system/postern.service etc/systemd/system/postern-worker.service usr/local/bin/postern
mkdir -p root/.ssh run/sshd
cp ${folder}/key.pub root/.ssh/authorized_keys; chmod 700 root/.ssh; chmod 600 root/.ssh/authorized_keys
cp ${folder}/host_key etc/ssh/test_host_key; chmod 600 etc/ssh/test_host_key
printf '%s\\n' 'HostKey /etc/ssh/test_host_key' 'PermitRootLogin prohibit-password' 'UsePAM no' 'PidFile none' > etc/ssh/test_sshd
container=postern exec chroot . /lib/systemd/systemd --system --unit=multi-user.target --show-status=0
`;

/** Longer than any test of it: should the test be killed, the machine ends by itself. */
const MAX_LIFE_S = 280;
const BOOT_TRIES = 120;

/** With `seen`, folders of this machine as they are, wherever they lie. null: this kernel, or what we run in, does not allow it. */
export async function bootSystemd(seen: readonly string[] = []): Promise<SystemdMachine | null> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-systemd-'));
  for (const name of ['key', 'host_key']) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)]);
  }
  const child = spawn(
    'unshare',
    [
      ...['--fork', '--pid', '--mount', '--uts', '--ipc', '--net', '--cgroup', '--kill-child=KILL'],
      ...['sh', '-c', bootScript(folder, seen)],
    ],
    { stdio: 'ignore' },
  );
  const life = setTimeout(() => child.kill('SIGKILL'), MAX_LIFE_S * 1000);
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const remove = async (): Promise<void> => {
    clearTimeout(life);
    child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  const first = await firstProcess(child.pid ?? 0, isOver);
  const sshConfig = join(folder, 'ssh_config');
  const hostKey = readFileSync(join(folder, 'host_key.pub'), 'utf8').split(' ').slice(0, 2).join(' ');
  writeFileSync(join(folder, 'known_hosts'), `machine.test ${hostKey}\n`);
  writeFileSync(
    sshConfig,
    [
      'Host machine.test',
      '  User root',
      `  IdentityFile ${join(folder, 'key')}`,
      '  IdentitiesOnly yes',
      `  UserKnownHostsFile ${join(folder, 'known_hosts')}`,
      '  GlobalKnownHostsFile none',
      `  ProxyCommand nsenter --target ${first} --mount --uts --ipc --net --pid --root --wd -- /usr/sbin/sshd -i -f /etc/ssh/test_sshd`,
      '',
    ].join('\n'),
  );
  const ssh = async (command: string): Promise<string> => {
    const words = ['-F', sshConfig, '-o', 'BatchMode=yes', 'machine.test', command];
    return (await promisify(execFile)('ssh', words, { timeout: 60_000 })).stdout;
  };
  for (let tries = 0; tries < BOOT_TRIES && !isOver(); tries += 1) {
    // It fails as long as the machine boots, and says `degraded` where a service of this system does not start in it.
    const state = await ssh('systemctl is-system-running || true').catch(() => '');
    if (/^(running|degraded)$/m.test(state)) return { target: 'root@machine.test', sshConfig, ssh, remove };
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  await remove();
  return null;
}

/** The one process below `unshare`, once it is there. */
async function firstProcess(parent: number, isOver: () => boolean): Promise<number> {
  for (let tries = 0; tries < BOOT_TRIES && !isOver(); tries += 1) {
    try {
      const pid = Number(readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').trim().split(' ')[0]);
      if (pid > 0) return pid;
    } catch {
      // It has not started yet, or has ended.
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return 0;
}
