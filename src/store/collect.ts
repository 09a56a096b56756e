/**
 * Removes blobs that no row names, a few at each sweep. Two ways lead to them: rows that were deleted leave the names of their
 * blobs in `unnamed_blob`; and a slow walk over the blobs themselves finds what no row ever named, because the process
 * died, or the job was refused, between the blob and its row. A blob that was put within the grace time stays, so there is nothing to find
 * in a walk that begins sooner than that after the last one: it rests, because a bucket asks money for each look.
 */
import type { Clock } from '../clock.ts';
import type { PayloadBlobs } from './payload-blobs.ts';

/** Between a blob and the commit of its row lie milliseconds, or what a stopped process takes. */
export const BLOB_GRACE_MS = 10 * 60 * 1000;
/** Per round and way: each one is some system calls. */
const PER_ROUND = 64;

/** What the rows of a driver say of blobs. */
export interface NamedBlobs {
  /** Blobs that lost a name, after this key in the order of keys. */
  unnamed(after: string, limit: number): Promise<readonly string[]>;
  isNamed(key: string): Promise<boolean>;
  /** Takes them off the list of those to look at. */
  dropUnnamed(keys: readonly string[]): Promise<unknown>;
}

export interface CollectorOptions {
  readonly blobs: PayloadBlobs;
  readonly clock: Clock;
  readonly graceMs: number;
  readonly names: NamedBlobs;
}

export function createCollector({ blobs, clock, graceMs, names }: CollectorOptions) {
  let afterUnnamed = '';
  let afterWalked: string | null = null;
  /** Monotonic. */
  let restsUntil = 0;
  let running: Promise<void> | null = null;
  let isStopping = false;

  const isUsed = (key: string): Promise<boolean> => names.isNamed(key);

  async function round(): Promise<void> {
    const putBefore = clock.now() - graceMs;
    const unnamed = await names.unnamed(afterUnnamed, PER_ROUND);
    afterUnnamed = unnamed.length < PER_ROUND ? '' : unnamed.at(-1)!;
    const done: string[] = [];
    for (const key of unnamed) {
      // Another row may name it, or it is gone, and then nothing is to be done; what is only young is looked at again.
      const isRemoved = await blobs.removeUnused(key, { putBefore, isUsed });
      if (isRemoved || (await isUsed(key)) || !(await blobs.has(key))) done.push(key);
    }
    if (done.length > 0) await names.dropUnnamed(done);
    if (clock.monotonic() < restsUntil) return;
    const walked = await blobs.list(afterWalked, PER_ROUND);
    afterWalked = walked.length < PER_ROUND ? null : walked.at(-1)!.key;
    if (afterWalked === null) restsUntil = clock.monotonic() + graceMs;
    for (const { key, putAt } of walked) {
      if (putAt < putBefore && !(await isUsed(key))) await blobs.removeUnused(key, { putBefore, isUsed });
    }
  }

  return {
    /**
     * Removes the blobs of inputs that were dropped just now, without the grace: somebody wants them gone. A blob that was put after the
     * job was accepted is in somebody's hands, and one that a row names is in use: those end as all others do. What was put before that
     * had the job's whole life to get its row.
     */
    async removeDropped(
      inputs: readonly { readonly createdAt: number; readonly blob: string | null }[],
    ): Promise<void> {
      for (const { blob, createdAt } of inputs) {
        if (blob === null || isStopping) continue;
        // The row is committed in the millisecond of the put, or later.
        const isGone = await blobs.removeUnused(blob, { putBefore: createdAt + 1, isUsed });
        if (isGone) await names.dropUnnamed([blob]);
      }
    },
    /** One round; while one runs, that one. */
    run(): Promise<void> {
      if (isStopping) return Promise.resolve();
      running ??= round().finally(() => (running = null));
      return running;
    },
    /** Begins no more rounds, and waits for the one that runs. */
    async stop(): Promise<void> {
      isStopping = true;
      await running?.catch(() => undefined);
    },
  };
}
