/** Which guides this gateway serves (every one of a folder, and those named on the command line), and where the field guide keeps what it keeps. */
import { readdir } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { BlobStore } from '../blobs/blobs.ts';
import { createDirectoryBlobs } from '../blobs/directory.ts';
import { createS3Blobs } from '../blobs/s3.ts';
import { placeUnder } from '../blobs/s3-client.ts';
import type { Clock } from '../clock.ts';
import { backupGuide, guideRecordsPath, photosFolder, restoreGuide, type GuidePlace } from '../fieldguide/backup.ts';
import { createFieldGuide } from '../fieldguide/fieldguide.ts';
import { createPostgresRecords } from '../fieldguide/records/postgres.ts';
import type { Records } from '../fieldguide/records/records.ts';
import { createSqliteRecords } from '../fieldguide/records/sqlite.ts';
import type { AppFiles } from '../gateway/backup.ts';
import type { App, AppHost } from '../gateway/ports.ts';
import type { Config } from './config.ts';

/** No guide at all, no app. */
export async function fieldGuideApps(
  config: Config,
  named: readonly string[] = [],
): Promise<((host: AppHost) => App)[]> {
  const { guidesDir, guide } = config;
  const names = await readdir(guidesDir).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  const found = names
    .sort()
    .map((name) => join(guidesDir, name))
    .filter((folder) => existsSync(join(folder, 'guide.json')));
  const folders = [...new Set([...found, ...named.map((folder) => resolve(folder))])];
  if (folders.length === 0) return [];
  return [
    (host) =>
      createFieldGuide(
        {
          ...{ folders, blobs: photoBlobs(config, host.clock), records: guideRecords(config, host), ...guide },
          hasLocalPhotos: config.databaseUrl !== null && config.blobs === null,
        },
        host,
      ),
  ];
}

/** Apart from the payloads of jobs: who clears up there knows nothing of photos. */
function photoBlobs({ blobs, dataDir }: Config, clock: Clock): BlobStore {
  if (blobs === null) return createDirectoryBlobs({ folder: photosFolder(dataDir), clock });
  return createS3Blobs({ place: placeUnder(blobs, 'photos'), clock });
}

/** In the database of the jobs where several gateways share one. */
function guideRecords({ dataDir, databaseUrl }: Config, { logger }: AppHost): Records {
  if (databaseUrl === null) return createSqliteRecords(guideRecordsPath(dataDir));
  return createPostgresRecords({
    url: databaseUrl.reveal(),
    onConnectionError: (error) => logger.warn('a connection of the field guide was lost', { error: error.message }),
  });
}

/** Its files, for a backup and back; `photos`: how many files of photos the last call copied, null: none, because there was nothing to copy or no place for it. */
export interface GuideFiles extends AppFiles {
  readonly photos: number | null;
}

export function guideFiles(config: Config, clock: Clock): GuideFiles {
  let photos: number | null = null;
  // In a backup the photos are files, wherever they were.
  const inBackup = (folder: string): GuidePlace => ({
    records: guideRecordsPath(folder),
    photos: createDirectoryBlobs({ folder: photosFolder(folder), clock }),
  });
  const here = (): GuidePlace => ({ records: guideRecordsPath(config.dataDir), photos: photoBlobs(config, clock) });
  return {
    get photos() {
      return photos;
    },
    async backup(draft) {
      photos = await backupGuide(here(), inBackup(draft));
    },
    async restore(backup) {
      photos = await restoreGuide(inBackup(backup), here());
    },
  };
}
