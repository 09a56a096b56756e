/** How much anybody may do. Each stands beside what it bounds in `docs/fieldguide.md`. */
import type { ThrottleLimits } from '../../gateway/ports.ts';

export const MAX_PHOTOS = 5;

/** Identifications. A person takes a photo each few seconds at most, and pauses. */
export const OF_ADDRESS: ThrottleLimits = { burst: 30, everyMs: 6_000, maxNames: 50_000 };
export const OF_OWNER: ThrottleLimits = { burst: 20, everyMs: 10_000, maxNames: 50_000 };
/** A school class behind one address brings thirty at once, and its teacher a second one. */
export const NEW_OWNERS: ThrottleLimits = { burst: 60, everyMs: 600_000, maxNames: 50_000 };
/** Feedback, links, deletes, pages read: cheap, but each is a write. */
export const SMALL_WRITES: ThrottleLimits = { burst: 120, everyMs: 500, maxNames: 50_000 };

export const INSERT_LIMITS = {
  maxUndecided: 20,
  maxOwned: 1_000,
  /** At five photos each it is the engine's queue of a model (10,000), and a little. */
  maxWaiting: 2_000,
};

/** Readers who wait for news. More are answered at once, as if they had not asked to wait. */
export const MAX_WAITERS = 2_000;
/** News that nobody brings: a place in the queue, a worker that is back. */
export const WAIT_LOOK_MS = 1_000;
export const POLL_AFTER_MS = 1_000;
