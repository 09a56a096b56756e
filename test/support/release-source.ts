/**
 * A folder that releases can be made of, as a clone after `npm ci`: the project's own sources in a copy that a test may change,
 * its packages and its cache of packed layers by a link, so that the runtime is compressed once and not in every test.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = new URL('../..', import.meta.url).pathname;

export interface ReleaseSource {
  readonly folder: string;
  /** Replaces one text of a file by another; it must be there. */
  edit(file: string, from: string, to: string): void;
  write(file: string, content: string): void;
  remove(): void;
}

export function makeReleaseSource(): ReleaseSource {
  const folder = mkdtempSync(join(tmpdir(), 'postern-source-'));
  for (const place of ['bin', 'src', 'guides', 'package.json', 'package-lock.json', 'LICENSE']) {
    cpSync(join(ROOT, place), join(folder, place), {
      recursive: true,
      filter: (path) => !/\.(test|suite)\.ts$/.test(path),
    });
  }
  mkdirSync(join(ROOT, '.cache/releases'), { recursive: true });
  mkdirSync(join(folder, '.cache'));
  symlinkSync(join(ROOT, '.cache/releases'), join(folder, '.cache/releases'));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return {
    folder,
    edit(file, from, to) {
      const text = readFileSync(join(folder, file), 'utf8');
      if (!text.includes(from)) throw new Error(`${file} has no "${from}"`);
      writeFileSync(join(folder, file), text.replace(from, to));
    },
    write: (file, content) => writeFileSync(join(folder, file), content),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
