/**
 * What outlives a gateway process: the disk, with what was committed to it. A process opens a `Store` on it; when that process
 * is killed, its open questions are never answered, and whether they were committed is a matter of the moment.
 */
import { PosternError } from '../../src/errors.ts';
import { createMemoryStore } from '../../src/store/memory.ts';
import type { Store } from '../../src/store/store.ts';
import type { SimProcess } from './process.ts';
import type { World } from './world.ts';

/** Where in the writing a process may be killed. */
export const CRASH_POINTS = [
  'before commit',
  'after commit',
  'after the answer',
  'failed commit that is found',
] as const;
export type CrashPoint = (typeof CRASH_POINTS)[number];

export interface SimDisk {
  /** The store of a process. */
  open(process: SimProcess): Store;
  /** What is committed, seen from outside, at once. Only for reading. */
  readonly committed: Store;
  readonly faults: DiskFaults;
  /** What is wrong with the data itself. */
  inspect(): string[];
}

export interface DiskLimits {
  readonly queueLimitJobs: number;
  readonly resultTtlMs: number;
  readonly idempotencyTtlMs: number;
  readonly waitTtlMs: number;
}

/** What is wrong with a disk, and when. Owner of: which errors come, and at which point the next process dies. */
export interface DiskFaults {
  /** Every write, and every other read, fails until then. */
  failUntil(monotonicMs: number, error: 'io' | 'full'): void;
  /** The next process that reaches this point of its writing is killed there. */
  killAt(point: CrashPoint): void;
  disarm(): void;
  /** Is this point the one? Then whoever asked must be killed there. */
  takes(point: CrashPoint): boolean;
  /** The same, and the process is dead now. */
  kills(point: CrashPoint, process: SimProcess): boolean;
  /** What a commit meets. */
  writeError(): Error | null;
  /** What a statement meets inside a transaction: pages may be read, or written out, before the commit. */
  statementError(): Error | null;
  /** What a read meets. */
  readError(): Error | null;
}

export const SQLITE_IOERR_FSYNC = 1034;
const SQLITE_FULL = 13;

export function createDiskFaults(world: World): DiskFaults {
  let until = -Infinity;
  let kind: 'io' | 'full' = 'io';
  let armed: CrashPoint | null = null;
  let failedReads = 0;
  let failedStatements = 0;
  // As node:sqlite throws them.
  const error = (): Error =>
    kind === 'io'
      ? Object.assign(new Error('disk I/O error'), { errcode: SQLITE_IOERR_FSYNC })
      : Object.assign(new Error('database or disk is full'), { errcode: SQLITE_FULL });
  const fails = (): boolean => world.clock.monotonic() < until;
  function takes(point: CrashPoint): boolean {
    if (armed !== point) return false;
    armed = null;
    world.trace(`killed at: ${point}`);
    return true;
  }

  return {
    failUntil(monotonicMs, error) {
      world.trace(`the disk fails: ${error}`);
      until = monotonicMs;
      kind = error;
    },
    killAt(point) {
      armed = point;
    },
    disarm() {
      armed = null;
      until = -Infinity;
    },
    takes,
    kills(point, process) {
      if (!takes(point)) return false;
      process.kill();
      return true;
    },
    statementError: () => (fails() && ++failedStatements % 3 === 0 ? error() : null),
    writeError: () => (fails() ? error() : null),
    // A full disk can be read; a broken one sometimes.
    readError: () => (fails() && kind === 'io' && ++failedReads % 2 === 0 ? error() : null),
  };
}

/** The memory store, as if it were a disk: each call is a transaction of its own. */
export function createMemoryDisk(world: World, limits: DiskLimits, sabotage?: (store: Store) => Store): SimDisk {
  const { clock, random } = world;
  const committed = createMemoryStore({ clock, ...limits });
  const store = sabotage?.(committed) ?? committed;
  const faults = createDiskFaults(world);

  return {
    committed,
    faults,
    inspect: () => [],
    open(process) {
      let latestAnswerAt = 0;
      /** The writer works in the order of the questions, and its answers come back in that order, some time later. */
      const later = <A extends unknown[], R>(call: (...args: A) => Promise<R>, isWrite: boolean) => {
        return (...args: A): Promise<R> =>
          new Promise((resolve, reject) => {
            if (isWrite && faults.kills('before commit', process)) return;
            const error = isWrite ? faults.writeError() : faults.readError();
            const answer = error ? Promise.reject<R>(new PosternError('storage_failed', error.message)) : call(...args);
            answer.catch(() => undefined);
            if (isWrite && faults.kills('after commit', process)) return;
            const at = clock.monotonic() + (random.chance(0.5) ? 0 : random.next() * 20);
            latestAnswerAt = Math.max(latestAnswerAt, at);
            process.clock.after(latestAnswerAt - clock.monotonic(), () => {
              answer.then(resolve, reject);
              if (isWrite) faults.kills('after the answer', process);
            });
          });
      };
      const write = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => later(call, true);
      const read = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => later(call, false);
      return {
        start: () => Promise.resolve(),
        stop: () => Promise.resolve(),
        durable: true,
        submit: write((jobs) => store.submit(jobs)),
        claim: write((requests) => store.claim(requests)),
        heartbeat: write((session, leaseMs) => store.heartbeat(session, leaseMs)),
        progress: write((updates) => store.progress(updates)),
        settle: write((ends) => store.settle(ends)),
        cancel: write((id) => store.cancel(id)),
        release: write((session, counts) => store.release(session, counts)),
        reconcile: write((session, held) => store.reconcile(session, held)),
        sweep: write((limit) => store.sweep(limit)),
        stopClaiming: () => Promise.resolve(),
        get: read((id) => store.get(id)),
        failedInput: read((id) => store.failedInput(id)),
        dropFailedInputs: write((ids) => store.dropFailedInputs(ids)),
        list: read((request) => store.list(request)),
        counts: read(() => store.counts()),
        oldestWaiting: read(() => store.oldestWaiting()),
        queuePosition: read((id) => store.queuePosition(id)),
        decidedAmong: read((ids) => store.decidedAmong(ids)),
        probe: write(() => store.probe()),
        knownModels: read(() => store.knownModels()),
        rememberModels: write((models) => store.rememberModels(models)),
        deliveries: store.deliveries,
      };
    },
  };
}
