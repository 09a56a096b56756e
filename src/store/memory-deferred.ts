/** Waiting jobs that may not be tried before a time, the earliest first. Owner of that order; the time is the wall clock's. */
import { isDue } from '../dispatch/backoff.ts';
import { createOrderedList } from './ordered-list.ts';

export interface Deferred {
  readonly seq: number;
  /** Epoch ms. Not changed while the entry is in. */
  notBefore: number;
}

export function createDeferredList<T extends Deferred>() {
  const entries = createOrderedList<T>((a, b) => a.notBefore - b.notBefore || a.seq - b.seq);
  return {
    put: (entry: T): void => entries.insert(entry),
    remove: (entry: T): boolean => entries.remove(entry),
    /** Takes one whose time has come. The last one is looked at too: the clock may have been put back. */
    takeDue(nowMs: number): T | null {
      for (const entry of [entries.at(0), entries.at(entries.size - 1)]) {
        if (entry === undefined || !isDue(entry.notBefore, nowMs)) continue;
        entries.remove(entry);
        return entry;
      }
      return null;
    },
  };
}
