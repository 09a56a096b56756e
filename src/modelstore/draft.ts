/**
 * The folder in which a version grows: `<models>/<name>/.pull-<version>`, beside the place that it will have, so that one
 * rename publishes it whole. Its name can be no version's, so that no worker takes it for one. It outlives the process: the
 * next try goes on with what is there. One process has it at a time: a lock of the system on a file beside it, which is
 * free in the moment in which its holder is dead.
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, createReadStream, openSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PosternError } from '../errors.ts';
import type { StoredFile } from './manifest.ts';

/** What is there already, and its digest so far. */
export interface Begun {
  readonly bytes: number;
  readonly hash: Hash;
}

export interface Draft {
  readonly folder: string;
  /** Of a file that is longer than it should be, nothing is. */
  begun(file: StoredFile): Promise<Begun>;
  /** Opens the file to be written at `from`; what stands behind that is cut off. */
  append(file: StoredFile, from: number): Promise<DraftFile>;
  /** Forgets what there is of a file. */
  discard(file: StoredFile): Promise<void>;
  /** Removes what the list does not name, flushes the folders, and gives the version its place. */
  publish(files: readonly StoredFile[]): Promise<void>;
  /** Lets the next process have it. */
  release(): void;
}

export interface DraftFile {
  write(part: Uint8Array): Promise<void>;
  /** Flushed to the disk. */
  close(): Promise<void>;
}

const SQLITE_BUSY = 5;
/** Left free: a disk that is full to the last byte stops more than this. */
const SPARE_BYTES = 64 * 1024 * 1024;
const STEP_BYTES = 1024 * 1024;

export async function openDraft(modelsDir: string, name: string, version: string): Promise<Draft> {
  const parent = join(modelsDir, name);
  const folder = join(parent, `.pull-${version}`);
  await mkdir(folder, { recursive: true });
  const lock = takeLock(`${folder}.lock`, `${name}@${version}`);
  const pathOf = (file: StoredFile): string => join(folder, file.path);

  return {
    folder,
    async begun(file) {
      const hash = createHash('sha256');
      let bytes = 0;
      try {
        const { size } = await stat(pathOf(file));
        if (size <= file.bytes) bytes = size;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
      if (bytes > 0) {
        const parts = createReadStream(pathOf(file), { end: bytes - 1, highWaterMark: STEP_BYTES });
        for await (const part of parts) hash.update(part as Buffer);
      }
      return { bytes, hash };
    },
    async append(file, from) {
      await mkdir(dirname(pathOf(file)), { recursive: true });
      const handle = await open(pathOf(file), from === 0 ? 'w' : 'r+');
      await handle.truncate(from);
      let at = from;
      return {
        async write(part) {
          for (let sent = 0; sent < part.byteLength;) {
            const { bytesWritten } = await handle.write(part, sent, part.byteLength - sent, at);
            sent += bytesWritten;
            at += bytesWritten;
          }
        },
        async close() {
          try {
            await handle.sync();
          } finally {
            await handle.close();
          }
        },
      };
    },
    discard: (file) => rm(pathOf(file), { force: true }),
    async publish(files) {
      await removeOthers(folder, new Set(files.map(({ path }) => path)));
      await rename(folder, join(parent, version));
      await flush(parent);
      await rm(`${folder}.lock`, { force: true });
    },
    release: () => lock.close(),
  };
}

/** Throws storage_full when the disk of `folder` has no room for so much more. */
export async function checkRoom(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free >= bytes + SPARE_BYTES) return;
  throw new PosternError(
    'storage_full',
    `${bytes} bytes are to come, and the disk of ${folder} has ${free} left: free some space`,
  );
}

function takeLock(path: string, what: string): DatabaseSync {
  closeSync(openSync(path, 'a', 0o600));
  const lock = new DatabaseSync(path, { timeout: 0 });
  try {
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock.close();
    if (((error as { errcode?: number }).errcode ?? 0) % 256 !== SQLITE_BUSY) throw error;
    throw new PosternError('config_invalid', `another process is pulling ${what} into the same folder: wait for it`);
  }
}

/** What an earlier try of another content left there, and whatever else nobody named. */
async function removeOthers(folder: string, named: ReadonlySet<string>, prefix = ''): Promise<void> {
  const folders = new Set([...named].flatMap((path) => parentsOf(path)));
  for (const entry of await readdir(join(folder, prefix), { withFileTypes: true })) {
    const path = prefix + entry.name;
    if (entry.isDirectory() && folders.has(path)) await removeOthers(folder, named, `${path}/`);
    else if (!entry.isFile() || !named.has(path)) await rm(join(folder, path), { recursive: true, force: true });
  }
  await flush(join(folder, prefix));
}

function parentsOf(path: string): string[] {
  const steps = path.split('/').slice(0, -1);
  return steps.map((_, index) => steps.slice(0, index + 1).join('/'));
}

async function flush(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
