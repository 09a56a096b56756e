/** Ends what time has ended: photos, identifications, visitors. Bounded per call; what is left waits for the next one. */
import type { Clock } from '../clock.ts';
import type { Clear } from './identify/clear.ts';
import type { Records } from './records/records.ts';

export interface SweepOptions {
  readonly records: Records;
  readonly clear: Clear;
  readonly clock: Clock;
}

/** Some 100 ms of work. */
const LIMIT = 500;
/** An upload takes a minute at most; one that did not arrive in an hour never will. */
const ARRIVING_MS = 3_600_000;
/** As long as the cookie of who comes no more, and a month. */
const OWNER_MS = 396 * 86_400_000;

export async function sweep({ records, clear, clock }: SweepOptions): Promise<void> {
  const now = clock.now();
  await clear.removed(await records.expirePhotos(now, LIMIT));
  await clear.removed(await records.expire(now, now - ARRIVING_MS, LIMIT));
  await records.forgetOwners(now - OWNER_MS, LIMIT);
}
