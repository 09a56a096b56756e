/**
 * The web app for `npm start` on a fresh clone: built when it is missing or older than its sources, as long as those and Vite are here. A
 * release brings it built, and has neither.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Logger } from '../logger.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const WEB_FOLDER = join(ROOT, 'web');
export const BUILT_FOLDER = join(WEB_FOLDER, 'dist');
const BUILDER = join(ROOT, 'scripts/build-web.ts');
const VITE = join(ROOT, 'node_modules/vite/package.json');
/** Written by the build, last: the digest of what it was made of. */
export const STAMP = 'sources.sha256';
/** What the pages are made of, relative to the project. */
const SOURCES = ['web', 'src/client', 'scripts/build-web.ts'];
const NO_SOURCES = /(?:^|\/)(?:dist[^/]*|node_modules|test-results)(?:\/|$)|\.test\.tsx?$/;

/** The folder that is served. Never throws for pages that cannot be built: the API works without them. */
export async function builtWebApp(webDir: string, logger: Logger): Promise<string> {
  if (join(webDir) !== BUILT_FOLDER || !existsSync(BUILDER) || !existsSync(VITE)) return webDir;
  if ((await stampOf(webDir)) === (await sourcesDigest())) return webDir;
  process.stderr.write('Building the pages (the first time, or because they changed) …\n');
  const child = spawn(process.execPath, [BUILDER], { cwd: ROOT, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-4_000)));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) logger.error('the pages could not be built: npm run build:web shows why', { code, log });
  return webDir;
}

async function stampOf(folder: string): Promise<string | null> {
  return readFile(join(folder, STAMP), 'utf8').catch(() => null);
}

/** By content: a clone gives every file the time of the cloning. Some 100 files, some milliseconds. */
export async function sourcesDigest(): Promise<string> {
  const hash = createHash('sha256');
  for (const source of SOURCES) {
    const path = join(ROOT, source);
    const names = source.endsWith('.ts') ? [''] : await readdir(path, { recursive: true, withFileTypes: true });
    const files = names
      .map((entry) => (typeof entry === 'string' ? path : entry.isFile() ? join(entry.parentPath, entry.name) : null))
      .filter((file) => file !== null && !NO_SOURCES.test(file.slice(ROOT.length)))
      .sort();
    for (const file of files)
      hash
        .update(file!.slice(ROOT.length))
        .update('\0')
        .update(await readFile(file!))
        .update('\0');
  }
  return hash.digest('hex');
}
