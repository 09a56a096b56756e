/**
 * One thread, seen from the driver's side: calls become promises. All calls of one turn of the event loop travel in one
 * message, with their payloads in one buffer of it. Owner of the calls that are out.
 */
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { toError, type CallMessage, type FromThread, type LogState, type ToThread } from './wire.ts';

/** What a thread answers to: each function takes one argument. */
type CallTable<T> = { [K in keyof T]: (argument: never) => unknown };

export interface Thread<T extends CallTable<T>> {
  start(): Promise<void>;
  call<K extends keyof T & string>(name: K, argument: Parameters<T[K]>[0]): Promise<ReturnType<T[K]>>;
  /** Bytes that shall travel with the next call: where they will be in the message's buffer. Call in the same turn. */
  readonly attach: (bytes: Uint8Array) => number;
  /** Finishes what was called, closes the file, ends the thread. */
  stop(): Promise<void>;
}

export interface ThreadOptions {
  readonly file: URL;
  readonly data: object;
  readonly clock: Clock;
  readonly onLog: (log: LogState) => void;
}

interface Out {
  readonly resolve: (value: never) => void;
  readonly reject: (error: PosternError) => void;
}

/** More than any gateway has callers; each one is some hundred bytes here. */
const MAX_CALLS_OUT = 200_000;
const NO_BYTES = new Uint8Array(0);

export function createThread<T extends CallTable<T>>({ file, data, clock, onLog }: ThreadOptions): Thread<T> {
  const out = new Map<number, Out>();
  let worker: Worker | null = null;
  let exited: Promise<void> = Promise.resolve();
  let broken: PosternError | null = null;
  let lastNumber = 0;
  let calls: CallMessage[] = [];
  let parts: Uint8Array[] = [];
  let partBytes = 0;
  let isScheduled = false;

  function start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const thread = new Worker(file, { workerData: data });
      worker = thread;
      exited = new Promise((done) => thread.once('exit', () => done()));
      thread.on('message', (message: FromThread) => {
        if (message.type === 'replies') onReplies(message);
        else if (message.type === 'ready') resolve();
        else reject(toError(message.error));
      });
      const onEnd = (why: string): void => {
        broken = new PosternError('storage_failed', `the thread of the store ended: ${why}`);
        reject(broken);
        for (const { reject: fail } of out.values()) fail(broken);
        out.clear();
      };
      thread.once('error', (error) => onEnd((error as Error).message));
      thread.once('exit', () => onEnd('it was stopped'));
    });
  }

  function onReplies({ replies, log }: Extract<FromThread, { type: 'replies' }>): void {
    for (const [number, value, error] of replies) {
      const waiting = out.get(number);
      out.delete(number);
      if (error) waiting?.reject(toError(error));
      else waiting?.resolve(value as never);
    }
    if (log.wantsCheckpoint || log.trouble !== null) onLog(log);
  }

  function flush(): void {
    isScheduled = false;
    if (calls.length === 0) return;
    const bytes = partBytes === 0 ? NO_BYTES : new Uint8Array(partBytes);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.byteLength;
    }
    const moment = { nowMs: clock.now(), monotonicMs: clock.monotonic() };
    const message: ToThread = { type: 'calls', calls, moment, bytes };
    calls = [];
    parts = [];
    partBytes = 0;
    worker?.postMessage(message, bytes.byteLength === 0 ? [] : [bytes.buffer]);
  }

  return {
    start,
    call(name, argument) {
      if (broken || !worker) {
        return Promise.reject(broken ?? new PosternError('storage_failed', 'the store is not open'));
      }
      if (out.size >= MAX_CALLS_OUT) {
        return Promise.reject(new PosternError('overloaded', 'the store has too many calls waiting: try again later'));
      }
      const number = (lastNumber += 1);
      calls.push([number, name, argument]);
      if (!isScheduled) {
        isScheduled = true;
        // After the promises of this turn: all callers that an earlier reply woke are in the same message.
        process.nextTick(flush);
      }
      return new Promise((resolve, reject) => out.set(number, { resolve, reject }));
    },
    attach(bytes) {
      const at = partBytes;
      parts.push(bytes);
      partBytes += bytes.byteLength;
      return at;
    },
    async stop() {
      // What comes from now on would not be answered.
      flush();
      broken ??= new PosternError('storage_failed', 'the store is closed');
      worker?.postMessage({ type: 'stop' } satisfies ToThread);
      await exited;
    },
  };
}
