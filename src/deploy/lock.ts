/**
 * Who may change what is released. A file, so that it can be taken before there is a supervisor; with an expiry, so that a
 * deploying side that died does not lock everybody out. It keeps people from each other; it is no secret.
 */
import { rename, rm } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { PosternError } from '../errors.ts';
import { createStateFile, PUBLIC_MODE, readStateFile } from '../state-file.ts';

const lock = z.object({
  owner: z.string().min(1).max(200),
  /** What is being released; null: not said. */
  version: z.string().max(200).nullable(),
  taken_at_ms: z.int(),
  expires_at_ms: z.int(),
});

export type Lock = z.infer<typeof lock>;

/** The lock that counts at `nowMs`; null: there is none, or it has expired. */
export async function readLock(path: string, nowMs: number): Promise<Lock | null> {
  const found = await readAny(path);
  return found !== null && found.expires_at_ms > nowMs ? found : null;
}

/** Takes it, or renews one's own. Throws deploy_locked. */
export async function takeLock(path: string, wanted: Lock): Promise<Lock> {
  // Each turn either takes it, finds it held, or removes one that does not count; others may do the same meanwhile.
  for (let tries = 0; tries < 5; tries += 1) {
    if (await createStateFile(path, `${JSON.stringify(wanted)}\n`, PUBLIC_MODE)) return wanted;
    const held = await readLock(path, wanted.taken_at_ms);
    if (held !== null && held.owner !== wanted.owner) throw lockedBy(held);
    await setAside(path);
  }
  throw new PosternError('deploy_locked', 'Others take and leave the lock all the time: try again.');
}

/** Leaves it. With `owner: null` whoever holds it. False: it was not held. Throws deploy_locked when somebody else holds it. */
export async function leaveLock(path: string, owner: string | null, nowMs: number): Promise<boolean> {
  const held = await readLock(path, nowMs);
  if (held !== null && owner !== null && held.owner !== owner) throw lockedBy(held);
  await setAside(path);
  return held !== null;
}

/** Throws deploy_locked when somebody else than `owner` holds it. */
export async function checkLock(path: string, owner: string | null, nowMs: number): Promise<void> {
  const held = await readLock(path, nowMs);
  if (held !== null && held.owner !== owner) throw lockedBy(held);
}

function lockedBy({ owner, version, expires_at_ms: expiresAtMs }: Lock): PosternError {
  const what = version === null ? '' : `, for ${version}`;
  return new PosternError(
    'deploy_locked',
    `${owner} holds the lock${what}, until ${new Date(expiresAtMs).toISOString()}: wait, or take it away by postern unlock --force.`,
  );
}

async function readAny(path: string): Promise<Lock | null> {
  const text = await readStateFile(path);
  if (text === null) return null;
  try {
    return lock.parse(JSON.parse(text));
  } catch {
    // Not ours, or of another version: nobody can be named, so it locks nobody out.
    return null;
  }
}

/** By a rename first: of two who remove the same one, only one also could remove a newer one. */
async function setAside(path: string): Promise<void> {
  const aside = `${path}.${randomBytes(6).toString('hex')}.old`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  await rm(aside, { force: true });
}
