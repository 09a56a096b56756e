/** What an engine can be told, and what it offers. */
import type { Clock } from '../clock.ts';
import type { ConcurrencyLimits } from '../dispatch/limits.ts';
import type { Logger } from '../logger.ts';
import type { Store } from '../store/store.ts';
import type { PosternError } from '../errors.ts';
import type { Job } from '../dispatch/job.ts';
import type { Service } from '../service.ts';
import type { RolloutBook } from './rollouts/book.ts';
import type { RolloutDesk } from './rollouts/rollouts.ts';
import type { ModelSeats } from './engine-load.ts';
import type { EngineStats } from './engine-stats.ts';
import type { Predictions, Services } from './ports.ts';
import type { Permissions, SessionEvents } from './worker-ports.ts';

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
  /** Do other gateways on the store serve, to which workers are linked as well? Default: none. */
  readonly hasOthers?: () => boolean;
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

export interface Engine extends Predictions, SessionEvents, Service {
  readonly services: Services;
  readonly rollouts: RolloutDesk;
  stats(): EngineStats;
  /** What sessions take and have taken, by model. */
  seats(): ReadonlyMap<string, ModelSeats>;
  /** Names of all models that were ever announced, and are not forgotten. */
  knownModels(): readonly string[];
  /** Why the store does not keep anything now; null: it does. */
  storeFault(): PosternError | null;
  /** Calls `observer` with every job that is decided here; returns what takes it off. What it throws is logged. */
  onDecided(observer: (job: Job) => void): () => void;
  /** Accepts no more jobs. Resolves when nothing is in flight (not durable: nothing is left), or after `deadlineMs`. */
  drain(deadlineMs: number): Promise<void>;
  /** From `standby` on: takes part in giving out and ending the store's jobs. Again is fine. */
  activate(): Promise<void>;
  /** Lets workers and jobs go over to another gateway on the same store; see `engine-leave.ts`. Memoised. */
  handOver(deadlineMs: number): Promise<void>;
  /** Answers everybody who waits for a job with what it is now. */
  endWaits(): void;
}
