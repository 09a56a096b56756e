/** What bounds a store that is on a disk, and what each bound is unless somebody says otherwise. */
import { DEFAULT_LEASE_MS, DEFAULT_MAX_ATTEMPTS, DEFAULT_QUEUE_LIMIT, DEFAULT_WAIT_TTL_MS } from '../dispatch/job.ts';
import { DEFAULT_MODEL_TTL_MS } from './known-models.ts';

export interface DiskLimits {
  /** Waiting jobs per model; more are refused with queue_full. */
  readonly queueLimitJobs: number;
  readonly maxAttempts: number;
  /** How long a job without a deadline waits before it is aborted. */
  readonly waitTtlMs: number;
  /** How long a result is kept. Costs disk: the outputs of that long. */
  readonly resultTtlMs: number;
  /** How long a job with an idempotency key is kept, with its key. */
  readonly idempotencyTtlMs: number;
  /** Decided jobs kept at most, whatever their age; sweeps forget the oldest first, their keys with them. */
  readonly maxResults: number;
  readonly maxResultBytes: number;
  /** How long a model is known after its worker was last heard. */
  readonly modelTtlMs: number;
  /** Inputs of all undecided jobs; beyond it new jobs are refused with overloaded. */
  readonly maxInputBytes: number;
  /** Inputs of failed jobs, kept for another try; beyond it those of the oldest go. 0: none are kept. */
  readonly maxFailedInputBytes: number;
  /** Webhooks that wait to be delivered; beyond it jobs with one are refused with overloaded. */
  readonly maxDeliveries: number;
  /** Outputs that are kept for those that are not delivered; beyond it they are left out. */
  readonly maxDeliveryBytes: number;
  /** What sessions that held attempts are given when nobody could look after them, as when a process has just started. */
  readonly leaseMs: number;
}

const HOUR_MS = 3_600_000;
const GIB = 2 ** 30;

export const diskLimits = (options: Partial<DiskLimits>): DiskLimits => ({
  queueLimitJobs: options.queueLimitJobs ?? DEFAULT_QUEUE_LIMIT,
  maxAttempts: options.maxAttempts ?? DEFAULT_MAX_ATTEMPTS,
  waitTtlMs: options.waitTtlMs ?? DEFAULT_WAIT_TTL_MS,
  resultTtlMs: options.resultTtlMs ?? HOUR_MS,
  idempotencyTtlMs: options.idempotencyTtlMs ?? 24 * HOUR_MS,
  maxResults: options.maxResults ?? 1_000_000,
  maxResultBytes: options.maxResultBytes ?? 16 * GIB,
  maxInputBytes: options.maxInputBytes ?? 16 * GIB,
  maxFailedInputBytes: options.maxFailedInputBytes ?? GIB / 4,
  modelTtlMs: options.modelTtlMs ?? DEFAULT_MODEL_TTL_MS,
  maxDeliveries: options.maxDeliveries ?? 100_000,
  maxDeliveryBytes: options.maxDeliveryBytes ?? GIB,
  leaseMs: options.leaseMs ?? DEFAULT_LEASE_MS,
});
