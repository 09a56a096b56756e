/** A file system of its own, small enough to be filled. The caller unmounts it. */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { lacking } from './needs.ts';

/** False, or the reason why a test that needs one is skipped. */
export function mountSmall(folder: string, mib: number): false | string {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', folder], { stdio: 'ignore' });
    return false;
  } catch {
    return lacking('a small file system cannot be mounted here (it takes root)');
  }
}

/** Takes whatever is left, to the last page, by adding to the file. */
export function fillDisk(file: string, maxMib: number): void {
  const fd = openSync(file, 'a');
  try {
    const piece = Buffer.alloc(1024 * 1024);
    for (let written = 0; written <= maxMib; written += 1) writeSync(fd, piece);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
    throw error;
  } finally {
    closeSync(fd);
  }
  throw new Error(`${file} took ${maxMib} MiB, and the disk is not full`);
}
