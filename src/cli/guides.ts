/** Which guides this gateway serves: every one of a folder, and those named on the command line. */
import { readdir } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createFieldGuide } from '../fieldguide/fieldguide.ts';
import type { App } from '../gateway/ports.ts';
import type { Config } from './config.ts';

/** No guide at all, no app. */
export async function fieldGuideApps({ guidesDir }: Config, named: readonly string[] = []): Promise<App[]> {
  const names = await readdir(guidesDir).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  const found = names
    .sort()
    .map((name) => join(guidesDir, name))
    .filter((folder) => existsSync(join(folder, 'guide.json')));
  const folders = [...new Set([...found, ...named.map((folder) => resolve(folder))])];
  return folders.length === 0 ? [] : [createFieldGuide({ folders })];
}
