/** Copies a gateway's store away, and back. */
import { resolve } from 'node:path';
import { systemClock } from '../../clock.ts';
import { backupStore, restoreStore } from '../../gateway/backup.ts';
import { loadConfig } from '../env.ts';

export async function backup(folder: string): Promise<void> {
  const to = resolve(folder);
  const config = loadConfig();
  const { blobs, control } = await backupStore(config.dataDir, to, systemClock, config.blobs);
  const secret = control ? ' It holds the key of the certificate authority: keep it as you keep that.' : '';
  process.stdout.write(`Backup with ${blobs} large payloads: ${to}.${secret}\n`);
}

export async function restore(folder: string): Promise<void> {
  const config = loadConfig();
  const { dataDir } = config;
  const { blobs, control } = await restoreStore(resolve(folder), dataDir, systemClock, config.blobs);
  const also = control ? ', workers, keys and identity' : ' (workers, keys and identity were left as they are here)';
  process.stdout.write(`Restored with ${blobs} large payloads${also} to ${dataDir}. The gateway may be started.
`);
}
