/** A page of the memory driver's jobs, newest first. */
import type { Job } from '../dispatch/job.ts';
import { read, type Stored } from './memory-entry.ts';
import type { ListRequest } from './store.ts';

/** A page looks at no more entries than this; a filter that matches less gives short pages and a cursor. */
const MAX_LISTED_SCAN = 10_000;

export function listPage(
  newestFirst: Iterable<Stored>,
  { limit, status, model, caller }: ListRequest,
): { jobs: Job[]; next: string | null } {
  const jobs: Job[] = [];
  let scanned = 0;
  let scannedSeq = 0;
  let ownSeq = 0;
  for (const stored of newestFirst) {
    if (scanned === MAX_LISTED_SCAN) return { jobs, next: String(scannedSeq) };
    scanned += 1;
    scannedSeq = stored.seq;
    // Others' jobs are not there at all: they make no next page either.
    if (caller !== undefined && stored.caller !== caller) continue;
    if (jobs.length === limit) return { jobs, next: String(ownSeq) };
    ownSeq = stored.seq;
    const one = stored.live?.job ?? stored;
    if (status !== undefined && one.status !== status) continue;
    if (model !== undefined && one.model !== model) continue;
    jobs.push(read(stored));
  }
  return { jobs, next: null };
}
