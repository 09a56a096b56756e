/** Reads for this process, and checkpoints beside the writer. */
import { parentPort, workerData } from 'node:worker_threads';
import { openDatabase } from './database.ts';
import type { WriterOptions } from './options.ts';
import { createReaderCalls } from './reader-calls.ts';
import {
  QUIET_LOG,
  toErrorMessage,
  type CallMessage,
  type FromThread,
  type ReplyMessage,
  type ToThread,
} from './wire.ts';

const CACHE_KIB = 8 * 1024;

const port = parentPort!;
const post = (message: FromThread): void => port.postMessage(message);

function serve(options: WriterOptions): void {
  const db = openDatabase({ path: options.path, cacheKib: CACHE_KIB, queryOnly: true });
  const calls = createReaderCalls(db, options);

  function answer([number, name, argument]: CallMessage): ReplyMessage {
    try {
      const handler = (calls as unknown as Record<string, (argument: unknown) => unknown>)[name]!;
      return [number, handler(argument)];
    } catch (error) {
      return [number, null, toErrorMessage(error)];
    }
  }

  port.on('message', (message: ToThread) => {
    if (message.type === 'stop') {
      db.close();
      port.close();
      return;
    }
    post({ type: 'replies', replies: message.calls.map(answer), log: QUIET_LOG });
  });
  post({ type: 'ready' });
}

try {
  serve(workerData as WriterOptions);
} catch (error) {
  post({ type: 'refused', error: toErrorMessage(error) });
}
