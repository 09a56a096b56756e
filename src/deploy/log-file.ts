/** What instances of a release print: appended to one file a release, kept small, and its end shown when one fails. */
import { closeSync, fstatSync, mkdirSync, openSync, readSync, renameSync, statSync } from 'node:fs';
import { copyFile, stat, truncate } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Some weeks of a gateway that has little to say. */
const MAX_BYTES = 16 * 1024 * 1024;
const MAX_TAIL_BYTES = 2_048;

/** Opened for a child's standard output and error; the caller closes it. */
export function openLog(path: string): number {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    if (statSync(path).size > MAX_BYTES) renameSync(path, `${path}.1`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return openSync(path, 'a', 0o600);
}

/** For a file that a process goes on writing to: what is there is copied aside, and the file begins anew. */
export async function shortenLog(path: string): Promise<void> {
  const size = await stat(path).then(
    ({ size: bytes }) => bytes,
    () => 0,
  );
  if (size <= MAX_BYTES) return;
  await copyFile(path, `${path}.1`);
  await truncate(path, 0);
}

/** The last lines that were written after `fromBytes`. '' when there are none. */
export function endOfLog(path: string, fromBytes: number): string {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return '';
  }
  try {
    const { size } = fstatSync(fd);
    const from = Math.max(fromBytes <= size ? fromBytes : 0, size - MAX_TAIL_BYTES);
    const bytes = Buffer.alloc(size - from);
    readSync(fd, bytes, 0, bytes.length, from);
    return bytes.toString('utf8').trim().split('\n').slice(-8).join('\n');
  } finally {
    closeSync(fd);
  }
}

export function sizeOfLog(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}
