/** One supervisor a folder. A lock of the system (SQLite's, on a file of its own): gone in the moment in which its process is. */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PosternError } from '../errors.ts';

/** Throws address_in_use when another supervisor has it. Returns how to leave it. */
export function holdSupervisorLock(path: string): () => void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  closeSync(openSync(path, 'a', 0o600));
  const db = new DatabaseSync(path, { timeout: 0 });
  try {
    // Nothing is ever written to it, so it needs no journal on the disk.
    db.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    db.close();
    const message = `another supervisor runs on ${dirname(dirname(path))}: stop it first`;
    throw new PosternError('address_in_use', message, { cause: error });
  }
  return () => db.close();
}
