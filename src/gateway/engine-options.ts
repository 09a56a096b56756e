/** What an engine can be told. */
import type { Clock } from '../clock.ts';
import type { ConcurrencyLimits } from '../dispatch/limits.ts';
import type { Logger } from '../logger.ts';
import type { Store } from '../store/store.ts';
import type { RolloutBook } from './rollouts/book.ts';
import type { Permissions } from './ports.ts';

export interface EngineOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: Store;
  /** Which worker may be sent work for which model. Default: every one for all. */
  readonly permissions?: Permissions;
  /** How long a worker that is not heard keeps its attempts. Costs: a dead worker's jobs stand still for that long. */
  readonly leaseMs?: number;
  readonly limits?: ConcurrencyLimits;
  /** Where it is kept which versions are deployed. Default: in memory. */
  readonly rollouts?: RolloutBook;
  /** How long a version that was replaced stays loaded. */
  readonly soakMs?: number;
  /** Undecided jobs of a key that has no quota of its own. */
  readonly maxUndecidedJobsOfKey?: number;
  /** Another gateway on the store serves: `start` takes no part in giving out jobs, `activate` does. */
  readonly standby?: boolean;
  /** With `standby`: how long after `activate` the other one may still hold jobs of the store. */
  readonly besideMs?: number;
  /** Callers that wait at once. */
  readonly maxWaiters?: number;
  /** Callers that read along at once. */
  readonly maxWatches?: number;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
  readonly randomBytes?: (count: number) => Uint8Array;
  /** Calls back when this turn of the event loop has read all that was there to read. */
  readonly defer?: (flush: () => void) => void;
}
