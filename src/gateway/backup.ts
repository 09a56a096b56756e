/**
 * A backup is a folder: the store's file, copied at one moment, the blobs that it names, the control records (workers, keys), the
 * gateway's identity, and what apps keep beside them. It is made while the gateway runs.
 */
import { existsSync } from 'node:fs';
import { cp, mkdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { BlobStore } from '../blobs/blobs.ts';
import { copyBlobs, copyWithBlobs } from '../blobs/copy.ts';
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

/** What an app keeps in files of its own. */
export interface AppFiles {
  /** Copies them into the folder `draft`. Called before the jobs are copied, so that each job that they name is in the copy, unless it has expired. */
  backup(draft: string): Promise<void>;
  /** Puts them back from the backup. Called before the jobs, whose file is what makes a data folder one. */
  restore(backup: string): Promise<void>;
}

export interface BackupOptions {
  readonly clock: Clock;
  /** Where the payloads are; null: in the data folder. */
  readonly blobs?: GatewayConfig['blobs'];
  /** False: they are in a database, whose own backup has them and their payloads. */
  readonly jobs?: boolean;
  readonly apps?: readonly AppFiles[];
}

/**
 * Copies the store of `dataDir`, and its payloads from wherever they are, into the new folder `to`. The folder appears when
 * the backup is complete, not before.
 */
export async function backupStore(
  dataDir: string,
  to: string,
  { clock, blobs = null, jobs = true, apps = [] }: BackupOptions,
): Promise<BackupSummary> {
  if (existsSync(to)) throw new PosternError('config_invalid', `${to} exists already: choose another folder`);
  // Before an app has copied anything.
  if (jobs && !existsSync(storePath(dataDir))) {
    throw new PosternError('config_invalid', `there is no store at ${storePath(dataDir)}`);
  }
  const draft = `${to}.draft`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { recursive: true, mode: 0o700 });
  try {
    for (const app of apps) await app.backup(draft);
    const copy = async (): Promise<string[]> => {
      await rm(storePath(draft), { force: true });
      await copyStore(storePath(dataDir), storePath(draft));
      return namedBlobs(storePath(draft));
    };
    const copied = jobs ? await copyWithBlobs(copy, openAt(dataDir, clock, blobs), openAt(draft, clock, null)) : 0;
    const control = await copyControl(dataDir, draft);
    await rename(draft, to);
    return { blobs: copied, control };
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** Makes a store of this backup in `dataDir`, which must have none. */
export async function restoreStore(
  backup: string,
  dataDir: string,
  { clock, blobs = null, jobs = true, apps = [] }: BackupOptions,
): Promise<BackupSummary> {
  const target = storePath(dataDir);
  if (jobs && existsSync(target)) {
    throw new PosternError('config_invalid', `${target} exists already: stop the gateway and move it away first`);
  }
  if (jobs && !existsSync(storePath(backup))) {
    throw new PosternError(
      'config_invalid',
      `${backup} is no backup with jobs: it has no ${basename(storePath(backup))}`,
    );
  }
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const keys = jobs ? namedBlobs(storePath(backup)) : [];
  for (const app of apps) await app.restore(backup);
  // The blobs first: the file is what makes it a store.
  if (!(await copyBlobs(keys, openAt(backup, clock, null), openAt(dataDir, clock, blobs)))) {
    throw new PosternError('storage_failed', `${backup} is not complete: a payload that it names is missing`);
  }
  const control = await copyControl(backup, dataDir);
  if (jobs) await copyStore(storePath(backup), target);
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

const openAt = (dataDir: string, clock: Clock, blobs: GatewayConfig['blobs']): BlobStore =>
  createGatewayBlobs({ dataDir, blobs }, clock);
