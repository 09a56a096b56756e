/** Copies a gateway's store and its field guide away, and back. */
import { resolve } from 'node:path';
import { systemClock } from '../../clock.ts';
import { backupStore, restoreStore, type BackupOptions } from '../../gateway/backup.ts';
import { photosFolder } from '../../fieldguide/backup.ts';
import type { Config } from '../config.ts';
import { loadConfig } from '../env.ts';
import { guideFiles, type GuideFiles } from '../guides.ts';

/** What a backup beside a database leaves to others. */
function elsewhere({ dataDir, blobs }: Config): string {
  const bucket = 'Payloads and photos are in the bucket, which has its own.';
  const folder = `The field guide's photos are files in ${photosFolder(dataDir)}: copy that folder too.`;
  return `Jobs, workers, keys and the field guide are in the database (DATABASE_URL): pg_dump is their backup. ${blobs === null ? folder : bucket}`;
}

export async function backup(folder: string): Promise<void> {
  const to = resolve(folder);
  const { config, guide, options } = prepare();
  const { blobs, control } = await backupStore(config.dataDir, to, options);
  const secret = control ? ' It holds the key of the certificate authority: keep it as you keep that.' : '';
  const what =
    options.jobs === false ? 'Backup of the identity' : `Backup with ${blobs} large payloads${photosOf(guide)}`;
  process.stdout.write(`${what}: ${to}.${secret}\n${options.jobs === false ? `${elsewhere(config)}\n` : ''}`);
}

export async function restore(folder: string): Promise<void> {
  const { config, guide, options } = prepare();
  const { dataDir } = config;
  const { blobs, control } = await restoreStore(resolve(folder), dataDir, options);
  if (options.jobs === false) {
    const what = control ? `Restored the identity to ${dataDir}` : `The identity was left as it is in ${dataDir}`;
    process.stdout.write(`${what}. ${elsewhere(config)}\n`);
    return;
  }
  const also = control ? ', workers, keys and identity' : ' (workers, keys and identity were left as they are here)';
  process.stdout.write(
    `Restored with ${blobs} large payloads${photosOf(guide)}${also} to ${dataDir}. The gateway may be started.\n`,
  );
}

/** With a database the files of this machine are what is left: its identity. */
function prepare(): { readonly config: Config; readonly guide: GuideFiles; readonly options: BackupOptions } {
  const config = loadConfig();
  const guide = guideFiles(config, systemClock);
  const jobs = config.databaseUrl === null;
  return { config, guide, options: { clock: systemClock, blobs: config.blobs, jobs, apps: jobs ? [guide] : [] } };
}

const photosOf = ({ photos }: GuideFiles): string =>
  photos === null ? '' : `, the field guide with ${photos} files of photos`;
