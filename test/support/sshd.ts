/**
 * A real sshd on loopback with its own host key and configuration, for a user made for the test. It is started once per
 * connection (`sshd -i`, as inetd would), so that the port is the system's choice and none is lost between asking and binding.
 * Needs root, because only root may make users and become one.
 */
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { lacking, needsProgram } from './needs.ts';

export interface Machine {
  /** `user@name`, for ssh with `sshConfig`. */
  readonly target: string;
  readonly user: string;
  readonly home: string;
  readonly port: number;
  /** A configuration that knows the host, its key, the user's key, and the port given to it. */
  sshConfig(options?: { readonly port?: number; readonly knownHost?: boolean }): string;
  /** Runs a command there as a person would: through ssh. */
  ssh(command: string): Promise<string>;
  remove(): Promise<void>;
}

export function cannotRunSshd(): false | string {
  if (process.getuid?.() !== 0) return lacking('a user for the test cannot be made (that needs root)');
  return needsProgram('sshd', 'ssh', 'ssh-keygen', 'useradd', 'userdel');
}

const SSHD = ['/usr/sbin/sshd', '/usr/local/sbin/sshd', '/usr/bin/sshd'].find((path) => existsSync(path)) ?? 'sshd';
const NAME = 'machine.test';

export async function startMachine(): Promise<Machine> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-sshd-'));
  chmodSync(folder, 0o755);
  const user = `pt${process.pid % 1_000_000}`;
  const home = join(folder, 'home');
  execFileSync('useradd', ['--home-dir', home, '--create-home', '--shell', '/bin/sh', '--user-group', user]);
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, user]).toString())) as [
    number,
    number,
  ];
  // sshd lets nobody in whose password is locked by `!`; `*` is no password either.
  execFileSync('usermod', ['--password', '*', user]);
  const key = (name: string): string => {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', join(folder, name)]);
    return readFileSync(join(folder, `${name}.pub`), 'utf8').trim();
  };
  const hostKey = key('host_key');
  const userKey = key('user_key');
  const keys = join(home, '.ssh/authorized_keys');
  mkdirSync(join(home, '.ssh'), { mode: 0o700 });
  writeFileSync(keys, `${userKey}\n`, { mode: 0o600 });
  for (const path of [join(home, '.ssh'), keys]) chownSync(path, uid, gid);
  // Where sshd shuts its unprivileged half in.
  mkdirSync('/run/sshd', { recursive: true });
  const config = join(folder, 'sshd_config');
  writeFileSync(
    config,
    [
      `HostKey ${join(folder, 'host_key')}`,
      `AllowUsers ${user}`,
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'UsePAM no',
      'PidFile none',
      'MaxSessions 30',
      '',
    ].join('\n'),
  );

  const children = new Set<ChildProcess>();
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    const child = spawn(SSHD, ['-i', '-e', '-f', config], { stdio: [socket, socket, 'ignore'] });
    children.add(child);
    child.once('close', () => children.delete(child));
    // sshd has the connection; our end of it must not keep it open.
    child.once('spawn', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;

  const sshConfig: Machine['sshConfig'] = ({ port: through = port, knownHost = true } = {}) => {
    const known = join(folder, knownHost ? 'known_hosts' : 'known_hosts_empty');
    writeFileSync(known, knownHost ? `${NAME} ${hostKey.split(' ').slice(0, 2).join(' ')}\n` : '');
    const file = join(folder, `ssh_config_${through}_${knownHost}`);
    writeFileSync(
      file,
      [
        `Host ${NAME}`,
        '  HostName 127.0.0.1',
        `  HostKeyAlias ${NAME}`,
        `  Port ${through}`,
        `  User ${user}`,
        `  IdentityFile ${join(folder, 'user_key')}`,
        '  IdentitiesOnly yes',
        `  UserKnownHostsFile ${known}`,
        '  GlobalKnownHostsFile none',
        '',
      ].join('\n'),
    );
    return file;
  };

  return {
    target: `${user}@${NAME}`,
    user,
    home,
    port,
    sshConfig,
    ssh: async (command) =>
      (
        await promisify(execFile)('ssh', ['-F', sshConfig(), '-o', 'BatchMode=yes', NAME, command], {
          timeout: 120_000,
        })
      ).stdout,
    async remove() {
      for (const child of children) child.kill('SIGKILL');
      await new Promise<void>((resolve) => server.close(() => resolve()));
      for (let turns = 0; turns < 100; turns += 1) {
        const pids = processesOf(uid);
        if (pids.length === 0) break;
        for (const pid of pids) {
          try {
            process.kill(pid, 'SIGKILL');
          } catch {
            // It ended meanwhile.
          }
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      execFileSync('userdel', ['--force', user], { stdio: 'ignore' });
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What the test's own user runs still: a supervisor and its instances. */
function processesOf(uid: number): number[] {
  const out = execFileSync('ps', ['-A', '-o', 'pid=,uid='], { encoding: 'utf8' });
  return out
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, owner]) => owner === uid)
    .map(([pid = 0]) => pid);
}
