/** Which guides this gateway serves (every one of a folder, and those named on the command line), and where the field guide keeps what it keeps. */
import { readdir } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createDirectoryBlobs } from '../blobs/directory.ts';
import { createFieldGuide } from '../fieldguide/fieldguide.ts';
import { createSqliteRecords } from '../fieldguide/records/sqlite.ts';
import type { App, AppHost } from '../gateway/ports.ts';
import type { Config } from './config.ts';

/** No guide at all, no app. */
export async function fieldGuideApps(
  { guidesDir, dataDir, guide }: Config,
  named: readonly string[] = [],
): Promise<((host: AppHost) => App)[]> {
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
          folders,
          blobs: createDirectoryBlobs({ folder: join(dataDir, 'photos'), clock: host.clock }),
          records: createSqliteRecords(join(dataDir, 'fieldguide.sqlite')),
          ...guide,
        },
        host,
      ),
  ];
}
