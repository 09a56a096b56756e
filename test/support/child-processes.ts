/** Which processes another one has started: Linux says so in /proc. */
import { readFileSync } from 'node:fs';

/** Those whose command line names `program`. */
export function childrenOf(pid: number, program: string): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .map(Number)
    .filter((child) => child > 0 && read(`/proc/${child}/cmdline`).includes(program));
}

export const isGone = (pid: number): boolean => ['', 'Z'].includes(read(`/proc/${pid}/stat`).split(') ')[1]?.[0] ?? '');

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // It ended meanwhile.
    return '';
  }
}
