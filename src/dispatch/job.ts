/** The words of the dispatcher: what a job is, and who may write to it. Types only; the table of moves is `states.ts`. */
import type { ErrorCode } from '../errors.ts';
import type { Webhook } from './webhook.ts';

/** UUIDv7: sorts by the time of its making. */
export type JobId = string;
/** One run of a worker process, as named in its hello. */
export type SessionId = string;

/** Replicate's words. starting: accepted and queued. aborted: the deadline passed before it ran. */
export type JobStatus = 'starting' | 'processing' | 'succeeded' | 'failed' | 'canceled' | 'aborted';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Bytes with a media type. Inputs and outputs alike. */
export interface Payload {
  readonly contentType: string;
  readonly bytes: Uint8Array;
}

/** The right to write to a job: every heartbeat, progress, result, failure and reclaim carries it, and it is checked. */
export interface Fence {
  readonly job: JobId;
  /** Counts from 1. */
  readonly attempt: number;
  readonly session: SessionId;
}

export interface NewJob {
  readonly id: JobId;
  readonly model: string;
  /** null: whichever version the model serves. */
  readonly version: string | null;
  readonly input: Payload;
  /** What the caller passed beside the input (top_k, …). */
  readonly parameters: Readonly<Record<string, Json>>;
  readonly rows: number;
  /** Higher goes first; 0 by default, −100 … 100. */
  readonly priority: number;
  /** The API key's id, or 'anonymous': the unit of fairness and quota. */
  readonly caller: string;
  /** Epoch ms; null: none. Passed before it ran → aborted; while it runs → failed with deadline_exceeded. */
  readonly deadlineAt: number | null;
  /** Echoed to the caller; null: none. */
  readonly idempotencyKey: string | null;
  /** Who is to be told, and of what; null: nobody. */
  readonly webhook: Webhook | null;
}

export interface JobError {
  readonly code: ErrorCode;
  readonly message: string;
}

/** An attempt that ended without deciding its job, or failed it because no attempt was left. */
export interface PastAttempt {
  readonly attempt: number;
  readonly worker: string;
  readonly code: ErrorCode;
  /** Cut to 200 characters. */
  readonly message: string;
  /** Epoch ms. */
  readonly endedAt: number;
}

/**
 * How an attempt was interrupted. free: by nobody's fault (a drain, a link lost before the worker had it). silent: its worker
 * was not heard for a whole lease. crashed: its worker is known to have died.
 */
export type Loss = 'free' | 'silent' | 'crashed';

/** Milliseconds of each part, as measured by the side that spent them. */
export interface JobTimings {
  /** Accepted until assigned to a worker. */
  readonly queueMs: number;
  /** The wire both ways, with serialisation: what is left of the time between assignment and result. */
  readonly linkMs: number;
  readonly workerQueueMs: number;
  readonly decodeMs: number;
  readonly batchMs: number;
  readonly computeMs: number;
}

export interface Job extends NewJob {
  /** `input.bytes` is empty once the job is decided: nobody needs the photo any more, and it is the largest part. The store may
   * keep that of a failed one for another try. */
  readonly status: JobStatus;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly completedAt: number | null;
  /** Attempts begun so far. */
  readonly attempt: number;
  /** Name of the worker of the latest attempt. */
  readonly worker: string | null;
  readonly session: SessionId | null;
  /** Which version ran (or runs) it. */
  readonly servedVersion: string | null;
  readonly progress: { readonly fraction: number | null; readonly message: string | null } | null;
  readonly cancelRequested: boolean;
  /** It may not be tried again before this time (epoch ms); null: it may, or it does not wait. */
  readonly nextAttemptAt: number | null;
  /** It may be what its worker died of: it is run alone. */
  readonly solo: boolean;
  /** Oldest first, at most 20. */
  readonly pastAttempts: readonly PastAttempt[];
  readonly output: Payload | null;
  readonly error: JobError | null;
  readonly timings: JobTimings | null;
}

/** How an attempt, or a job without one, ends. */
export type Outcome =
  | { readonly type: 'succeeded'; readonly output: Payload; readonly timings: JobTimings }
  | { readonly type: 'failed'; readonly error: JobError; readonly retryable: boolean }
  | { readonly type: 'canceled' }
  | { readonly type: 'interrupted'; readonly error: JobError; readonly loss: Loss };

/** The caller of everybody who has no key. */
export const ANONYMOUS = 'anonymous';
export const TERMINAL: ReadonlySet<JobStatus> = new Set<JobStatus>(['succeeded', 'failed', 'canceled', 'aborted']);
export const DEFAULT_MAX_ATTEMPTS = 3;
export const DEFAULT_QUEUE_LIMIT = 10_000;
/** Silence is noticed at the latest after DEAD_MS (15 s); 18 s and one sweep (1 s) keep the promise that a dead worker's jobs
 * run elsewhere within 20 s, while a link that is back in less than 18 s costs nothing. */
export const DEFAULT_LEASE_MS = 18_000;
/** How long a job waits for a worker when its caller set no deadline. */
export const DEFAULT_WAIT_TTL_MS = 24 * 60 * 60 * 1000;
