/** A child process that runs a script: what it is fed, what it says, how it ends. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { PosternError } from '../../errors.ts';
import type { Ended, Held, RemoteOptions } from './machine.ts';

const MAX_OUT_BYTES = 4 << 20;
const MAX_ERR_CHARS = 8_000;

export async function runScript(child: ChildProcess, { input, onLine, signal }: RemoteOptions): Promise<Ended> {
  const abort = (): void => void child.kill('SIGTERM');
  signal?.addEventListener('abort', abort, { once: true });
  try {
    const ended = ending(child, onLine);
    // Feeding may fail before the end is waited for; the end then says why.
    ended.catch(() => undefined);
    if (input !== undefined) await feed(child, input);
    return await ended;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

export function holdScript(child: ChildProcess, onLine: (line: string) => void): Held {
  // Who has ended cannot be written to; its end says so.
  child.stdin?.on('error', () => undefined);
  return {
    ended: runScript(child, { onLine }),
    say: (line) => void child.stdin?.write(`${line}\n`),
    release: () => void child.stdin?.end(),
  };
}

/** A far side that stopped reading says itself why, by its exit code. */
async function feed(child: ChildProcess, input: Readable | string): Promise<void> {
  if (child.stdin === null) return;
  if (typeof input === 'string') {
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    return;
  }
  await pipeline(input, child.stdin).catch((error: unknown) => {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EPIPE' && code !== 'ECONNRESET' && code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  });
}

function ending(child: ChildProcess, onLine?: (line: string) => void): Promise<Ended> {
  return new Promise((resolve, reject) => {
    let out = '';
    let err = '';
    if (onLine !== undefined && child.stdout !== null) createInterface({ input: child.stdout }).on('line', onLine);
    else {
      child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
        out += chunk;
        if (out.length > MAX_OUT_BYTES) child.kill('SIGTERM');
      });
    }
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (err = (err + chunk).slice(-MAX_ERR_CHARS)));
    child.once('error', (error) => {
      reject(new PosternError('config_invalid', `${child.spawnfile} cannot be run (${error.message}): install it`));
    });
    child.once('close', (code) => {
      // Ended by a signal: as ssh says it of itself.
      resolve({ code: code ?? 255, out, err: err.trim() });
    });
  });
}
