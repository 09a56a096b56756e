/**
 * The log of the shared control records, seen from the thread that asks. `ask` waits for its answer, for a bounded time: a
 * record is rare, and whoever writes one waits for a disk otherwise. `read` does not wait.
 */
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { PosternError } from '../../errors.ts';
import type { Secret } from '../../secret.ts';
import type { Answer, News, Numbered, Request, ThreadData } from './wire.ts';

export interface ControlLog {
  /** Throws storage_failed when there is no answer within {@link WAIT_MS}, or none that can be used. */
  ask(request: Request): Exclude<Answer, { type: 'failed' }>;
  /** What a replica at `position` lacks. Rejects like `ask`. */
  read(position: number): Promise<News>;
  close(): void;
}

/** Connecting (3 s) and one statement (2 s), and then whoever waits is told. */
const WAIT_MS = 6_000;
/** After it could not be reached: nobody waits again until a question that nobody waits for was answered, or this is over. */
const REST_MS = 5_000;

export function openControlLog(url: Secret, monotonic: () => number): ControlLog {
  const { port1: port, port2 } = new MessageChannel();
  const signal = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const workerData = { url: url.reveal(), port: port2, signal } satisfies ThreadData;
  const thread = new Worker(new URL('./log-thread.ts', import.meta.url), { workerData, transferList: [port2] });
  thread.unref();
  port.unref();
  const reads = new Map<number, { resolve: (news: News) => void; reject: (error: PosternError) => void }>();
  let lastNumber = 0;
  let restUntil = -Infinity;

  const failure = (message: string): PosternError =>
    new PosternError('storage_failed', `the control records in PostgreSQL cannot be reached: ${message}`);

  thread.on('message', ({ number, body }: Numbered<Answer>) => {
    const waiting = reads.get(number);
    reads.delete(number);
    if (body.type === 'news') {
      restUntil = -Infinity;
      waiting?.resolve(body.news);
    } else waiting?.reject(failure(body.type === 'failed' ? body.message : 'another answer came'));
  });
  thread.on('error', (error: Error) => {
    for (const { reject } of reads.values()) reject(failure(error.message));
    reads.clear();
  });

  function ask(request: Request): Exclude<Answer, { type: 'failed' }> {
    if (monotonic() < restUntil) throw failure('it could not be a moment ago, and is tried in the background');
    lastNumber += 1;
    const number = lastNumber;
    const until = monotonic() + WAIT_MS;
    Atomics.store(signal, 0, 0);
    port.postMessage({ number, body: request } satisfies Numbered<Request>);
    for (;;) {
      const left = until - monotonic();
      if (left <= 0 || Atomics.wait(signal, 0, 0, left) === 'timed-out') {
        restUntil = monotonic() + REST_MS;
        // It may have the right to write by then, and nobody would use it.
        if (request.type === 'begin') {
          port.postMessage({ number: (lastNumber += 1), body: { type: 'abort' } } satisfies Numbered<Request>);
        }
        throw failure('there was no answer in time');
      }
      Atomics.store(signal, 0, 0);
      for (let got = receiveMessageOnPort(port); got !== undefined; got = receiveMessageOnPort(port)) {
        const answer = got.message as Numbered<Answer>;
        // An older one is the answer to a question that nobody waits for any more.
        if (answer.number !== number) continue;
        if (answer.body.type !== 'failed') return answer.body;
        if (answer.body.code === 'config_invalid') throw new PosternError('config_invalid', answer.body.message);
        restUntil = monotonic() + REST_MS;
        throw failure(answer.body.message);
      }
    }
  }

  return {
    ask,
    read(position) {
      lastNumber += 1;
      const number = lastNumber;
      return new Promise((resolve, reject) => {
        reads.set(number, { resolve, reject });
        thread.postMessage({ number, body: { type: 'read', position } } satisfies Numbered<Request>);
      });
    },
    close() {
      port.close();
      void thread.terminate();
      for (const { reject } of reads.values()) reject(failure('it was closed'));
      reads.clear();
    },
  };
}
