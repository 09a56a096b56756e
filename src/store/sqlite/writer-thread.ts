/**
 * The one writer of this process: takes the calls that wait, commits them together, replies. It also sees to it that the
 * write-ahead log does not grow without end: it asks for checkpoints, which the reader's thread makes beside it, and makes
 * the last part of one itself, because only a log that is copied to its end is begun again from its start.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { openDatabase } from './database.ts';
import { createGroupCommit, type WaitingCall } from './group-commit.ts';
import type { WriterOptions } from './options.ts';
import { createWriterCalls } from './writer-calls.ts';
import { toErrorMessage, type FromThread, type LogState, type ToThread } from './wire.ts';

/** Calls in one transaction: it shall not last longer than some ms, because everything that comes meanwhile waits. */
const MAX_GROUP_CALLS = 512;
const CACHE_KIB = 32 * 1024;
/** Pages of 4 KiB in the log that are not in the file yet: 4 MiB, some ms of work for the reader's thread. */
const CHECKPOINT_PAGES = 1_000;
/** At this many pages (16 MiB) the log is begun again as soon as at most `LAST_PAGES` are left to copy. */
const RESTART_PAGES = 4_000;
const LAST_PAGES = 512;
/** At this many (128 MiB), whatever it costs: the disk has less room than time. */
const FORCE_PAGES = 32_000;

const port = parentPort!;
const post = (message: FromThread): void => port.postMessage(message);

function serve(options: WriterOptions): void {
  const db = openDatabase({ path: options.path, cacheKib: CACHE_KIB });
  const { calls, ledger, leases, role } = createWriterCalls(db, options);
  const commitGroup = createGroupCommit(db, { calls, ledger, leases });
  const logSize = db.prepare('PRAGMA wal_checkpoint(NOOP)');
  const checkpoint = db.prepare('PRAGMA wal_checkpoint(PASSIVE)');
  let waiting: WaitingCall[] = [];
  let isStopping = false;

  function take(message: ToThread): void {
    if (message.type === 'stop') isStopping = true;
    else {
      const step = { ...message.moment, bytes: message.bytes };
      for (const call of message.calls) waiting.push({ call, step });
    }
  }

  function tendLog(): LogState {
    try {
      const { log, checkpointed } = logSize.get() as { log: number; checkpointed: number };
      const left = log - checkpointed;
      if (left > 0 && (log >= FORCE_PAGES || (log >= RESTART_PAGES && left <= LAST_PAGES))) checkpoint.get();
      return { wantsCheckpoint: left >= CHECKPOINT_PAGES, trouble: null };
    } catch (error) {
      return { wantsCheckpoint: false, trouble: toErrorMessage(error).message };
    }
  }

  function stop(): void {
    role.yield();
    db.close();
    port.close();
  }

  /** Whatever has arrived by now; returns how many calls wait. */
  function takeAll(): number {
    for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) take(next.message as ToThread);
    return waiting.length;
  }

  port.on('message', (first: ToThread) => {
    if (isStopping) return;
    take(first);
    while (takeAll() > 0) {
      const group = waiting.slice(0, MAX_GROUP_CALLS);
      waiting = waiting.slice(MAX_GROUP_CALLS);
      const replies = commitGroup(group);
      post({ type: 'replies', replies, log: tendLog() });
    }
    if (isStopping) stop();
  });
  post({ type: 'ready' });
}

try {
  serve(workerData as WriterOptions);
} catch (error) {
  post({ type: 'refused', error: toErrorMessage(error) });
}
