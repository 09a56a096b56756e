/** How a process of the chain will end: decided before it starts, because a point must be named before it can be reached. */
import { join } from 'node:path';
import type { Launch } from '../support/postern.ts';
import { GATEWAY_POINTS, KILL_AT, WORKER_POINTS, type KillPoint } from './points.ts';

export type Ending =
  /** From outside, at a random moment. */
  | { readonly type: 'moment' }
  /** By itself, at the nth passage of a named point. */
  | { readonly type: 'point'; readonly point: KillPoint; readonly passage: number }
  /** By strace, when it is about to make a system call for the nth time. */
  | { readonly type: 'syscall'; readonly what: string; readonly args: readonly string[] };

export interface Endings {
  gateway(): Ending;
  worker(): Ending;
}

const PRELOAD = join(import.meta.dirname, 'kill-at.ts');
/** Passages at most: reached within a second or so of load. */
const MAX_PASSAGE = 200;
/** Of what happens once in a while. */
const MAX_RARE_PASSAGE = 4;
const RARE: ReadonlySet<KillPoint> = new Set<KillPoint>([
  'before a checkpoint',
  'after a checkpoint',
  'before a payload gets its name',
  'after a payload gets its name',
  'before a file is flushed',
  'after a file is flushed',
]);

export function createEndings(options: {
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logPath: string;
  readonly hasStrace: boolean;
}): Endings {
  const { random, logPath, hasStrace } = options;
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  /** Small numbers as often as large ones. */
  const passage = (max: number): number => Math.floor(max ** random());
  const onLog = ['-P', logPath];
  const syscalls = [
    { what: 'the log is about to be written', calls: 'pwrite64', of: onLog },
    { what: 'the log is written and about to be flushed', calls: 'fsync,fdatasync', of: onLog },
    { what: 'something is about to be written', calls: 'write,writev,sendmsg', of: [] },
    { what: 'it is about to wait', calls: 'epoll_wait,epoll_pwait', of: [] },
  ];

  function ending(points: readonly KillPoint[], traced: boolean): Ending {
    const draw = random();
    if (draw < 0.55) {
      const point = pick(points);
      return { type: 'point', point, passage: passage(RARE.has(point) ? MAX_RARE_PASSAGE : MAX_PASSAGE) };
    }
    if (draw > 0.7 || !traced || !hasStrace) return { type: 'moment' };
    const { what, calls, of } = pick(syscalls);
    const when = passage(MAX_PASSAGE);
    const args = ['-f', '-qq', '-o', '/dev/null', ...of, '-e', `trace=${calls}`];
    return { type: 'syscall', what, args: [...args, '-e', `inject=${calls}:signal=SIGKILL:when=${when}`] };
  }

  return { gateway: () => ending(GATEWAY_POINTS, true), worker: () => ending(WORKER_POINTS, false) };
}

/** What must be said at its start. */
export function launchFor(ending: Ending): Launch {
  switch (ending.type) {
    case 'moment':
      return {};
    case 'point':
      return {
        env: { NODE_OPTIONS: `--import=${PRELOAD}`, [KILL_AT]: `${ending.point}:${ending.passage}` },
      };
    case 'syscall':
      return { prefix: ['strace', ...ending.args] };
  }
}

export function nameOf(ending: Ending): string {
  return ending.type === 'moment' ? 'at any moment' : ending.type === 'point' ? ending.point : ending.what;
}
