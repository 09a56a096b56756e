/** Copies a gateway's store away, and back. */
import { resolve } from 'node:path';
import { systemClock } from '../../clock.ts';
import { backupStore, restoreStore } from '../../gateway/backup.ts';
import { loadConfig } from '../env.ts';

export async function backup(folder: string): Promise<void> {
  const to = resolve(folder);
  const { blobs } = await backupStore(loadConfig().dataDir, to, systemClock);
  process.stdout.write(`Backup with ${blobs} large payloads: ${to}\n`);
}

export async function restore(folder: string): Promise<void> {
  const { dataDir } = loadConfig();
  const { blobs } = await restoreStore(resolve(folder), dataDir, systemClock);
  process.stdout.write(`Restored with ${blobs} large payloads to ${dataDir}. The gateway may be started.\n`);
}
