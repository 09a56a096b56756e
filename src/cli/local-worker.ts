/**
 * The worker of `postern up`: a child process that joins through the same mutual TLS as one on another machine. Owner of
 * the child; starts it again, later and later, when it ends without having been asked to.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../clock.ts';
import { createService, type Service } from '../service.ts';
import type { Logger } from '../logger.ts';
import { childEnvironment } from './env.ts';

export interface LocalWorkerOptions {
  /** Settings for the child, beside this process's own. */
  readonly settings: Record<string, string>;
  readonly logger: Logger;
  readonly clock: Clock;
  /** How long `stop` waits before the child is ended by force. */
  readonly stopMs: number;
}

const PROGRAM = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));
const FIRST_RESTART_MS = 500;
const LAST_RESTART_MS = 30_000;
/** A child that lived this long was healthy: the next restart is quick again. */
const HEALTHY_MS = 60_000;

export function createLocalWorker({ settings, logger, clock, stopMs }: LocalWorkerOptions): Service {
  let child: ChildProcess | undefined;
  let exited: Promise<void> = Promise.resolve();
  let stopping = false;
  let restartMs = FIRST_RESTART_MS;

  const launch = (): void => {
    if (stopping) return;
    const startedAt = clock.monotonic();
    // Standard output belongs to the parent's banner and JSON line; the log goes to standard error of both.
    const launched = fork(PROGRAM, ['worker'], {
      env: childEnvironment(settings),
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    child = launched;
    exited = new Promise((resolve) => {
      launched.once('error', () => resolve());
      launched.once('exit', (code, signal) => {
        resolve();
        if (stopping) return;
        if (clock.monotonic() - startedAt > HEALTHY_MS) restartMs = FIRST_RESTART_MS;
        logger.warn('worker process ended', { exit_code: code, signal, restart_ms: restartMs });
        clock.after(restartMs, launch);
        restartMs = Math.min(restartMs * 2, LAST_RESTART_MS);
      });
    });
  };

  return createService({
    start() {
      launch();
      return Promise.resolve();
    },
    async stop() {
      stopping = true;
      if (child?.connected === true) child.send('end');
      const force = clock.after(stopMs, () => child?.kill('SIGKILL'));
      await exited;
      force.cancel();
    },
  });
}
