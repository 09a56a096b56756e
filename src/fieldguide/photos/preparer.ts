/**
 * Prepares photos in a process of its own, so that no photo can crash, stall or fill the gateway. Owner of that process: started with the
 * first photo, ended after a while without any, and at once when a photo takes too long.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Clock, Timer } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { createService, type Service } from '../../service.ts';
import type { PreparedPhoto } from './prepare.ts';
import type { PrepareReply, PrepareRequest } from './preparer-messages.ts';

export interface Preparer extends Service {
  /** Throws what `preparePhoto` throws, overloaded when too many wait, and input_invalid for a photo that takes too long. */
  prepare(bytes: Uint8Array): Promise<PreparedPhoto>;
}

const PROGRAM = fileURLToPath(new URL('./preparer-process.ts', import.meta.url));
/** 2 × 150 MB at the worst. */
const MAX_RUNNING = 2;
/** Their bytes are in memory already, counted as bodies. */
const MAX_WAITING = 64;
/** The decoder gives up after 20 s; the first photo also waits for sharp to be loaded. */
const PHOTO_MS = 40_000;
/** sharp takes some 60 MB of memory that a quiet gateway has better use for. */
const IDLE_MS = 60_000;

interface Task {
  readonly bytes: Uint8Array;
  readonly resolve: (photo: PreparedPhoto) => void;
  readonly reject: (error: PosternError) => void;
}

interface Running extends Task {
  readonly deadline: Timer;
}

export interface PreparerOptions {
  readonly clock: Clock;
  /** The path of the process' program. */
  readonly program?: string;
}

export function createPreparer({ clock, program = PROGRAM }: PreparerOptions): Preparer {
  const waiting: Task[] = [];
  const running = new Map<number, Running>();
  let child: ChildProcess | null = null;
  let idle: Timer | null = null;
  let count = 0;
  /** So many of the first that wait were running when the process died: they run alone. */
  let suspects = 0;
  let stopped = false;

  function next(): void {
    while (running.size < (suspects > 0 ? 1 : MAX_RUNNING) && !stopped) {
      const task = waiting.shift();
      if (task === undefined) break;
      idle?.cancel();
      count += 1;
      const id = count;
      const deadline = clock.after(PHOTO_MS, () => overdue(id));
      running.set(id, { ...task, deadline });
      const request: PrepareRequest = { id, bytes: task.bytes };
      child ??= start();
      child.send(request, () => undefined);
    }
    if (running.size > 0 || child === null) return;
    idle?.cancel();
    idle = clock.after(IDLE_MS, end);
  }

  function start(): ChildProcess {
    const started = fork(program, { env: {}, execArgv: [], serialization: 'advanced', stdio: 'ignore' });
    started.on('message', (reply: PrepareReply) => {
      const task = take(reply.id);
      // The last word of a process that was given up.
      if (task === undefined) return;
      if (suspects > 0) suspects -= 1;
      if (reply.type === 'prepared') task.resolve(reply.prepared);
      else task.reject(new PosternError(reply.code, reply.message));
      next();
    });
    const gone = (): void => {
      if (child === started) lost();
    };
    started.on('error', gone);
    started.on('exit', gone);
    // A gateway that has nothing else to do may end.
    started.unref();
    started.channel?.unref();
    return started;
  }

  function take(id: number): Running | undefined {
    const task = running.get(id);
    task?.deadline.cancel();
    running.delete(id);
    return task;
  }

  function end(): void {
    idle?.cancel();
    const ending = child;
    child = null;
    ending?.kill('SIGKILL');
  }

  /** Those beside it are not to blame, as far as anybody knows. */
  function overdue(id: number): void {
    take(id)?.reject(new PosternError('input_invalid', 'the photo takes too long to decode: send a smaller one'));
    if (suspects > 0) suspects -= 1;
    end();
    again();
  }

  /**
   * Of several photos nobody can say which one killed it, and one alone may have come to a process that somebody else had killed: they
   * are tried again, each alone. One with which it dies again is the one.
   */
  function lost(): void {
    child = null;
    if (suspects > 0) {
      suspects -= 1;
      for (const id of [...running.keys()]) {
        take(id)?.reject(new PosternError('not_an_image', 'the photo could not be decoded: send it as a JPEG'));
      }
    }
    again();
  }

  /** What runs, each alone. */
  function again(): void {
    const tasks = [...running.keys()].flatMap((id) => take(id) ?? []);
    waiting.unshift(...tasks);
    suspects += tasks.length;
    next();
  }

  return {
    ...createService({
      start: () => Promise.resolve(),
      stop() {
        stopped = true;
        end();
        const error = new PosternError('draining', 'The gateway stops.', { retryAfterS: 1 });
        for (const id of [...running.keys()]) take(id)?.reject(error);
        for (const task of waiting.splice(0)) task.reject(error);
        return Promise.resolve();
      },
    }),
    prepare(bytes) {
      if (stopped || waiting.length >= MAX_WAITING) {
        const message = 'Too many photos are being prepared now. Try again shortly.';
        return Promise.reject(new PosternError('overloaded', message, { retryAfterS: 2 }));
      }
      return new Promise((resolve, reject) => {
        waiting.push({ bytes, resolve, reject });
        next();
      });
    },
  };
}
