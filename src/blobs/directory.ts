/**
 * Blobs as files of one folder: `<folder>/ab/cd/abcd…`. Owner of everything under that folder.
 *
 * A put writes `<folder>/drafts/<random>`, flushes it, renames it to its place and flushes the folders on the way, so a
 * blob is there whole or not at all. A put of what is there already only renews its time, and flushes the folder too:
 * the first put may not have come that far.
 *
 * A removal renames the blob to `<folder>/doomed/<key>-<random>` first, and looks at its time and its users then. So a put at the same
 * moment either renewed the time before the rename, and the blob goes back, or finds nothing and writes a new file, which
 * this removal does not touch, and neither does it touch what another removal of the same blob has set aside. `get` looks in `doomed`
 * too, because a blob may be on its way back.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, mkdir, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import { createService } from '../service.ts';
import { checkBlobKey, type BlobInfo, type BlobKey, type BlobStore, type RemoveOptions } from './blobs.ts';
import { digest } from './digest.ts';
import { storageError } from './storage-error.ts';

export interface DirectoryBlobsOptions {
  readonly folder: string;
  readonly clock: Clock;
}

/** Written and hashed in steps of this size: 1 MiB of SHA-256 is about a millisecond of the event loop. */
const STEP_BYTES = 1024 * 1024;
const DRAFTS = 'drafts';
const DOOMED = 'doomed';
const PREFIX = /^[0-9a-f]{2}$/;
const KEY_NAME = /^[0-9a-f]{64}$/;
/** What is set aside is gone or back within some system calls; so often in a row it does not go on. */
const READ_ROUNDS = 5;

export function createDirectoryBlobs({ folder, clock }: DirectoryBlobsOptions): BlobStore {
  /** Buckets (at most 65,536) whose entry is known to be on the disk: made by whomever, flushed by this process. */
  const flushed = new Set<string>();
  const bucketOf = (key: BlobKey): string => join(folder, key.slice(0, 2), key.slice(2, 4));
  const pathOf = (key: BlobKey): string => join(bucketOf(checkBlobKey(key)), key);

  async function start(): Promise<void> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await mkdir(join(folder, DOOMED), { recursive: true, mode: 0o700 });
    // A draft of an earlier life has no name yet, so nobody can miss it. Other processes put here too: old ones only.
    await mkdir(join(folder, DRAFTS), { recursive: true, mode: 0o700 });
    for (const name of await readdir(join(folder, DRAFTS))) {
      const path = join(folder, DRAFTS, name);
      const info = await missingIsNull(stat(path));
      if (info && info.mtimeMs < clock.now() - DRAFT_LIFE_MS) await rm(path, { force: true });
    }
    // A removal that was cut short: put back, it will be found again.
    for (const name of await readdir(join(folder, DOOMED))) {
      const [key = ''] = name.split('-');
      if (KEY_NAME.test(key)) await putBack(key, join(folder, DOOMED, name));
    }
    await flushFolder(folder);
  }

  async function put(content: Uint8Array | AsyncIterable<Uint8Array>): Promise<BlobKey> {
    const draft = join(folder, DRAFTS, randomBytes(12).toString('hex'));
    try {
      const { key, bytes } = await writeDraft(draft, content, new Date(clock.now()));
      const path = pathOf(key);
      if (!(await renew(path, bytes))) {
        await mkdir(bucketOf(key), { recursive: true, mode: 0o700 });
        await rename(draft, path);
      }
      await flushFolder(bucketOf(key));
      await flushNewFolders(key);
      return key;
    } catch (error) {
      throw storageError(error, 'a payload could not be written');
    } finally {
      await rm(draft, { force: true });
    }
  }

  /** The folders above a bucket: once each, because they are never removed. */
  async function flushNewFolders(key: BlobKey): Promise<void> {
    const bucket = key.slice(0, 4);
    if (flushed.has(bucket)) return;
    await flushFolder(join(folder, key.slice(0, 2)));
    await flushFolder(folder);
    flushed.add(bucket);
  }

  /** True when the same content is there already. A file of another size is a broken one, and is replaced. */
  async function renew(path: string, bytes: number): Promise<boolean> {
    const now = new Date(clock.now());
    try {
      await utimes(path, now, now);
      return (await stat(path)).size === bytes;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  async function get(key: BlobKey): Promise<Uint8Array | null> {
    const bytes = await firstOf(key, (path) => readFile(path));
    if (bytes !== null && (await digest(bytes)) !== key) {
      throw new PosternError('storage_failed', `the blob ${key} does not hold what its name says: the disk changed it`);
    }
    return bytes;
  }

  /** A blob may be set aside, or on its way back, at the moment of the look, and several removals may do that in turn. */
  async function firstOf<T>(key: BlobKey, look: (path: string) => Promise<T>): Promise<T | null> {
    try {
      for (let round = 0; round < READ_ROUNDS; round += 1) {
        const found = await missingIsNull(look(pathOf(key)));
        if (found !== null) return found;
        const setAside = (await readdir(join(folder, DOOMED))).filter((name) => name.startsWith(key));
        if (setAside.length === 0) return await missingIsNull(look(pathOf(key)));
        for (const name of setAside) {
          const kept = await missingIsNull(look(join(folder, DOOMED, name)));
          if (kept !== null) return kept;
        }
      }
      return null;
    } catch (error) {
      throw storageError(error, `the blob ${key} could not be read`);
    }
  }

  async function removeUnused(key: BlobKey, { putBefore, isUsed }: RemoveOptions): Promise<boolean> {
    const info = await missingIsNull(stat(pathOf(key)));
    if (!info || info.mtimeMs >= putBefore) return false;
    const doomed = join(folder, DOOMED, `${key}-${randomBytes(6).toString('hex')}`);
    if ((await missingIsNull(rename(pathOf(key), doomed).then(() => true))) === null) return false;
    let keep = true;
    try {
      keep = (await stat(doomed)).mtimeMs >= putBefore || (await isUsed(key));
    } finally {
      if (keep) await putBack(key, doomed);
    }
    if (!keep) await rm(doomed, { force: true });
    return !keep;
  }

  /** `link` does not replace: when the blob was put again meanwhile, that one stays. */
  async function putBack(key: BlobKey, doomed: string): Promise<void> {
    await mkdir(bucketOf(key), { recursive: true, mode: 0o700 });
    try {
      await link(doomed, pathOf(key));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    await flushFolder(bucketOf(key));
    await rm(doomed, { force: true });
  }

  async function list(after: BlobKey | null, limit: number): Promise<BlobInfo[]> {
    const from = after === null ? '' : checkBlobKey(after);
    const found: BlobInfo[] = [];
    for (const first of await names(folder, PREFIX, from.slice(0, 2))) {
      const second = first === from.slice(0, 2) ? from.slice(2, 4) : '';
      for (const bucket of await names(join(folder, first), PREFIX, second)) {
        for (const key of await names(join(folder, first, bucket), KEY_NAME, from)) {
          if (key === from) continue;
          if (found.length === limit) return found;
          const info = await missingIsNull(stat(pathOf(key)));
          if (info) found.push({ key, bytes: info.size, putAt: info.mtimeMs });
        }
      }
    }
    return found;
  }

  return {
    ...createService({ start, stop: () => Promise.resolve() }),
    put,
    get,
    async stream(key) {
      const file = await firstOf(key, (path) => open(path, 'r'));
      return file === null ? null : createReadStream('', { fd: file, highWaterMark: 256 * 1024 });
    },
    has: async (key) => (await firstOf(key, (path) => stat(path))) !== null,
    async delete(key) {
      return (await missingIsNull(rm(pathOf(key)).then(() => true))) ?? false;
    },
    removeUnused,
    list,
    direct: null,
  };
}

/** No put takes this long. */
const DRAFT_LIFE_MS = 24 * 60 * 60 * 1000;

async function writeDraft(path: string, content: Uint8Array | AsyncIterable<Uint8Array>, now: Date) {
  const hash = createHash('sha256');
  let bytes = 0;
  const file = await open(path, 'wx', 0o600);
  try {
    for await (const part of content instanceof Uint8Array ? [content] : content) {
      for (let at = 0; at < part.byteLength; at += STEP_BYTES) {
        const step = part.subarray(at, at + STEP_BYTES);
        hash.update(step);
        await file.writeFile(step);
        bytes += step.byteLength;
      }
    }
    await file.utimes(now, now);
    await file.sync();
  } finally {
    await file.close();
  }
  return { key: hash.digest('hex'), bytes };
}

/** Names in a folder that have the shape, from `from` on, sorted. */
async function names(folder: string, shape: RegExp, from: string): Promise<string[]> {
  const all = (await missingIsNull(readdir(folder))) ?? [];
  return all.filter((name) => shape.test(name) && name >= from).sort();
}

async function flushFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

async function missingIsNull<T>(promise: Promise<T>): Promise<T | null> {
  try {
    return await promise;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
