/**
 * Ends of attempts on disk, until the gateway has acked them: so that a worker which is killed and started again still has what
 * it computed. Owner of the spool's folder.
 *
 * It writes behind: an end is sent at once, and written only if it was not acked within {@link SPOOL_AFTER_MS}; whatever is due
 * then goes into one file, with one flush. So a link that works costs the disk nothing. A file goes when all in it is acked.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Timer } from '../clock.ts';
import { toPosternError } from '../errors.ts';
import { KEY_MODE, writeStateFile } from '../identity/state-file.ts';
import type { Logger } from '../logger.ts';
import { readSpoolFile, writeSpoolFile } from './spool-file.ts';
import type { SpooledEnd } from './spool-file.ts';

/** Acks take a round trip and a flush of the gateway's disk. Longer than that, and the link is slow or gone. */
const SPOOL_AFTER_MS = 100;
/** A disk that failed is tried again this much later. */
const RETRY_MS = 5_000;
/** Of ends in one file, unless one alone is larger. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;
/** Of all files. Beyond it ends are kept in memory only: as much again as may wait for acks. */
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

export interface Spool {
  /** What earlier runs left. Call it once, first. */
  open(): Promise<readonly SpooledEnd[]>;
  add(end: SpooledEnd): void;
  /** The gateway has it. */
  forget(job: string, attempt: number): void;
  /** Writes what is not acked now, however young: there is no link that an ack could come by. */
  hurry(): void;
  /** Writes the rest, and stops. What is not acked stays for the next run. */
  stop(): Promise<void>;
}

interface SpoolFile {
  readonly path: string;
  readonly bytes: number;
  readonly live: Set<string>;
}

const keyOf = (job: string, attempt: number): string => `${job}/${attempt}`;
const sizeOf = ({ payload }: SpooledEnd): number => 1_024 + (payload?.byteLength ?? 0);

export function createSpool({ folder, clock, logger }: SpoolOptions): Spool {
  /** Not on disk yet, oldest first. */
  const waiting = new Map<string, { readonly end: SpooledEnd; readonly dueAt: number }>();
  const fileOf = new Map<string, SpoolFile>();
  let bytes = 0;
  let hurried = false;
  let failing = false;
  let full = false;
  let stopped = false;
  let timer: Timer | null = null;
  let writing: Promise<void> | null = null;

  function schedule(): void {
    if (timer !== null || writing !== null || stopped) return;
    const [oldest] = waiting.values();
    if (oldest === undefined) return;
    const delayMs = failing ? RETRY_MS : hurried ? 0 : oldest.dueAt - clock.monotonic();
    timer = clock.after(Math.max(0, delayMs), () => {
      timer = null;
      writing = writeDue().finally(() => {
        writing = null;
        schedule();
      });
    });
  }

  function takeDue(): SpooledEnd[] {
    const now = clock.monotonic();
    const due: SpooledEnd[] = [];
    let size = 0;
    for (const { end, dueAt } of waiting.values()) {
      if (!hurried && !stopped && dueAt > now) break;
      if (size > 0 && size + sizeOf(end) > MAX_FILE_BYTES) break;
      size += sizeOf(end);
      due.push(end);
    }
    if (due.length === waiting.size) hurried = false;
    return due;
  }

  async function writeDue(): Promise<void> {
    const due = takeDue();
    if (due.length === 0) return;
    const content = writeSpoolFile(due);
    if (bytes + content.length > MAX_SPOOL_BYTES) {
      if (!full) logger.error('the spool is full: results are kept in memory only', { folder, bytes });
      full = true;
      for (const end of due) waiting.delete(keyOf(end.message.job, end.message.attempt));
      return;
    }
    // Names sort by time, so that the next run sends the oldest first.
    const name = `${String(clock.now()).padStart(15, '0')}-${randomBytes(4).toString('hex')}.spool`;
    const file: SpoolFile = { path: join(folder, name), bytes: content.length, live: new Set() };
    try {
      await writeStateFile(file.path, content, KEY_MODE);
    } catch (error) {
      if (!failing) logger.error('the spool cannot be written', { folder, reason: toPosternError(error).message });
      failing = true;
      return;
    }
    if (failing) logger.info('the spool can be written again', { folder });
    failing = full = false;
    bytes += file.bytes;
    for (const { message } of due) {
      const key = keyOf(message.job, message.attempt);
      // Acked while it was written: then it is not waiting any more.
      if (!waiting.delete(key)) continue;
      file.live.add(key);
      fileOf.set(key, file);
    }
    if (file.live.size === 0) drop(file);
  }

  function drop(file: SpoolFile): void {
    bytes -= file.bytes;
    // A file that comes back after a power cut only repeats what is acked.
    rm(file.path, { force: true }).catch((error: unknown) =>
      logger.warn('a file of the spool cannot be removed', { path: file.path, reason: toPosternError(error).message }),
    );
  }

  async function read(name: string): Promise<readonly SpooledEnd[]> {
    const path = join(folder, name);
    const { size } = await stat(path);
    const { ends: all, problem } =
      size > MAX_READ_BYTES
        ? { ends: [], problem: `it has ${size} bytes, more than any file of the spool` }
        : readSpoolFile(await readFile(path));
    // Two runs that overlapped may have written the same end: once is enough.
    const ends = all.filter(({ message: { job, attempt } }) => !fileOf.has(keyOf(job, attempt)));
    if (problem !== null) {
      logger.error('a file of the spool is damaged and was set aside', { path, problem, saved: ends.length });
      await rename(path, `${path}.corrupt`);
      for (const end of ends) add(end);
      return ends;
    }
    const file: SpoolFile = { path, bytes: size, live: new Set() };
    bytes += size;
    for (const { message } of ends) {
      const key = keyOf(message.job, message.attempt);
      file.live.add(key);
      fileOf.set(key, file);
    }
    if (ends.length === 0) drop(file);
    return ends;
  }

  async function tidy(names: readonly string[]): Promise<void> {
    const corrupt = names.filter((name) => name.endsWith('.corrupt')).sort();
    for (const name of corrupt.slice(0, -MAX_CORRUPT_FILES)) await rm(join(folder, name), { force: true });
    for (const name of names.filter((each) => each.endsWith('.draft'))) {
      const { mtimeMs } = await stat(join(folder, name));
      if (clock.now() - mtimeMs > STALE_DRAFT_MS) await rm(join(folder, name), { force: true });
    }
  }

  function add(end: SpooledEnd): void {
    if (stopped) return;
    waiting.set(keyOf(end.message.job, end.message.attempt), { end, dueAt: clock.monotonic() + SPOOL_AFTER_MS });
    if (timer === null) schedule();
  }

  return {
    async open() {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const names = await readdir(folder);
      const found: SpooledEnd[] = [];
      for (const name of names.filter((each) => each.endsWith('.spool')).sort()) {
        try {
          found.push(...(await read(name)));
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
    add,
    forget(job, attempt) {
      const key = keyOf(job, attempt);
      if (waiting.delete(key)) return;
      const file = fileOf.get(key);
      if (file === undefined) return;
      fileOf.delete(key);
      file.live.delete(key);
      if (file.live.size === 0) drop(file);
    },
    hurry() {
      if (waiting.size === 0 || hurried) return;
      hurried = true;
      timer?.cancel();
      timer = null;
      schedule();
    },
    async stop() {
      stopped = true;
      timer?.cancel();
      timer = null;
      await writing;
      while (waiting.size > 0 && !failing) await writeDue();
    },
  };
}
