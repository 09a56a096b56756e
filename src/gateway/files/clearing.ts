/**
 * Removes blobs of uploaded files that no file names any more. A file names its blob before the blob is put, so that "nobody names it" is the
 * truth whoever uploads at that moment, here or at another gateway; a blob store removes only what lay there when it was asked about.
 *
 * What lost its name is noted with the loss of it, so that a process that dies in between leaves nothing behind. What never had one, because its
 * upload was given up, is found by a walk over the blobs.
 */
import type { BlobKey, BlobStore } from '../../blobs/blobs.ts';
import type { Clock } from '../../clock.ts';
import { ARRIVAL_MS, type FileBook } from '../../store/files.ts';

export interface ClearingOptions {
  readonly book: FileBook;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  /** See `FilesOptions`. */
  readonly youngMs: number;
}

/** Of one page: some ms of work for the book, some system calls or requests for each blob. */
const PAGE = 1_000;

export function createClearing({ book, blobs, clock, youngMs }: ClearingOptions) {
  const running = new Set<Promise<void>>();
  let isStopping = false;

  const isUsed = (key: BlobKey): Promise<boolean> => book.isNamed(key);

  /** True when nothing is left to be done about it. */
  async function settle(key: BlobKey): Promise<boolean> {
    const isGone = await blobs.removeUnused(key, { putBefore: clock.now() + 1 - youngMs, isUsed });
    // Named again, or removed by somebody who then died: only what is young stays to be looked at again.
    return isGone || (await isUsed(key)) || !(await blobs.has(key));
  }

  async function sweep(): Promise<void> {
    while (!isStopping && (await book.expire(PAGE)) === PAGE);
    for (let after = ''; !isStopping;) {
      const unnamed = await book.unnamed(after, PAGE);
      const done: BlobKey[] = [];
      for (const key of unnamed) if (!isStopping && (await settle(key))) done.push(key);
      if (done.length > 0) await book.dropUnnamed(done);
      if (unnamed.length < PAGE) return;
      after = unnamed.at(-1)!;
    }
  }

  async function walk(): Promise<void> {
    const putBefore = clock.now() - ARRIVAL_MS;
    for (let after: BlobKey | null = null; !isStopping;) {
      const page = await blobs.list(after, PAGE);
      for (const { key, putAt } of page) {
        if (!isStopping && putAt < putBefore) await blobs.removeUnused(key, { putBefore, isUsed });
      }
      const last = page.at(-1);
      if (!last) return;
      after = last.key;
    }
  }

  function counted(work: () => Promise<void>): Promise<void> {
    if (isStopping) return Promise.resolve();
    const one = work().finally(() => running.delete(one));
    running.add(one);
    return one;
  }

  return {
    /** Ends what time has ended, and removes what lost its last name. */
    sweep: () => counted(sweep),
    /** Removes what never had a name. */
    walk: () => counted(walk),
    /** At once, if nobody else names it and it is not young. */
    drop: (key: BlobKey) =>
      counted(async () => {
        if (await settle(key)) await book.dropUnnamed([key]);
      }),
    /** Begins nothing more, and waits for what runs. */
    async stop(): Promise<void> {
      isStopping = true;
      await Promise.allSettled(running);
    },
  };
}
