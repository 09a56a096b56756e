/**
 * The server's process, when the worker starts it: restarted with back-off when it exits, ended together with everything that
 * it started. Its output becomes lines of the log.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Timer } from '../../clock.ts';
import { createLineLog } from '../python/lines.ts';
import type { HttpRunnerOptions } from './options.ts';

const RESTART_MIN_MS = 500;
const RESTART_MAX_MS = 30_000;
/** A process that lived for so long begins to count anew. */
const STABLE_MS = 60_000;
/** Between SIGTERM and SIGKILL. */
const TERM_MS = 5_000;

export interface Command {
  start(): void;
  stop(): Promise<void>;
}

export interface CommandOptions extends Pick<
  HttpRunnerOptions,
  'folder' | 'environment' | 'clock' | 'random' | 'logger'
> {
  readonly run: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly port: string;
  readonly onExit: (reason: string) => void;
}

export function createCommand(options: CommandOptions): Command {
  const { clock, random, logger, port } = options;
  const [program = '', ...args] = options.run.map((word) => word.replaceAll('{port}', port));
  let child: ChildProcess | null = null;
  let gone: Promise<void> = Promise.resolve();
  let restart: Timer | null = null;
  let failures = 0;
  let stopping = false;

  function start(): void {
    restart = null;
    const startedAt = clock.monotonic();
    // It leads a process group of its own, so that a signal reaches its children too, and a terminal's Ctrl-C does not.
    const current = spawn(program, args, {
      cwd: options.folder,
      env: { PYTHONUNBUFFERED: '1', ...options.environment, ...options.env, PORT: port },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    child = current;
    createLineLog(current.stdout, 'stdout', clock, logger);
    const stderr = createLineLog(current.stderr, 'stderr', clock, logger);
    gone = new Promise((resolve) => {
      const onGone = (reason: string): void => {
        resolve();
        if (child !== current) return;
        child = null;
        killGroup(current, 'SIGKILL');
        if (stopping) return;
        failures = clock.monotonic() - startedAt >= STABLE_MS ? 1 : failures + 1;
        const delayMs = Math.min(RESTART_MAX_MS, RESTART_MIN_MS * 2 ** (failures - 1)) * (0.5 + random());
        const last = stderr.last();
        options.onExit(`${program} ended (${reason})${last === '' ? '' : `: ${last.slice(0, 300)}`}`);
        logger.warn('service ended', { reason, failures, delay_ms: Math.round(delayMs) });
        restart = clock.after(delayMs, start);
      };
      current.once('error', (error) => {
        if (current.pid === undefined) onGone(error.message);
      });
      current.once('exit', (code, signal) => onGone(signal === null ? `exit code ${code}` : `signal ${signal}`));
    });
  }

  return {
    start,
    async stop() {
      stopping = true;
      restart?.cancel();
      if (child === null) return;
      const last = child;
      killGroup(last, 'SIGTERM');
      const late = clock.after(TERM_MS, () => killGroup(last, 'SIGKILL'));
      await gone;
      late.cancel();
      killGroup(last, 'SIGKILL');
    },
  };
}

function killGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // Nobody of the group is left.
  }
}
