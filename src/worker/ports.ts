/** What the rooms of the worker ask of each other: the dialling session (link) and the executor of jobs (work). */
import type { Service } from '../service.ts';
import type { Assign, ModelReport, StoredVersion, Timings, WantedVersions } from '../protocol/messages.ts';
import type { PosternError } from '../errors.ts';
import type { ServiceExchange } from './runner.ts';

export interface Attempt {
  readonly job: string;
  readonly attempt: number;
}

/** An assigned attempt with its input complete. */
export interface Assignment extends Attempt {
  readonly model: string;
  readonly version: string;
  readonly rows: number;
  readonly contentType: string;
  readonly input: Buffer;
  readonly parameters: NonNullable<Assign['parameters']>;
  /** Monotonic ms after which the result is of no use; null: never. */
  readonly deadlineAt: number | null;
  /** Monotonic ms of arrival. */
  readonly receivedAt: number;
}

export type AttemptEnd =
  | { readonly type: 'result'; readonly contentType: string; readonly output: Uint8Array; readonly timings: Timings }
  | { readonly type: 'failure'; readonly error: PosternError; readonly retryable: boolean }
  | { readonly type: 'canceled' };

/** The link, as the executor sees it. Everything may be called while disconnected: it is kept and sent on reconnect. */
export interface WorkerLink extends Service {
  /** Replaces the list of models, and of versions that are not loaded, told to the gateway (now, and after every reconnect). */
  announce(models: readonly ModelReport[], stored?: readonly StoredVersion[]): void;
  /** Absolute credit per model@version: rows that the executor accepts in all, in flight included. The link sends the
   * difference, and after a reconnect starts again from what is really free. */
  setCapacity(model: string, version: string, rows: number): void;
  /** Rows of this version that are under way: assigned and not ended. */
  busyRows(model: string, version: string): number;
  progress(attempt: Attempt, fraction: number | null, message: string | null): void;
  /** A part of a running attempt's output, numbered from 0 without gaps. Kept until the attempt ends, because a gateway that
   * was restarted has none of them. A promise: the reader is behind, wait for it before the next one. */
  partial(attempt: Attempt, seq: number, contentType: string, bytes: Uint8Array): Promise<void> | undefined;
  /** Ends an attempt; results and failures are kept until the gateway acked them, and sent again after a reconnect. */
  end(attempt: Attempt, end: AttemptEnd): void;
  /** Tells the gateway that nothing more is accepted, waits for what runs, then closes. */
  drain(deadlineMs: number): Promise<void>;
  readonly state: 'connecting' | 'connected' | 'draining' | 'stopped';
  readonly roundTripMs: number | null;
}

/** A caller's HTTP request, as the link hands it to the executor. */
export interface IncomingExchange extends ServiceExchange {
  readonly model: string;
  readonly version: string;
}

/** What the link tells the executor. */
export interface LinkEvents {
  onAssign(assignment: Assignment): void;
  onCancel(attempt: Attempt, reason: 'caller' | 'deadline' | 'stale' | 'drain'): void;
  /** An HTTP request for a service. It is over when it was answered, failed or aborted. */
  onRequest(request: IncomingExchange): void;
  /** Which versions are to be loaded from now on. */
  onDeploy(models: readonly WantedVersions[]): void;
  /** Something of this version ended: `busyRows` is less than before. */
  onFreed(model: string, version: string): void;
  /** The gateway drains: finish what runs; the link will close and dial again. */
  onDrain(deadlineMs: number): void;
  onState(state: WorkerLink['state'], error: PosternError | null): void;
}
