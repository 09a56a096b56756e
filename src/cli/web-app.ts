/**
 * The web app for `npm start` on a fresh clone: built when it is missing or older than its sources, as long as those and Vite are here. A
 * release brings it built, and has neither.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { open, readdir, readFile, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep, systemClock } from '../clock.ts';
import type { Logger } from '../logger.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const WEB_FOLDER = join(ROOT, 'web');
export const BUILT_FOLDER = join(WEB_FOLDER, 'dist');
const BUILDER = join(ROOT, 'scripts/build-web.ts');
const VITE = join(ROOT, 'node_modules/vite/package.json');
/** Beside it, while one builds. */
const LOCK = `${BUILT_FOLDER}.lock`;
const TURN_MS = 60_000;
/** Written by the build, last: the digest of what it was made of. */
export const STAMP = 'sources.sha256';
/** What the pages are made of, relative to the project. */
const SOURCES = ['web', 'src/client', 'src/errors.ts', 'scripts/build-web.ts'];
const NO_SOURCES = /(?:^|\/)(?:dist[^/]*|node_modules|test-results)(?:\/|$)|\.test\.tsx?$/;

/** The folder that is served. Never throws for pages that cannot be built: the API works without them. */
export async function builtWebApp(webDir: string, logger: Logger): Promise<string> {
  if (join(webDir) !== BUILT_FOLDER || !existsSync(BUILDER) || !existsSync(VITE)) return webDir;
  const wanted = await sourcesDigest();
  if ((await stampOf(webDir)) === wanted) return webDir;
  process.stderr.write('Building the pages (the first time, or because they changed) …\n');
  const lock = await takeTurn();
  try {
    // Somebody else may have built them while this process waited.
    if ((await stampOf(webDir)) !== wanted) await build(logger);
  } finally {
    await lock?.close();
    await rm(LOCK, { force: true });
  }
  return webDir;
}

async function build(logger: Logger): Promise<void> {
  const child = spawn(process.execPath, [BUILDER], { cwd: ROOT, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-4_000)));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) logger.error('the pages could not be built: npm run build:web shows why', { code, log });
}

/** Gateways that start at once build one after the other. null: whoever built took too long, or died; then so be it. */
async function takeTurn(): Promise<FileHandle | null> {
  for (
    const until = systemClock.monotonic() + TURN_MS;
    systemClock.monotonic() < until;
    await sleep(systemClock, 100)
  ) {
    try {
      return await open(LOCK, 'wx');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return null;
    }
  }
  return null;
}

/** Is what is there made of the sources that are there? */
export const isBuilt = async (): Promise<boolean> => (await stampOf(BUILT_FOLDER)) === (await sourcesDigest());

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
