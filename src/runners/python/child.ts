/**
 * The process of one instance: started, connected, heard, and ended together with everything that it started. It leads a
 * process group of its own, so a signal to the group ends its children too, and a terminal's Ctrl-C does not reach it. When
 * this worker dies, the pipe at descriptor 3 closes, and the process group ends itself (`python/postern/_process.py`).
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { isAbsolute, join, resolve as resolvePath } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { PosternError } from '../../errors.ts';
import { createLineLog } from './lines.ts';
import type { PythonOptions } from './options.ts';

/** The interpreter and this package; on a cold disk some seconds. */
const START_MS = 60_000;
const PACKAGE = fileURLToPath(new URL('../../../python', import.meta.url));

export interface PythonChild {
  readonly pid: number;
  /** Where it listens. It takes one connection. */
  readonly socketPath: string;
  /** Resolves when the process is gone, with what to tell of it. */
  readonly exited: Promise<string>;
  /** Ends it and all that it started. */
  kill(): void;
  /** The socket's folder is needed no more. */
  forgetSocket(): Promise<void>;
}

/** Resolves when the process listens. Rejects with model_invalid and the reason. */
export async function startChild(folder: string, options: PythonOptions): Promise<PythonChild> {
  const program = findInterpreter(options.interpreter, folder);
  // Readable by this user only (0700): who can open the socket can run the model.
  const socketFolder = await mkdtemp(join(tmpdir(), 'postern-python-'));
  const socketPath = join(socketFolder, 'socket');
  const forgetSocket = (): Promise<void> => rm(socketFolder, { recursive: true, force: true });
  try {
    return { ...(await listen(program, socketPath, folder, options)), socketPath, forgetSocket };
  } catch (thrown) {
    await forgetSocket();
    throw thrown;
  }
}

async function listen(
  program: string,
  socketPath: string,
  folder: string,
  options: PythonOptions,
): Promise<Pick<PythonChild, 'pid' | 'exited' | 'kill'>> {
  const { environment, clock, logger } = options;
  const path = environment.PYTHONPATH === undefined ? PACKAGE : `${PACKAGE}:${environment.PYTHONPATH}`;
  const child = spawn(program, ['-m', 'postern', 'serve', '--socket', socketPath], {
    cwd: folder,
    env: { PYTHONUNBUFFERED: '1', ...environment, PYTHONPATH: path },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    detached: true,
  });
  createLineLog(child.stdout!, 'stdout', clock, logger);
  const stderr = createLineLog(child.stderr!, 'stderr', clock, logger);
  const lifeline = child.stdio[3] as Readable;
  lifeline.on('error', () => undefined);

  const kill = (): void => killGroup(child);
  const exited = untilGone(child).then((reason) => {
    // What it started itself must not outlive it.
    kill();
    lifeline.destroy();
    return reason;
  });
  const { promise: overdue, resolve: giveUp } = Promise.withResolvers<string>();
  const timer = clock.after(START_MS, () => giveUp(`it did not start within ${START_MS / 1_000} s`));
  const listening = new Promise<null>((resolve) => lifeline.once('data', () => resolve(null)));
  const problem = await Promise.race([listening, exited, overdue]);
  timer.cancel();
  if (problem === null) return { pid: child.pid!, exited, kill };
  kill();
  await exited;
  const last = stderr.last();
  throw new PosternError('model_invalid', `${program} could not be started: ${problem}${last && ` (${last})`}`);
}

/** Resolves with the reason, for people; never rejects. */
function untilGone(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => {
      if (child.pid === undefined) resolve(reasonOf(error));
    });
    child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
  });
}

function reasonOf(error: NodeJS.ErrnoException): string {
  return error.code === 'EACCES' ? 'it is not executable' : error.message;
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody of the group is left.
  }
}

/** Throws model_invalid when a path leads nowhere. A bare name is looked for in PATH when it is started. */
export function findInterpreter(interpreter: string, folder: string): string {
  if (!interpreter.includes('/')) return interpreter;
  const path = isAbsolute(interpreter) ? interpreter : resolvePath(folder, interpreter);
  const found = statSync(path, { throwIfNoEntry: false });
  const program = found?.isDirectory() ? join(path, 'bin', 'python') : path;
  if (found?.isDirectory() ? statSync(program, { throwIfNoEntry: false }) : found) return program;
  throw new PosternError(
    'model_invalid',
    `there is no Python at ${program}: python.interpreter (or POSTERN_PYTHON) names a program, or the folder of a virtual environment`,
  );
}
