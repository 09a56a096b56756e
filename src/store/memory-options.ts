/** What the memory driver can be told. Whatever is left out has a default in `memory.ts`. */
import type { Clock } from '../clock.ts';

export interface MemoryStoreOptions {
  readonly clock: Clock;
  /** Waiting jobs per model; more are refused with queue_full. */
  readonly queueLimitJobs?: number;
  readonly maxAttempts?: number;
  /** How long a job without a deadline waits before it is aborted. */
  readonly waitTtlMs?: number;
  /** How long a result is kept. Costs memory: the outputs of that long. */
  readonly resultTtlMs?: number;
  /** How long a job with an idempotency key is kept, with its key. */
  readonly idempotencyTtlMs?: number;
  /** Decided jobs kept at most, whatever their age; the oldest go first, their keys with them. 0: none. */
  readonly maxResults?: number;
  readonly maxResultBytes?: number;
  /** How long a model is known after its worker was last heard. */
  readonly modelTtlMs?: number;
  /** Inputs of all undecided jobs; beyond it new jobs are refused with overloaded. */
  readonly maxInputBytes?: number;
  /** Inputs of failed jobs, kept for another try; beyond it those of the oldest go. 0: none are kept. */
  readonly maxFailedInputBytes?: number;
  /** Webhooks that wait to be delivered; beyond it jobs with one are refused with overloaded. */
  readonly maxDeliveries?: number;
  /** Outputs that wait with them; beyond it they are left out. */
  readonly maxDeliveryBytes?: number;
}
