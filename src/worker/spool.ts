/**
 * Ends of attempts on disk: the spool's folder, its files, and how many bytes they have. What is written when is the outbox's
 * affair. Several ends make one file, with one flush; a file goes when all in it is acked.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { toPosternError } from '../errors.ts';
import { KEY_MODE, writeStateFile } from '../state-file.ts';
import type { Logger } from '../logger.ts';
import { readSpoolFile, writeSpoolFile } from './spool-file.ts';
import type { SpooledEnd } from './spool-file.ts';

/** Of all files. Beyond it ends are kept in memory only: twice what may wait for acks, because a file goes as a whole. */
const MAX_SPOOL_BYTES = 512 * 1024 * 1024;
/** A file that is larger was not written here. */
const MAX_READ_BYTES = 128 * 1024 * 1024;
/** Files that could not be read, kept for somebody to look at. */
const MAX_CORRUPT_FILES = 8;
/** A draft this old belongs to nobody who still writes. */
const STALE_DRAFT_MS = 60_000;

export interface SpoolOptions {
  /** Created when it is missing. One worker's: whatever lies here is sent as this worker's. */
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A file, as its ends hold on to it. */
export interface SpoolFile {
  readonly path: string;
  readonly bytes: number;
  /** Ends in it that are not acked. */
  live: number;
}

export interface Spool {
  /** What earlier runs left, and in which file each lies; null: in none that can be used, write it anew. Call it once, first. */
  open(): Promise<readonly { readonly end: SpooledEnd; readonly file: SpoolFile | null }[]>;
  /** null: the disk failed, or the spool is full. It is logged; the ends are in memory still. */
  write(ends: readonly SpooledEnd[]): Promise<SpoolFile | null>;
  /** So many ends of the file are acked. */
  release(file: SpoolFile, ends: number): void;
}

export function createSpool({ folder, clock, logger }: SpoolOptions): Spool {
  let bytes = 0;
  let count = 0;
  /** Said once, until it works again. */
  let trouble = false;

  function complain(message: string, fields: Readonly<Record<string, unknown>>): null {
    if (!trouble) logger.error(message, { folder, ...fields });
    trouble = true;
    return null;
  }

  function release(file: SpoolFile, ends: number): void {
    file.live -= ends;
    if (file.live > 0) return;
    bytes -= file.bytes;
    // A file that comes back after a power cut only repeats what is acked.
    rm(file.path, { force: true }).catch((error: unknown) =>
      logger.warn('a file of the spool cannot be removed', { path: file.path, reason: toPosternError(error).message }),
    );
  }

  /** The ends of one file that were not `seen` yet: two runs that overlapped may have written the same one. */
  async function read(name: string, seen: Set<string>): Promise<{ end: SpooledEnd; file: SpoolFile | null }[]> {
    const path = join(folder, name);
    const { size } = await stat(path);
    const { ends, problem } =
      size > MAX_READ_BYTES
        ? { ends: [], problem: `it has ${size} bytes, more than any file of the spool` }
        : readSpoolFile(await readFile(path));
    const fresh = ends.filter(({ message: { job, attempt } }) => {
      const key = `${job}/${attempt}`;
      return !seen.has(key) && seen.add(key);
    });
    if (problem !== null) {
      logger.error('a file of the spool is damaged and was set aside', { path, problem, saved: fresh.length });
      await rename(path, `${path}.corrupt`);
      return fresh.map((end) => ({ end, file: null }));
    }
    const file: SpoolFile = { path, bytes: size, live: fresh.length };
    bytes += size;
    if (fresh.length === 0) release(file, 0);
    return fresh.map((end) => ({ end, file }));
  }

  async function tidy(names: readonly string[]): Promise<void> {
    const corrupt = names.filter((name) => name.endsWith('.corrupt')).sort();
    for (const name of corrupt.slice(0, -MAX_CORRUPT_FILES)) await rm(join(folder, name), { force: true });
    for (const name of names.filter((each) => each.endsWith('.draft'))) {
      const { mtimeMs } = await stat(join(folder, name));
      if (clock.now() - mtimeMs > STALE_DRAFT_MS) await rm(join(folder, name), { force: true });
    }
  }

  return {
    async open() {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const found: { end: SpooledEnd; file: SpoolFile | null }[] = [];
      const seen = new Set<string>();
      for (const name of (await readdir(folder)).filter((each) => each.endsWith('.spool')).sort()) {
        try {
          found.push(...(await read(name, seen)));
        } catch (error) {
          const reason = toPosternError(error).message;
          logger.error('a file of the spool cannot be read', { path: join(folder, name), reason });
        }
      }
      await tidy(await readdir(folder)).catch((error: unknown) =>
        logger.warn('the spool cannot be tidied', { folder, reason: toPosternError(error).message }),
      );
      return found;
    },
    async write(ends) {
      const content = writeSpoolFile(ends);
      if (bytes + content.length > MAX_SPOOL_BYTES) {
        return complain('the spool is full: results are kept in memory only', { bytes });
      }
      // Names sort by time, so that the next run sends the oldest first.
      const order = [Math.floor(clock.now()), (count += 1)].map((part) => String(part).padStart(15, '0')).join('-');
      const name = `${order}-${randomBytes(4).toString('hex')}.spool`;
      const file: SpoolFile = { path: join(folder, name), bytes: content.length, live: ends.length };
      try {
        await writeStateFile(file.path, content, KEY_MODE);
      } catch (error) {
        return complain('the spool cannot be written', { reason: toPosternError(error).message });
      }
      if (trouble) logger.info('the spool can be written again', { folder });
      trouble = false;
      bytes += file.bytes;
      return file;
    },
    release,
  };
}
