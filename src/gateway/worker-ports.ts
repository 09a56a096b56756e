/** The workers' side of the gateway: one connected worker as the engine sees it, what it reports, and who accepts it. */
import type { PosternError } from '../errors.ts';
import type { Fence, Job, JobId, Payload, SessionId } from '../dispatch/job.ts';
import type { ModelReport, StoredVersion, Timings, WantedVersions } from '../protocol/messages.ts';
import type { Service } from '../service.ts';
import type { Exchange, ExchangeEvents, ExchangeTarget, ServiceRequest } from './ports.ts';

/** One authenticated worker, as the engine sees it. Calls on a closed session do nothing. */
export interface GatewaySession {
  readonly id: SessionId;
  /** From the certificate. */
  readonly worker: string;
  /** Earlier runs of this worker whose ends it still has. */
  readonly previous: readonly SessionId[];
  readonly agent: string;
  readonly address: string;
  readonly certificateEndsAt: number;
  readonly connectedAt: number;
  /** Any byte heard, on the monotonic clock translated to epoch ms. */
  readonly lastSeenAt: number;
  readonly roundTripMs: number | null;
  /** It can have other gateways keep what it holds. */
  readonly keeps?: boolean | undefined;
  /** Which versions are to be loaded; replaces what was said before. Absent: it is a worker that cannot be told. */
  readonly deploy?: ((models: readonly WantedVersions[]) => void) | undefined;
  assign(job: Job, version: string, timeoutMs: number | null): void;
  cancel(fence: Fence, reason: 'caller' | 'deadline' | 'stale' | 'drain'): void;
  /** Passes on an HTTP request. `onOver` is called once, at every end, before `events` learn of it. */
  request(of: ExchangeTarget, request: ServiceRequest, events: ExchangeEvents, onOver: () => void): Exchange;
  /** Tells the worker which of its models it was not invited for. */
  deny(models: readonly string[]): void;
  ack(fences: readonly Fence[]): void;
  /** Of a running attempt: all parts up to `seq` are here. −1: none are, and they are wanted from the first. */
  ackParts(fence: Fence, seq: number): void;
  /** Tells the worker to finish and go; resolves when it said drained, was lost, or the deadline passed. */
  drain(deadlineMs: number, reason: string): Promise<void>;
  close(code: string, reason: string): void;
}

/** Which worker may be sent work for which model. Asked for each job, so it answers from memory. */
export interface Permissions {
  allows(worker: string, model: string): boolean;
  /** Is it shut out, so that what it holds will never come back? */
  isOut(worker: string): boolean;
  /** Called when an answer may be another than before. Returns how to end that. */
  onChange(observer: () => void): () => void;
}

/** What sessions report. For one session the calls come in the order of the wire. */
export interface SessionEvents {
  /** A worker connected; `resumed` when the same session was known before (its attempts are still held). */
  onOpen(session: GatewaySession, resumed: boolean): void;
  /** `stored`: what lies there unloaded. */
  onModels(session: GatewaySession, models: readonly ModelReport[], stored?: readonly StoredVersion[]): void;
  onGrant(session: GatewaySession, model: string, version: string, rows: number): void;
  /** The worker wants rows back that were not used: `answer` with how many there were, in this very step. */
  onWithdraw(
    session: GatewaySession,
    model: string,
    version: string,
    rows: number,
    answer: (rows: number) => void,
  ): void;
  /** After a reconnect: every attempt that the worker still holds. */
  onResume(session: GatewaySession, attempts: readonly (readonly [JobId, number])[]): void;
  /** Nothing more will come of an earlier run of this worker. */
  onGone(session: GatewaySession, previous: SessionId): void;
  /** Another session of this worker, whose gateway it cannot reach, and in which it works on. `attempts`: all that it holds there, and nothing can come any
   * more; null: something may be on its way. */
  onKeep(session: GatewaySession, other: SessionId, attempts: readonly (readonly [JobId, number])[] | null): void;
  onProgress(session: GatewaySession, fence: Fence, fraction: number | null, message: string | null): void;
  /** In any order within the window: parts of one attempt may travel on several connections. */
  onPartial(session: GatewaySession, fence: Fence, seq: number, part: Payload): void;
  /** The fence may be one of an earlier run of the same worker; the same holds for a failure. */
  onResult(session: GatewaySession, fence: Fence, output: Payload, timings: Timings): void;
  onFailure(session: GatewaySession, fence: Fence, code: string, message: string, retryable: boolean): void;
  onCanceled(session: GatewaySession, fence: Fence): void;
  onHeard(session: GatewaySession): void;
  /** The worker will accept nothing more; what it holds, it finishes. */
  onDraining(session: GatewaySession): void;
  /** The link is gone (`error` says why; null after an orderly drain). The leases go on until they run out. */
  onClose(session: GatewaySession, error: PosternError | null): void;
}

/** Accepts workers' connections over mutual TLS. */
export interface WorkerListener extends Service {
  /** The bound port, after start. */
  readonly port: number;
  /** Stops accepting; the sessions stay. */
  leave(): void;
  /** Stops accepting, and drains every session. */
  drain(deadlineMs: number): Promise<void>;
}
