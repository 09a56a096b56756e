/**
 * A backup is a folder: the store's file, copied at one moment, the blobs that it names, the control records (workers, keys)
 * and the gateway's identity. It is made while the gateway runs. A blob that a job no longer needs may be removed between the copy of the file and its own; the file is then
 * copied anew, and only what is missing is fetched, so each round is shorter than the one before.
 */
import { existsSync } from 'node:fs';
import { cp, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobStore } from '../blobs/blobs.ts';
import type { Clock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import { copyRecords, recordsPath } from '../identity/records.ts';
import { copyStore, namedBlobs } from '../store/sqlite/backup.ts';
import type { GatewayConfig } from './config.ts';
import { createGatewayBlobs, storePath } from './store.ts';

export interface BackupSummary {
  readonly blobs: number;
  /** Were the control records and the identity copied too? */
  readonly control: boolean;
}

const MAX_ROUNDS = 5;

type BlobsAt = GatewayConfig['blobs'];

/**
 * Copies the store of `dataDir`, and its payloads from wherever they are, into the new folder `to`. The folder appears when
 * the backup is complete, not before.
 */
export async function backupStore(
  dataDir: string,
  to: string,
  clock: Clock,
  blobsAt: BlobsAt = null,
): Promise<BackupSummary> {
  if (existsSync(to)) throw new PosternError('config_invalid', `${to} exists already: choose another folder`);
  const draft = `${to}.draft`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { recursive: true, mode: 0o700 });
  try {
    const blobs = await withBlobs(openAt(dataDir, clock, blobsAt), openAt(draft, clock), (from, copy) =>
      copyUntilComplete(dataDir, draft, from, copy),
    );
    const control = await copyControl(dataDir, draft);
    await rename(draft, to);
    return { blobs, control };
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function copyUntilComplete(dataDir: string, draft: string, from: BlobStore, copy: BlobStore): Promise<number> {
  for (let round = 1; round <= MAX_ROUNDS; round += 1) {
    await rm(storePath(draft), { force: true });
    await copyStore(storePath(dataDir), storePath(draft));
    const keys = namedBlobs(storePath(draft));
    if (await copyBlobs(keys, from, copy)) return keys.length;
  }
  throw new PosternError(
    'storage_failed',
    `a payload that the store names was missing in each of ${MAX_ROUNDS} rounds: the disk has lost it, or removes faster than it copies`,
  );
}

/** Makes a store of this backup in `dataDir`, which must have none. */
export async function restoreStore(
  backup: string,
  dataDir: string,
  clock: Clock,
  blobsAt: BlobsAt = null,
): Promise<BackupSummary> {
  const target = storePath(dataDir);
  if (existsSync(target)) {
    throw new PosternError('config_invalid', `${target} exists already: stop the gateway and move it away first`);
  }
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const keys = namedBlobs(storePath(backup));
  // The blobs first: the file is what makes it a store.
  const complete = await withBlobs(openAt(backup, clock), openAt(dataDir, clock, blobsAt), (from, copy) =>
    copyBlobs(keys, from, copy),
  );
  if (!complete) {
    throw new PosternError('storage_failed', `${backup} is not complete: a payload that it names is missing`);
  }
  const control = await copyControl(backup, dataDir);
  await copyStore(storePath(backup), target);
  return { blobs: keys.length, control };
}

/**
 * The records and the identity go together, and only to where neither is: those of a running installation are newer than
 * any backup of them, and an older one would give back what was revoked since.
 */
async function copyControl(from: string, to: string): Promise<boolean> {
  const folder = identityFolder(from);
  if (existsSync(recordsPath(to)) || existsSync(identityFolder(to))) return false;
  const records = await copyRecords(from, to);
  if (existsSync(folder)) await cp(folder, identityFolder(to), { recursive: true });
  return records || existsSync(folder);
}

const identityFolder = (dataDir: string): string => join(dataDir, 'identity');

/** False when one is gone. Each one is checked against its name as it is read. */
async function copyBlobs(keys: readonly string[], from: BlobStore, to: BlobStore): Promise<boolean> {
  for (const key of keys) {
    if (await to.has(key)) continue;
    const bytes = await from.get(key);
    if (bytes === null) return false;
    await to.put(bytes);
  }
  return true;
}

const openAt = (dataDir: string, clock: Clock, blobs: BlobsAt = null): BlobStore =>
  createGatewayBlobs({ dataDir, blobs }, clock);

async function withBlobs<T>(
  from: BlobStore,
  to: BlobStore,
  work: (from: BlobStore, to: BlobStore) => Promise<T>,
): Promise<T> {
  try {
    await from.start();
    await to.start();
    return await work(from, to);
  } finally {
    await from.stop();
    await to.stop();
  }
}
