/**
 * The SQLite driver in virtual time: its real statements, ledger, leases and group commit, on one database in memory that
 * stands for the disk. Only the threads and the file are simulated: a group is taken, committed and answered at moments that
 * the seed chooses, the commit may fail, and a process that is killed leaves behind exactly what it had committed.
 */
import { DatabaseSync } from 'node:sqlite';
import type { PosternError } from '../../src/errors.ts';
import type { ReaderCalls, WriterCalls } from '../../src/store/sqlite/calls.ts';
import { createGroupCommit, type WaitingCall } from '../../src/store/sqlite/group-commit.ts';
import type { WriterOptions } from '../../src/store/sqlite/options.ts';
import type { PayloadBlobs } from '../../src/store/payload-blobs.ts';
import { createReaderCalls } from '../../src/store/sqlite/reader-calls.ts';
import type { createRole } from '../../src/store/sqlite/role.ts';
import { MIGRATIONS } from '../../src/store/sqlite/schema.ts';
import { createSqliteStore } from '../../src/store/sqlite/sqlite.ts';
import type { Thread } from '../../src/store/sqlite/thread.ts';
import { toError, toErrorMessage, type ReplyMessage } from '../../src/store/sqlite/wire.ts';
import { createWriterCalls, type BoundCalls } from '../../src/store/sqlite/writer-calls.ts';
import type { Store } from '../../src/store/store.ts';
import { inspectDatabase } from '../crash/inspect.ts';
import { createDiskFaults, SQLITE_IOERR_FSYNC, type DiskFaults, type DiskLimits, type SimDisk } from './disk.ts';
import type { SimProcess } from './process.ts';
import type { World } from './world.ts';

/** Promises of the writer that a test breaks on purpose. */
export interface WriterBugs {
  /** Answers go out when a group was worked, and not when it is committed. */
  readonly answersBeforeCommit?: boolean;
  /** A commit that failed is answered as if it had gone well. */
  readonly hidesErrors?: boolean;
  /** Sums and tags of a transaction that was rolled back stay in memory. */
  readonly remembersRollback?: boolean;
  /** A process that gains the role gives nobody a new lease. */
  readonly renewsNobody?: boolean;
}

export interface SqliteDiskOptions {
  readonly world: World;
  readonly limits: DiskLimits;
  readonly bugs?: WriterBugs;
  /** Wraps the store of every process. */
  readonly sabotage?: (store: Store, db: DatabaseSync) => Store;
}

interface Out {
  readonly resolve: (value: never) => void;
  readonly reject: (error: PosternError) => void;
}

const NO_BLOBS: PayloadBlobs = {
  has: () => Promise.resolve(false),
  put: () => Promise.reject(new Error('the simulation has no large payloads')),
  get: () => Promise.resolve(null),
  removeUnused: () => Promise.resolve(false),
  list: () => Promise.resolve([]),
};
const FINISHED = Promise.resolve();

export function createSqliteDisk({ world, limits, bugs = {}, sabotage }: SqliteDiskOptions): SimDisk {
  const db = new DatabaseSync(':memory:', { enableForeignKeyConstraints: true });
  for (const step of MIGRATIONS) db.exec(step);
  const { random } = world;
  const faults = createDiskFaults(world);
  const flushMs = random.pick([0, 2, 40]);
  const maxGroupCalls = random.pick([1, 5, 512]);
  let holder: SimProcess | null = null;

  /** The lock that the system holds: free in the moment in which its process is dead. */
  const roleOf =
    (process: SimProcess): typeof createRole =>
    (_path, onGain) => {
      let isYielded = false;
      return {
        isHeld(monotonicMs) {
          if (isYielded) return false;
          if (holder === process) return true;
          if (holder?.alive) return false;
          holder = process;
          world.trace(`${process.name} may claim`);
          if (bugs.renewsNobody !== true) onGain(monotonicMs);
          return true;
        },
        yield() {
          isYielded = true;
          if (holder === process) holder = null;
        },
      };
    };

  const openStore = (process: SimProcess): Store =>
    createSqliteStore({
      clock: process.clock,
      path: ':memory:',
      blobs: NO_BLOBS,
      ...limits,
      openThreads: (data) => ({
        writer: createSimWriter({
          world,
          db,
          data,
          process,
          faults,
          flushMs,
          maxGroupCalls,
          bugs,
          role: roleOf(process),
        }),
        reader: createSimReader({ world, db, data, process, faults }),
      }),
    });

  const committed = createSqliteStore({
    clock: world.clock,
    path: ':memory:',
    blobs: NO_BLOBS,
    ...limits,
    openThreads: (data) => ({ writer: refusing(), reader: answeringAtOnce(createReaderCalls(db, data)) }),
  });

  return {
    committed,
    faults,
    inspect: () => inspectDatabase(db),
    open: (process) => sabotage?.(openStore(process), db) ?? openStore(process),
  };
}

function answeringAtOnce(calls: ReaderCalls): Thread<ReaderCalls> {
  return {
    start: () => FINISHED,
    stop: () => FINISHED,
    attach: () => 0,
    call: (name, argument) => Promise.resolve((calls[name] as (argument: unknown) => never)(argument)),
  };
}

function refusing(): Thread<WriterCalls> {
  const refuse = () => Promise.reject(new Error('the observer does not write'));
  return { start: () => FINISHED, stop: () => FINISHED, attach: () => 0, call: refuse };
}

interface SimThread {
  readonly world: World;
  readonly db: DatabaseSync;
  readonly data: WriterOptions;
  readonly process: SimProcess;
  readonly faults: DiskFaults;
}

function createSimReader({ world, db, data, process, faults }: SimThread): Thread<ReaderCalls> {
  const { random } = world;
  const calls = createReaderCalls(db, data);
  let latestAnswerAt = 0;
  return {
    start: () => FINISHED,
    stop: () => FINISHED,
    attach: () => 0,
    call(name, argument) {
      return new Promise((resolve, reject) => {
        // Read at one moment, told at a later one: what it says may be out of date by then.
        process.clock.after(random.next() * 2, () => {
          const error = faults.readError();
          const value = error ? null : (calls[name] as (argument: unknown) => never)(argument);
          latestAnswerAt = Math.max(latestAnswerAt, world.clock.monotonic() + random.next() * 5);
          process.clock.after(latestAnswerAt - world.clock.monotonic(), () => {
            if (error) reject(toError(toErrorMessage(error)));
            else resolve(value as never);
          });
        });
      });
    },
  };
}

interface SimWriter extends SimThread {
  readonly flushMs: number;
  readonly maxGroupCalls: number;
  readonly bugs: WriterBugs;
  readonly role: typeof createRole;
}

function createSimWriter(options: SimWriter): Thread<WriterCalls> {
  const { world, db, data, process, faults, flushMs, maxGroupCalls, bugs } = options;
  const { random } = world;
  const { calls: sound, ledger, leases, role } = createWriterCalls(db, data, options.role);
  const calls = failingAfter(sound, faults);
  const forgetful = bugs.remembersRollback ? { ...ledger, forget: () => undefined } : ledger;
  const commitGroup = createGroupCommit(withFaults(db, faults, bugs.hidesErrors ?? false), {
    calls,
    ledger: forgetful,
    leases,
  });
  const workUncommitted = createGroupCommit(
    withCommit(db, () => db.exec('ROLLBACK')),
    { calls, ledger, leases },
  );
  const commitAndFail = createGroupCommit(
    withCommit(db, () => {
      db.exec('COMMIT');
      throw Object.assign(new Error('disk I/O error'), { errcode: SQLITE_IOERR_FSYNC });
    }),
    { calls, ledger, leases },
  );
  const out = new Map<number, Out>();
  let lastNumber = 0;
  let attached: Uint8Array[] = [];
  let attachedBytes = 0;
  let message: WaitingCall['call'][] = [];
  const waiting: WaitingCall[] = [];
  let isBusy = false;
  let latestAnswerAt = 0;

  /** All calls of one turn are one message, with one buffer. */
  function post(): void {
    const bytes = Buffer.concat(attached);
    const { clock } = world;
    const step = { nowMs: clock.now(), monotonicMs: clock.monotonic(), bytes };
    for (const call of message) waiting.push({ call, step });
    message = [];
    attached = [];
    attachedBytes = 0;
    next();
  }

  function next(): void {
    if (isBusy || waiting.length === 0) return;
    isBusy = true;
    const group = (): WaitingCall[] => waiting.splice(0, maxGroupCalls);
    process.clock.after(random.next() * flushMs, () => write(group()));
  }

  function write(group: readonly WaitingCall[]): void {
    if (faults.takes('before commit')) {
      if (bugs.answersBeforeCommit) answer(workUncommitted(group));
      // A moment later, so that whoever was answered too early has heard of it.
      process.clock.after(0, () => process.kill());
      return;
    }
    if (faults.takes('failed commit that is found')) {
      // What a failed flush left in the log counts only when the process dies before the next commit: so it makes none.
      const replies = commitAndFail(group);
      process.clock.after(random.next() * flushMs, () => answer(replies));
      process.clock.after(flushMs + random.next() * 100, () => process.kill());
      return;
    }
    const replies = commitGroup(group);
    if (faults.kills('after commit', process)) return;
    latestAnswerAt = Math.max(latestAnswerAt, world.clock.monotonic() + random.next() * (flushMs + 1));
    process.clock.after(latestAnswerAt - world.clock.monotonic(), () => {
      answer(replies);
      if (faults.takes('after the answer')) process.clock.after(0, () => process.kill());
    });
    isBusy = false;
    next();
  }

  function answer(replies: readonly ReplyMessage[]): void {
    for (const [number, value, error] of replies) {
      const waiter = out.get(number);
      out.delete(number);
      if (error) waiter?.reject(toError(error));
      else waiter?.resolve(value as never);
    }
  }

  return {
    start: () => FINISHED,
    stop() {
      role.yield();
      return FINISHED;
    },
    attach(bytes) {
      const at = attachedBytes;
      attached.push(bytes);
      attachedBytes += bytes.byteLength;
      return at;
    },
    call(name, argument) {
      lastNumber += 1;
      const number = lastNumber;
      if (message.length === 0) process.defer(post);
      message.push([number, name, argument]);
      return new Promise((resolve, reject) => out.set(number, { resolve, reject }));
    },
  };
}

/** Each call may have changed things, in the database and in memory, before it meets the error. */
function failingAfter(calls: BoundCalls, faults: DiskFaults): BoundCalls {
  type Call = (argument: unknown, step: unknown) => unknown;
  const failing: Record<string, Call> = {};
  for (const [name, call] of Object.entries(calls) as [string, Call][]) {
    failing[name] = (argument, step) => {
      const reply = call(argument, step);
      const error = faults.statementError();
      if (error) throw error;
      return reply;
    };
  }
  return failing as unknown as BoundCalls;
}

/** The database as the group commit sees it: a commit fails when the disk does. */
function withFaults(db: DatabaseSync, faults: DiskFaults, hides: boolean): DatabaseSync {
  const commit = db.prepare('COMMIT');
  return withCommit(db, () => {
    const error = faults.writeError();
    if (error === null) commit.run();
    else if (hides) db.exec('ROLLBACK');
    else throw error;
  });
}

function withCommit(db: DatabaseSync, run: () => void): DatabaseSync {
  return {
    prepare: (sql: string) => (sql === 'COMMIT' ? { run } : db.prepare(sql)),
    exec: (sql: string) => db.exec(sql),
    get isTransaction() {
      return db.isTransaction;
    },
  } as unknown as DatabaseSync;
}
