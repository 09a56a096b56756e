/**
 * A file and the blobs that it names, copied while both are in use. A blob that nothing needs any more may be removed between the copy of the
 * file and its own; the file is then copied anew, and only what is missing is fetched, so each round is shorter than the one before.
 */
import { PosternError } from '../errors.ts';
import type { BlobKey, BlobStore } from './blobs.ts';

const MAX_ROUNDS = 5;

/** `copyFile` copies the file, over its copy of the round before, and gives the keys that the copy names. Resolves to how many these are. */
export async function copyWithBlobs(
  copyFile: () => Promise<readonly BlobKey[]>,
  from: BlobStore,
  to: BlobStore,
): Promise<number> {
  return withBlobs(from, to, async () => {
    for (let round = 1; round <= MAX_ROUNDS; round += 1) {
      const keys = await copyFile();
      if (await copyEach(keys, from, to)) return keys.length;
    }
    throw new PosternError(
      'storage_failed',
      `a payload that is named was missing in each of ${MAX_ROUNDS} rounds: the disk has lost it, or removes faster than it copies`,
    );
  });
}

/** False when one is gone. Each one is checked against its name as it is read. */
export const copyBlobs = (keys: readonly BlobKey[], from: BlobStore, to: BlobStore): Promise<boolean> =>
  withBlobs(from, to, () => copyEach(keys, from, to));

async function copyEach(keys: readonly BlobKey[], from: BlobStore, to: BlobStore): Promise<boolean> {
  for (const key of keys) {
    if (await to.has(key)) continue;
    const bytes = await from.get(key);
    if (bytes === null) return false;
    await to.put(bytes);
  }
  return true;
}

async function withBlobs<T>(from: BlobStore, to: BlobStore, work: () => Promise<T>): Promise<T> {
  try {
    await from.start();
    await to.start();
    return await work();
  } finally {
    await from.stop();
    await to.stop();
  }
}
