/** What the PostgreSQL driver can be told. */
import type { Clock } from '../../clock.ts';
import type { Logger } from '../../logger.ts';
import type { Secret } from '../../secret.ts';
import type { PayloadBlobs } from '../payload-blobs.ts';
import type { Meter } from './connection.ts';

export interface PostgresLimits {
  /** Waiting jobs per model, of all gateways together; more are refused with queue_full. */
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
  /** What sessions are given when nobody could look after them. */
  readonly leaseMs: number;
}

export interface PostgresStoreOptions extends Partial<PostgresLimits> {
  /** Of this process, for its own waits. What is written is told by the database's clock. */
  readonly clock: Clock;
  readonly url: Secret;
  /** Past any pooler, for LISTEN; null: the same. */
  readonly listenUrl?: Secret | null;
  /** For payloads over 64 KiB; not started or stopped here. null: they are kept in the database, which any gateway reaches. */
  readonly blobs: PayloadBlobs | null;
  /** How long a blob that no row names is kept. */
  readonly blobGraceMs?: number;
  readonly logger?: Logger;
  /** How long a call waits for a connection, and then for its answer. */
  readonly connectMs?: number;
  readonly answerMs?: number;
  /** Tests bring their own time: what the wall clock and the clock of leases say instead of the database's. */
  readonly time?: Pick<Clock, 'now' | 'monotonic'>;
  readonly meter?: Meter;
}

/** A moment as the statements take it: null is the database's clock. */
export interface Times {
  now(): number | null;
  lease(): number | null;
}

/** The number of this product in the space of advisory locks ("POST"), which other programs on the database share. */
export const LOCK_SPACE = 0x504f5354;
/** Writing connections choose among so many rows of sums: see `migrations/0001-tables.sql`. */
export const SLOTS = 63;
