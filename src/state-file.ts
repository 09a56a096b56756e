/**
 * Files that must survive a crash whole: written beside their place, flushed, renamed over it, and the folder flushed,
 * so that a reader finds the old content or the new one and never a part. Keys are 0600 in folders of 0700.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

export const KEY_MODE = 0o600;
export const PUBLIC_MODE = 0o644;

/** Replaces `path` with `content`, durably. */
export async function writeStateFile(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  const draft = await writeDraft(path, content, mode);
  await rename(draft, path);
  await flushFolder(dirname(path));
}

/** Creates `path` with `content`, durably; false when it is there already (another process was first). */
export async function createStateFile(path: string, content: string, mode: number): Promise<boolean> {
  const draft = await writeDraft(path, content, mode);
  try {
    // link refuses to replace, which rename does not: two processes that start together agree on one winner.
    await link(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
  await flushFolder(dirname(path));
  return true;
}

/** The content, or null when there is no such file. Other failures (permissions, a folder) are thrown. */
export async function readStateFile(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

async function writeDraft(path: string, content: string | Uint8Array, mode: number): Promise<string> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomBytes(6).toString('hex')}.draft`;
  const file = await open(draft, 'wx', mode);
  try {
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    // On a full disk every try would leave one more behind.
    await rm(draft, { force: true });
    throw error;
  }
  return draft;
}

async function flushFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
