/** How much memory a process really holds. */
import { readFileSync } from 'node:fs';

/** MiB of resident memory; null where the system does not say (no /proc) or the process is gone. */
export function residentMb(pid: number): number | null {
  try {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kib === undefined ? null : Number(kib) / 1_024;
  } catch {
    return null;
  }
}
