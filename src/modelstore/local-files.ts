/** The files of a version in the repository: which they are, and what they hold. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PosternError } from '../errors.ts';
import { fileName } from '../worker/manifest-keys.ts';
import type { StoredFile } from './manifest.ts';

const STEP_BYTES = 1024 * 1024;
/** What Python leaves behind when it runs. */
const CACHE_FOLDER = '__pycache__';

export interface FoundFile {
  readonly path: string;
  readonly bytes: number;
}

/**
 * Every file that belongs to a version, by path. What is hidden (`.git`, `.DS_Store`) and what Python caches is left out. A
 * link, or a name that a manifest cannot have, is refused: what is left out without a word is missed on the other machine.
 */
export async function findFiles(folder: string, prefix = ''): Promise<FoundFile[]> {
  const found: FoundFile[] = [];
  for (const entry of await readdir(join(folder, prefix), { withFileTypes: true })) {
    const path = prefix + entry.name;
    if (entry.name.startsWith('.') || entry.name === CACHE_FOLDER) continue;
    if (entry.isDirectory()) {
      found.push(...(await findFiles(folder, `${path}/`)));
      continue;
    }
    if (!entry.isFile()) {
      throw new PosternError(
        'model_invalid',
        `${path} is not a file (a link?): put the file itself there, or take it out`,
      );
    }
    if (!fileName.safeParse(path).success) {
      throw new PosternError(
        'model_invalid',
        `${path}: names have letters, digits, dots, dashes and underscores, 200 at most: rename it`,
      );
    }
    found.push({ path, bytes: (await stat(join(folder, path))).size });
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

export async function describeFile(
  folder: string,
  { path, bytes }: FoundFile,
  onBytes?: (bytes: number) => void,
): Promise<StoredFile> {
  const sha256 = await sha256Of(join(folder, path), onBytes);
  if ((await stat(join(folder, path))).size !== bytes) {
    throw new PosternError('model_invalid', `${path} was changed while it was read: push when nobody writes it`);
  }
  return { path, bytes, sha256 };
}

export async function sha256Of(path: string, onBytes?: (bytes: number) => void): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(path, { highWaterMark: STEP_BYTES })) {
    hash.update(part as Buffer);
    onBytes?.((part as Buffer).byteLength);
  }
  return hash.digest('hex');
}
