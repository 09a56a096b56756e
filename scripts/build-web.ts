/**
 * `npm run build:web`: builds the web app into `web/dist`, packs what is text (brotli and gzip, so that nobody does it while serving), and
 * notes what it was made of. Into a folder beside it first: whoever reads `web/dist` finds the old one or the new one.
 */
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { build } from 'vite';
import { BUILT_FOLDER, sourcesDigest, STAMP, WEB_FOLDER } from '../src/cli/web-app.ts';

const PACKED = new Set(['.html', '.js', '.css', '.svg', '.json', '.webmanifest']);
/** Below it the headers weigh more than what is saved. */
const MIN_BYTES = 1_024;

const digest = await sourcesDigest();
const draft = `${BUILT_FOLDER}.${process.pid}`;
try {
  await build({ root: WEB_FOLDER, logLevel: 'error', build: { outDir: basename(draft), emptyOutDir: true } });
  await pack(draft);
  await writeFile(join(draft, STAMP), digest);
  const before = `${BUILT_FOLDER}.before.${process.pid}`;
  await rename(BUILT_FOLDER, before).catch(() => undefined);
  await rename(draft, BUILT_FOLDER).catch((error: NodeJS.ErrnoException) => {
    // Another build was quicker, and made the same.
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  });
  await rm(before, { recursive: true, force: true });
} finally {
  await rm(draft, { recursive: true, force: true });
}
console.log(`${BUILT_FOLDER} built`);

async function pack(folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  for (const entry of entries.filter((one) => one.isFile() && PACKED.has(extname(one.name)))) {
    const file = join(entry.parentPath, entry.name);
    const bytes = await readFile(file);
    if (bytes.length < MIN_BYTES) continue;
    const params = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY };
    await writeFile(`${file}.br`, await promisify(brotliCompress)(bytes, { params }));
    await writeFile(`${file}.gz`, await promisify(gzip)(bytes, { level: 9 }));
  }
}
