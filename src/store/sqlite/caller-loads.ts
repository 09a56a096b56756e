/**
 * How many undecided jobs each caller with a key has, for quotas. Owner of `caller_load`. Read once a transaction, changed in
 * memory, written once before the commit, as the sums of the ledger are.
 */
import type { DatabaseSync } from 'node:sqlite';

/** Has no quota, and would only be one more row that every transaction writes. */
const UNCOUNTED = 'anonymous';

export function createCallerLoads(db: DatabaseSync) {
  const read = db.prepare('SELECT undecided_jobs FROM caller_load WHERE caller = ?');
  read.setReturnArrays(true);
  const write = db.prepare('INSERT OR REPLACE INTO caller_load VALUES (?, ?)');
  const remove = db.prepare('DELETE FROM caller_load WHERE caller = ?');
  const loads = new Map<string, number>();
  const changed = new Set<string>();

  function of(caller: string): number {
    let found = loads.get(caller);
    if (found === undefined) {
      const row = read.get(caller) as unknown as [number] | undefined;
      loads.set(caller, (found = row?.[0] ?? 0));
    }
    return found;
  }

  function forget(): void {
    loads.clear();
    changed.clear();
  }

  return {
    of,
    add(caller: string, jobs: 1 | -1): void {
      if (caller === UNCOUNTED) return;
      loads.set(caller, of(caller) + jobs);
      changed.add(caller);
    },
    /** Before the commit. */
    flush(): void {
      for (const caller of changed) {
        const load = of(caller);
        if (load > 0) write.run(caller, load);
        else remove.run(caller);
      }
      forget();
    },
    /** After a rollback. */
    forget,
  };
}
