/**
 * Where photos lie: blobs, named by their content. The records say which are in use, and they say so before a blob is put, so that whoever
 * removes an unused one, here or in another gateway, never takes one that is about to be named.
 */
import { createHash } from 'node:crypto';
import type { BlobKey, BlobStore } from '../../blobs/blobs.ts';
import type { Clock } from '../../clock.ts';
import type { Records } from '../records/records.ts';

/** Rows come first, so that age does not matter; a clock of another machine may be this much ahead. */
const SKEW_MS = 60_000;
/** A blob without a row after an hour was left behind by a gateway that died. */
const LEFT_BEHIND_MS = 3_600_000;
const PAGE = 500;

export const keyOf = (bytes: Uint8Array): BlobKey => createHash('sha256').update(bytes).digest('hex');

export interface Photos {
  /** Resolves when they survive a power cut. */
  keep(contents: readonly Uint8Array[]): Promise<void>;
  read(key: BlobKey): Promise<Uint8Array | null>;
  /** Removes those that no row names any more. */
  drop(keys: readonly BlobKey[]): Promise<void>;
  dropLeftBehind(): Promise<void>;
}

export interface PhotosOptions {
  readonly blobs: BlobStore;
  readonly records: Pick<Records, 'isBlobUsed'>;
  readonly clock: Clock;
}

export function createPhotos({ blobs, records, clock }: PhotosOptions): Photos {
  const isUsed = (key: BlobKey): Promise<boolean> => records.isBlobUsed(key);
  return {
    async keep(contents) {
      for (const content of contents) await blobs.put(content);
    },
    read: (key) => blobs.get(key),
    async drop(keys) {
      const putBefore = clock.now() + SKEW_MS;
      for (const key of keys) if (!(await isUsed(key))) await blobs.removeUnused(key, { putBefore, isUsed });
    },
    async dropLeftBehind() {
      const putBefore = clock.now() - LEFT_BEHIND_MS;
      for (let after: BlobKey | null = null; ;) {
        const page = await blobs.list(after, PAGE);
        for (const { key, putAt } of page) {
          if (putAt < putBefore && !(await isUsed(key))) await blobs.removeUnused(key, { putBefore, isUsed });
        }
        const last = page.at(-1);
        if (last === undefined) return;
        after = last.key;
      }
    },
  };
}
