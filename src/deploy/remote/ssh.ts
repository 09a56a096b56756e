/**
 * Another machine, reached by the system's own `ssh`: its keys, agents, jump hosts and configuration count as they are. One
 * connection is opened and shared by all commands. Nothing is ever asked (BatchMode), and a host key that is not known is
 * refused, because who answers in the place of the VM would be sent the whole product.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PosternError } from '../../errors.ts';
import { holdScript, runScript } from './child.ts';
import type { Ended, Remote } from './machine.ts';
import { checkTarget, quoted } from './shell.ts';

export interface SshOptions {
  readonly target: string;
  /** A configuration in the place of ~/.ssh/config. */
  readonly configFile?: string;
  /** Remember the key of a host that was never seen, instead of refusing it. One that has changed is always refused. */
  readonly acceptNewHost?: boolean;
}

/** ssh ends with this when it is ssh that failed. */
const SSH_FAILED = 255;

export async function openRemote(options: SshOptions): Promise<Remote> {
  const target = checkTarget(options.target);
  // Short, because the path of a socket has room for 104 characters on some systems.
  const folder = await mkdtemp(join(tmpdir(), 'psh-'));
  const words = [
    ...(options.configFile === undefined ? [] : ['-F', options.configFile]),
    ...['-o', 'BatchMode=yes'],
    ...['-o', `StrictHostKeyChecking=${options.acceptNewHost === true ? 'accept-new' : 'yes'}`],
    ...['-o', 'ControlMaster=auto', '-o', `ControlPath=${folder}/s`, '-o', 'ControlPersist=60'],
    // Dead after 20 s of silence, so that a line that broke ends a deploy and does not hold it for ever.
    ...['-o', 'ConnectTimeout=15', '-o', 'ServerAliveInterval=5', '-o', 'ServerAliveCountMax=4'],
    ...['-o', 'LogLevel=ERROR', '-T'],
  ];
  const start = (script: string, stdin: 'pipe' | 'ignore'): ChildProcess =>
    spawn('ssh', [...words, target, `exec sh -c ${quoted(script)}`], { stdio: [stdin, 'pipe', 'pipe'] });

  const judged = async (ended: Promise<Ended>): Promise<Ended> => {
    const { code, err } = await ended;
    if (code === SSH_FAILED) throw notReached(target, err);
    return ended;
  };
  return {
    target,
    run: (script, options = {}) =>
      judged(runScript(start(script, options.input === undefined ? 'ignore' : 'pipe'), options)),
    hold(script, onLine) {
      const held = holdScript(start(script, 'pipe'), onLine);
      return { ...held, ended: judged(held.ended) };
    },
    async close() {
      const exit = spawn('ssh', [...words, '-O', 'exit', target], { stdio: 'ignore' });
      await new Promise<void>((resolve) => exit.once('close', () => resolve()).once('error', () => resolve()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function notReached(target: string, err: string): PosternError {
  const said = err.trim().split('\n').slice(-2).join(' ').trim();
  return new PosternError(
    'unreachable',
    `${target}: ssh failed${said === '' ? '' : ` (${said})`}. It must connect without a question: try \`ssh -o BatchMode=yes ${target} true\`; a machine that was never seen needs its key checked once, by hand or with --accept-new-host`,
  );
}
