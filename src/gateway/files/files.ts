/**
 * Files that callers upload once and name as inputs: `POST /v1/files`. What is known of them is in a book of files, their bytes are blobs in a
 * place of their own (`place.ts` says where both are). They are kept for a day, within bounds for each caller and for all; they are no
 * archive, and no part of a backup. Several processes may work on one book and one place at once.
 */
import { createHash } from 'node:crypto';
import type { BlobStore } from '../../blobs/blobs.ts';
import { digest } from '../../blobs/digest.ts';
import type { Clock, Timer } from '../../clock.ts';
import { PosternError, toPosternError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { createService, type Service } from '../../service.ts';
import type { FileBook, FileListRequest, StoredFile } from '../../store/files.ts';
import { createClearing } from './clearing.ts';

export interface NewFile extends Pick<StoredFile, 'id' | 'caller' | 'name' | 'contentType' | 'metadata'> {
  readonly content: Uint8Array;
}

export interface FilePage {
  readonly files: readonly StoredFile[];
  /** The id to go on after; null: this was the last page. */
  readonly next: string | null;
}

export interface Files extends Service {
  /** Resolves when it survives a power cut. Throws file_quota_exceeded or storage_full. */
  add(file: NewFile): Promise<StoredFile>;
  /** null: there is none, or its time is over. */
  get(id: string): Promise<StoredFile | null>;
  read(file: StoredFile): Promise<Uint8Array | null>;
  /** Newest first. */
  list(request: FileListRequest): Promise<FilePage>;
  remove(file: StoredFile): Promise<void>;
}

export interface FilesOptions {
  /** Both are started and stopped with the files. */
  readonly book: FileBook;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly ttlMs: number;
  /** Of all files together. */
  readonly maxBytes: number;
  /** Of one caller's files. */
  readonly maxCallerBytes: number;
  /** A blob that was put so short a time ago is removed later. */
  readonly youngMs: number;
}

/** A row is some 500 bytes: 5 MB of rows. */
const MAX_CALLER_FILES = 10_000;
const SWEEP_MS = 60_000;
const WALK_MS = 3_600_000;

export function createFiles(options: FilesOptions): Files {
  const { book, blobs, clock, logger, ttlMs, maxBytes, maxCallerBytes, youngMs } = options;
  const limits = { maxBytes, maxCallerBytes, maxCallerFiles: MAX_CALLER_FILES };
  const clearing = createClearing({ book, blobs, clock, youngMs });
  let timers: Timer[] = [];

  /** What is left is found again by the next look. */
  const quietly = (what: string, work: () => Promise<void>): Promise<void> =>
    work().catch((error: unknown) => {
      logger.error('uploaded files could not be cleared', { what, error: toPosternError(error).message });
    });

  const service = createService({
    async start() {
      await blobs.start();
      await book.start();
      void quietly('left over', () => clearing.walk());
      timers = [
        clock.every(SWEEP_MS, () => void quietly('ended', () => clearing.sweep())),
        clock.every(WALK_MS, () => void quietly('left over', () => clearing.walk())),
      ];
    },
    async stop() {
      for (const timer of timers) timer.cancel();
      await clearing.stop();
      await book.stop();
      await blobs.stop();
    },
  });

  return {
    ...service,
    async add({ content, ...about }) {
      const { id } = about;
      const sha256 = await digest(content);
      const md5 = createHash('md5').update(content).digest('hex');
      await book.arrive({ ...about, bytes: content.byteLength, sha256, md5 }, limits);
      try {
        await blobs.put(content);
      } catch (error) {
        await quietly('refused', async () => void (await book.remove(id)));
        throw error;
      }
      const kept = await book.keep(id, ttlMs);
      if (kept !== null) return kept;
      throw new PosternError('storage_failed', 'The upload was too slow for its place to be kept: send it again.');
    },
    get: (id) => book.get(id),
    read: ({ sha256 }) => blobs.get(sha256),
    async list({ caller, limit, after }) {
      // One more than asked for tells whether there is a next page. An id sorts by the time of its making.
      const found = await book.list({ caller, limit: limit + 1, after });
      const files = found.slice(0, limit);
      return { files, next: found.length > limit ? (files.at(-1)?.id ?? null) : null };
    },
    async remove({ id, sha256 }) {
      if (await book.remove(id)) await quietly('deleted', () => clearing.drop(sha256));
    },
  };
}
