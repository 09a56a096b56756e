/**
 * The Store port: where jobs live. Every call takes a batch (single is a batch of one), is atomic per element, and checks
 * what it is about to change inside the same step (never count, then act). Drivers: `memory.ts` now; SQLite and
 * PostgreSQL fit the same shape: no call returns before its writes are as durable as the driver can make them.
 * `store.suite.ts` is the contract; every driver's test runs it.
 */
import type { FileBook } from './files.ts';
import type { KnownModel } from './known-models.ts';
import type { MemberBook } from './members.ts';
import type { Service } from '../service.ts';
import type { PosternError } from '../errors.ts';
import type { Fence, Job, JobId, JobStatus, Loss, NewJob, Outcome, Payload, SessionId } from '../dispatch/job.ts';
import type { Deliveries } from './deliveries.ts';

/** What became of one submitted job. `existing`: the idempotency key was already used with the same body. */
export type SubmitOutcome =
  | { readonly type: 'accepted'; readonly job: Job }
  | { readonly type: 'existing'; readonly job: Job }
  | { readonly type: 'refused'; readonly error: PosternError };

export interface ClaimRequest {
  readonly session: SessionId;
  readonly worker: string;
  readonly model: string;
  /** The version that the session serves; jobs that ask for another one are passed over. */
  readonly version: string;
  /** Rows in all. The claim ends at a job with more rows than are left: passing it over would let small jobs starve it. */
  readonly maxRows: number;
  /** The most rows that any claim of this session can ask for; a job with more than these is passed over. */
  readonly capacityRows: number;
  readonly leaseMs: number;
  /** Takes one job that must run alone, and no other; the session holds nothing. Otherwise such jobs are passed over. */
  readonly solo?: boolean;
  /** Takes only jobs that ask for this very version: what asks for none goes to another one. */
  readonly namedOnly?: boolean;
}

export interface Claimed {
  readonly jobs: Job[];
  /** Rows still waiting that this session's version may run; 0 means: asking again before new work arrives is useless. */
  readonly leftRows: number;
  /** Jobs still waiting that this version may run, and must run alone. */
  readonly soloJobs: number;
}

/** What a fenced write met. `stale`: another attempt or session owns the job; `settled`: it was decided before. */
export type FencedOutcome =
  | { readonly type: 'applied'; readonly job: Job }
  | { readonly type: 'stale' }
  | { readonly type: 'settled'; readonly job: Job }
  | { readonly type: 'unknown' };

export interface Reconciled {
  readonly kept: Job[];
  readonly lost: Job[];
}

export interface Swept {
  /** This process claims and sweeps. Otherwise nothing was done, and jobs are decided elsewhere. */
  readonly claims: boolean;
  readonly reclaimed: Job[];
  readonly expired: Job[];
  readonly forgotten: number;
}

export interface ListRequest {
  readonly limit: number;
  /** Opaque; from the previous page. */
  readonly cursor: string | null;
  readonly status?: JobStatus;
  readonly model?: string;
  readonly caller?: string;
}

/** A job on its way in, with what its caller's key allows. */
export interface SubmittedJob extends NewJob {
  /** Undecided jobs of this caller, this one included; more are refused with quota_exceeded. Absent or null: no limit. */
  readonly maxUndecidedJobs?: number | null;
}

export interface ModelCounts {
  /** All that wait, also those that wait for the time of their next attempt. */
  readonly waitingJobs: number;
  /** Rows that may be claimed now, together with others. */
  readonly waitingRows: number;
  /** Jobs that may be claimed now, alone. */
  readonly soloJobs: number;
  readonly processingJobs: number;
}

/** What another process on the same store did. Some are missed: whoever needs to know looks by itself now and then. */
export type StoreHint =
  | { readonly type: 'waiting'; readonly models: readonly string[] }
  /** null: too many to name, or some may have been missed. */
  | { readonly type: 'decided'; readonly jobs: readonly JobId[] | null }
  /** One came, left, or changed what it says of itself. */
  | { readonly type: 'members' };

export interface Store extends Service {
  /** True when an accepted job survives the death of this process. */
  readonly durable: boolean;
  /** What keeps callers from being served, where the driver knows before a call has failed; null: nothing. */
  readonly fault?: () => PosternError | null;
  submit(jobs: readonly SubmittedJob[]): Promise<SubmitOutcome[]>;
  /** Takes waiting jobs for sessions: starting → processing, attempt + 1, fence set. Highest priority, then by caller
   * (start-time fair queueing), then oldest. One answer per request, in the same order. */
  claim(requests: readonly ClaimRequest[]): Promise<Claimed[]>;
  /** Keeps the leases of all attempts that a session holds: one lease per session, not per job. Returns the jobs among them
   * whose cancel was requested. A lease is never shortened by it. */
  heartbeat(session: SessionId, leaseMs: number): Promise<JobId[]>;
  progress(
    updates: readonly { fence: Fence; fraction: number | null; message: string | null }[],
  ): Promise<FencedOutcome[]>;
  /** Ends attempts, as `dispatch/verdict.ts` rules. `interrupted` and retryable failures go back to starting while attempts
   * are left, at their old place in the queue; some of them not before a time, some to be run alone. */
  settle(ends: readonly { fence: Fence; outcome: Outcome }[]): Promise<FencedOutcome[]>;
  /** A caller's cancel: starting → canceled at once; processing → cancelRequested, and the worker is told. */
  cancel(id: JobId): Promise<Job | null>;
  /** Gives back every attempt of a session that is gone for good. */
  release(session: SessionId, loss: Loss): Promise<Job[]>;
  /** A session is back and holds exactly these attempts. What the store thinks it holds beside them was lost on the way to
   * it, and goes back without costing an attempt (`lost`); what it rightly holds is `kept`; all others are stale. */
  reconcile(session: SessionId, held: readonly (readonly [JobId, number])[]): Promise<Reconciled>;
  /** Ends what time has ended: leases that ran out, deadlines that passed, results past their TTL. Bounded per call. */
  sweep(limit: number): Promise<Swept>;
  /** From now on this process neither claims nor sweeps, so that another one on the same store may. For good. */
  stopClaiming(): Promise<void>;
  /** `input.bytes` may be left out (empty) here and in `list`: only `claim` must bring it. */
  get(id: JobId): Promise<Job | null>;
  /** The input of a job that failed or was aborted, for as long as it is kept (by bytes, the newest first) for another try; of
   * any other job null. */
  failedInput(id: JobId): Promise<Payload | null>;
  /** Drops inputs that are kept of decided jobs, bytes and all, whatever may still be tried again; returns whose there were. A job
   * that is not decided has none here: cancel it first, and none will be kept of it. */
  dropFailedInputs(ids: readonly JobId[]): Promise<JobId[]>;
  /** Which of these are decided, by whichever process: for callers who wait for what runs elsewhere. */
  decidedAmong(ids: readonly JobId[]): Promise<JobId[]>;
  /** Writes something and has it flushed; rejects while the store cannot. Whoever was told of a failure asks until it is well. */
  probe(): Promise<void>;
  /** Longest unheard first. Those of which nobody was heard for `modelTtlMs` are forgotten, and the oldest of too many. */
  knownModels(): Promise<KnownModel[]>;
  rememberModels(models: readonly KnownModel[]): Promise<void>;
  /** Newest first. A page may be shorter than `limit` and still have a `next`. */
  list(request: ListRequest): Promise<{ readonly jobs: Job[]; readonly next: string | null }>;
  counts(): Promise<ReadonlyMap<string, ModelCounts>>;
  /** How long the oldest job of each model has been waiting, ms since it was accepted, of those that might be claimed now. It goes
   * over all that wait: for who asks now and then. */
  oldestWaiting(): Promise<ReadonlyMap<string, number>>;
  /** Jobs of the same model that would be claimed before this one; null when it does not stand in line: it runs, is decided,
   * waits for its next attempt's time, or must be run alone. */
  queuePosition(id: JobId): Promise<number | null>;
  /** Who is told of what happens to jobs. */
  readonly deliveries: Deliveries;
  /** Tells others, as a hint, that work of these models waits which nobody here can take: `submit` does not say so by itself. What
   * comes back or is decided they are told without it. A driver without others has none. */
  readonly tellWaiting?: (models: readonly string[]) => void;
  /** Calls `listener` with what others did; returns what ends that. A driver without others has no hints. */
  readonly onHint?: (listener: (hint: StoreHint) => void) => () => void;
  /** What callers uploaded. A driver of one machine leaves them to a file beside it. */
  readonly files?: FileBook;
  /** Who else works on it. A driver without others has none. */
  readonly members?: MemberBook;
}
