/** What this process takes of its machine. */
import type { Clock } from '../../clock.ts';

export interface Usage {
  readonly memory_mib: number;
  /** Of one core, since the last look. */
  readonly cpu_percent: number;
}

export function createUsage(clock: Clock): () => Usage {
  let cpu = process.cpuUsage();
  let at = clock.monotonic();
  return () => {
    const { user, system } = process.cpuUsage(cpu);
    const now = clock.monotonic();
    const elapsedMs = Math.max(1, now - at);
    cpu = process.cpuUsage();
    at = now;
    return {
      memory_mib: process.memoryUsage.rss() / 2 ** 20,
      cpu_percent: (user + system) / 10 / elapsedMs,
    };
  };
}
