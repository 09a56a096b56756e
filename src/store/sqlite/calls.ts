/** What the driver asks of its two threads. Types only: they are the agreement between both sides. */
import type { KnownModel } from '../known-models.ts';
import type { ErrorCode } from '../../errors.ts';
import type { Fence, JobError, JobId, Loss, SessionId } from '../../dispatch/job.ts';
import type { DeliveryEnd, DeliveryId } from '../../dispatch/delivery.ts';
import type { ViewRow } from '../delivery-view.ts';
import type { ClaimRequest, ModelCounts } from '../store.ts';
import type { JobRow } from './rows.ts';

/** A payload on its way into a row: in the message's own buffer, or in a blob that is on the disk already. */
export type StoredPayload =
  | { readonly type: 'inline'; readonly at: number; readonly bytes: number }
  | { readonly type: 'blob'; readonly key: string; readonly bytes: number };

export interface NewRow {
  readonly id: JobId;
  readonly model: string;
  /** '': any. */
  readonly version: string;
  readonly contentType: string;
  readonly parameters: string;
  readonly rows: number;
  readonly priority: number;
  readonly caller: string;
  /** null: no limit. */
  readonly maxUndecidedJobs: number | null;
  readonly deadlineAt: number | null;
  readonly idempotencyKey: string | null;
  readonly digest: string | null;
  /** JSON. */
  readonly webhook: string | null;
  readonly input: StoredPayload;
}

export interface Refusal {
  readonly type: 'refused';
  readonly code: ErrorCode;
  readonly message: string;
}

export type SubmitReply =
  | { readonly type: 'accepted'; readonly createdAt: number }
  | { readonly type: 'existing'; readonly row: JobRow }
  | Refusal;

export interface ClaimReply {
  /** With their inputs. */
  readonly rows: JobRow[];
  readonly leftRows: number;
  readonly soloJobs: number;
}

export type StoredOutcome =
  | {
      readonly type: 'succeeded';
      readonly contentType: string;
      readonly output: StoredPayload;
      readonly timings: string;
    }
  | { readonly type: 'failed'; readonly error: JobError; readonly retryable: boolean }
  | { readonly type: 'canceled' }
  | { readonly type: 'interrupted'; readonly error: JobError; readonly loss: Loss };

/** `applied`: without payloads, the driver has them. `settled`: with the output. */
export type FencedReply =
  | { readonly type: 'applied'; readonly row: JobRow }
  | { readonly type: 'settled'; readonly row: JobRow }
  | { readonly type: 'stale' }
  | { readonly type: 'unknown' };

export interface ReconcileReply {
  readonly kept: JobRow[];
  readonly lost: JobRow[];
}

export interface SweepReply {
  /** This process may sweep. */
  readonly hasRole: boolean;
  readonly reclaimed: JobRow[];
  readonly expired: JobRow[];
  readonly forgotten: number;
}

/** An input whose row is gone, and the blob that it named. */
export interface DroppedInput {
  readonly id: JobId;
  /** When its job was accepted. */
  readonly createdAt: number;
  readonly blob: string | null;
}

/** The writer's calls: one argument, one reply. All calls that wait are committed together. */
export interface WriterCalls {
  submit(jobs: readonly NewRow[]): SubmitReply[];
  claim(requests: readonly ClaimRequest[]): ClaimReply[];
  heartbeat(beat: { readonly session: SessionId; readonly leaseMs: number }): JobId[];
  progress(updates: readonly { readonly fence: Fence; readonly progress: string }[]): FencedReply[];
  settle(ends: readonly { readonly fence: Fence; readonly outcome: StoredOutcome }[]): FencedReply[];
  cancel(id: JobId): JobRow | null;
  /** Of those that had one. */
  dropFailedInputs(ids: readonly JobId[]): DroppedInput[];
  release(release: { readonly session: SessionId; readonly loss: Loss }): JobRow[];
  reconcile(call: {
    readonly session: SessionId;
    readonly held: readonly (readonly [JobId, number])[];
  }): ReconcileReply;
  sweep(limit: number): SweepReply;
  claimDeliveries(call: DeliveryClaimCall): DeliveryReply[];
  endDeliveries(ends: readonly DeliveryEnd[]): boolean[];
  retryDelivery(id: DeliveryId): ViewRow | null;
  probe(none: null): null;
  rememberModels(models: readonly KnownModel[]): null;
  /** This process claims and sweeps no more; another one may. */
  yieldRole(none: null): null;
  /** Blobs that no row names any more: takes them off the list of those to look at. */
  dropUnnamed(keys: readonly string[]): null;
}

export interface DeliveryClaimCall {
  readonly limit: number;
  readonly perHost: number;
  readonly inFlight: readonly (readonly [host: string, count: number])[];
  readonly leaseMs: number;
}

/** What is sent: the delivery as it was before this attempt, the job's row, and its output. */
export type DeliveryRow = [
  id: string,
  event: string,
  snapshot: string,
  outputType: string | null,
  output: Uint8Array | null,
  outputBlob: string | null,
  createdAt: number,
  attempt: number,
];

export interface DeliveryReply {
  readonly host: string;
  readonly row: DeliveryRow;
}

export interface DeliveryListCall {
  readonly limit: number;
  readonly beforeSeq: number | null;
  readonly status: string | null;
  readonly caller: string | null;
}

export interface ListCall {
  readonly limit: number;
  /** null: from the newest. */
  readonly beforeSeq: number | null;
  readonly status: string | null;
  readonly model: string | null;
  /** The id of a key. null: of everybody. */
  readonly caller: string | null;
}

export interface ListReply {
  /** Newest first, with their outputs. */
  readonly rows: JobRow[];
  /** Where the next page begins; null: there is none. */
  readonly nextBeforeSeq: number | null;
}

export interface RefusalCall {
  readonly model: string;
  readonly bytes: number;
  readonly caller: string;
  readonly maxUndecidedJobs: number | null;
  readonly idempotencyKey: string | null;
}

export interface ReaderCalls {
  get(id: JobId): JobRow | null;
  /** With the input that is kept for another try; null: none is. */
  failedInput(id: JobId): JobRow | null;
  list(call: ListCall): ListReply;
  counts(none: null): [model: string, counts: ModelCounts][];
  /** When the oldest of those that might be claimed was accepted, by model. */
  oldestWaiting(none: null): [model: string, createdAt: number][];
  queuePosition(id: JobId): number | null;
  decidedAmong(ids: readonly JobId[]): JobId[];
  knownModels(none: null): KnownModel[];
  /** Would this be refused for lack of room? A key that came before is not: the writer knows what became of it. */
  refusal(call: RefusalCall): Refusal | null;
  /** Blobs that lost a name, after this key in the order of keys. */
  unnamed(call: { readonly after: string; readonly limit: number }): string[];
  isNamed(key: string): boolean;
  deliveriesOf(id: JobId): ViewRow[];
  listDeliveries(call: DeliveryListCall): ViewRow[];
  pendingDeliveries(none: null): number;
  /** Copies what was committed from the log into the file, as far as readers allow, without making the writer wait. */
  checkpoint(none: null): null;
}

/** What one call needs to know about the moment at which it was made. */
export interface Moment {
  readonly nowMs: number;
  readonly monotonicMs: number;
}
