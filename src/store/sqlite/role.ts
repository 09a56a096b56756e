/**
 * Which of the processes on one store claims and sweeps. Any of them may submit, settle, cancel and read; the one that holds
 * the role gives out work and ends what time has ended. When a release is switched, the old gateway yields the role, and
 * the new one, which has been asking, takes it.
 *
 * The role is a lock that the system holds on a file beside the store. It is gone in the moment in which its process is, so
 * there is no time to wait for and no clock to trust. Costs: a process that is stopped and not dead keeps it; whoever
 * supervises gateways ends those.
 */
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

export interface Role {
  /** Asks for it when it is not held, at most every `RETRY_MS`. `onGain` runs before the first true. */
  isHeld(monotonicMs: number): boolean;
  /** For good. */
  yield(): void;
}

const RETRY_MS = 250;
const SQLITE_BUSY = 5;

export function createRole(path: string, onGain: (monotonicMs: number) => void): Role {
  let lock: DatabaseSync | null = null;
  let isYielded = false;
  let askedAt = -Infinity;

  function ask(): DatabaseSync | null {
    closeSync(openSync(`${path}-role`, 'a', 0o600));
    const db = new DatabaseSync(`${path}-role`, { timeout: 0 });
    try {
      // Nothing is ever written to it, so it needs no journal on the disk.
      db.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
      return db;
    } catch (error) {
      db.close();
      if (((error as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_BUSY) return null;
      throw error;
    }
  }

  return {
    isHeld(monotonicMs) {
      if (lock !== null) return true;
      if (isYielded || monotonicMs < askedAt + RETRY_MS) return false;
      askedAt = monotonicMs;
      lock = ask();
      if (lock === null) return false;
      onGain(monotonicMs);
      return true;
    },
    yield() {
      isYielded = true;
      lock?.close();
      lock = null;
    },
  };
}
