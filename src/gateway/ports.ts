/**
 * What the rooms of the gateway ask of each other for callers; `worker-ports.ts` has the workers' side. `engine.ts` (jobs) stands between
 * `http/` (callers) and `sessions.ts` (workers); neither of these knows the other.
 */
import type { Service } from '../service.ts';
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { HasLocalParts } from './local-parts.ts';
import type { Call, Route } from './http/route.ts';
import type { PosternError } from '../errors.ts';
import type { Job, JobId, JobStatus, Json, Payload, SessionId } from '../dispatch/job.ts';
import type { DeliveryId, DeliveryView } from '../dispatch/delivery.ts';
import type { Deliveries } from '../store/deliveries.ts';
import type { Webhook } from '../dispatch/webhook.ts';
import type { ModelReport, ModelState } from '../protocol/messages.ts';
import type { ReportedModel, Room } from './room.ts';
import type { Decision, DeployOrder, Rollout } from './rollouts/rollout.ts';

export interface PredictionRequest {
  readonly model: string;
  readonly version: string | null;
  readonly input: Payload;
  readonly parameters: Readonly<Record<string, Json>>;
  readonly priority: number;
  readonly caller: string;
  /** Refused with quota_exceeded when the caller has so many undecided already; absent or null: no limit. */
  readonly maxUndecidedJobs?: number | null;
  /** Epoch ms. */
  readonly deadlineAt: number | null;
  readonly idempotencyKey: string | null;
  /** Of a batch; 1 unless it is said. */
  readonly rows?: number;
  /** false: kept in memory only, for as long as somebody waits for it; nothing survives this process. Default true. */
  readonly recorded?: boolean;
  /** Who is to be told of it; nobody unless it is said. */
  readonly webhook?: Webhook | null;
}

export interface ServedVersion {
  readonly version: string;
  readonly state: ModelState;
  /** Connected ones that have it loaded, or tried to. */
  readonly workers: number;
  /** Percent of the work that names no version, as it was decided. */
  readonly weight: number;
  /** Workers on which it gets such work now: it may not be ready on all of them yet. */
  readonly servingWorkers: number;
}

export interface ModelView {
  readonly name: string;
  readonly description: string | null;
  readonly kind: string;
  /** ready when at least one connected worker serves it. */
  readonly state: ModelState | 'away';
  readonly versions: readonly ServedVersion[];
  readonly waitingJobs: number;
  readonly processingJobs: number;
  /** Epoch ms when a worker with this model was last heard. */
  readonly lastSeenAt: number | null;
}

export interface WorkerView {
  readonly name: string;
  readonly session: SessionId;
  readonly state: 'connected' | 'draining' | 'away';
  readonly agent: string;
  readonly address: string;
  readonly connectedAt: number;
  readonly lastSeenAt: number;
  readonly roundTripMs: number | null;
  readonly models: readonly (ModelReport & { readonly creditRows: number; readonly inFlightJobs: number })[];
  /** Announced by the worker, but it was not invited for them: it is sent no work for these. */
  readonly notAllowed: readonly ModelReport[];
  /** Epoch ms at which its certificate ends. */
  readonly certificateEndsAt: number;
}

/** One job for somebody who reads along. All of it is as it stands now; `onChange` of the watch says when to look again. */
export interface JobWatch {
  /** This process hears of its parts, while it runs. */
  readonly isHere: boolean;
  readonly job: Job;
  /** The attempt whose parts these are: a newer one begins again with part 0. */
  readonly attempt: number;
  /** Parts of its output that are here. Of a decided job there may be fewer than there were: the output has all. */
  readonly partCount: number;
  part(seq: number): Payload;
  close(): void;
}

/** The predictions interface: what the HTTP APIs and the field guide use. Rejections are PosternErrors. */
export interface Predictions {
  /** Resolves when the job is as durable as the store makes it. Throws model_not_found, queue_full, draining, …. */
  submit(request: PredictionRequest): Promise<Job>;
  get(id: JobId): Promise<Job | null>;
  /** Resolves with the job once it is decided, or as it stands when `timeoutMs` is over or the signal is aborted. */
  wait(id: JobId, timeoutMs: number, signal?: AbortSignal): Promise<Job | null>;
  /** null: no such job. A job that is already decided is returned as it is. */
  cancel(id: JobId): Promise<Job | null>;
  /** A failed or aborted job again, as a new job with the same input. null: no such job. Throws retry_refused. */
  retry(id: JobId): Promise<Job | null>;
  list(request: {
    limit: number;
    cursor: string | null;
    status?: JobStatus;
    model?: string;
    caller?: string;
  }): Promise<{
    readonly jobs: Job[];
    readonly next: string | null;
  }>;
  /** Follows a job and the parts of its output. null: no such job. Throws overloaded when too many do. */
  watch(id: JobId, onChange: () => void): Promise<JobWatch | null>;
  queuePosition(id: JobId): Promise<number | null>;
  /** What became of what its webhook was told. */
  deliveriesOf(id: JobId): Promise<DeliveryView[]>;
  models(): Promise<readonly ModelView[]>;
  /** What was last reported of a model, or of one of its versions, and whether a worker serves it now. null: unknown. */
  report(model: string, version: string | null): ReportedModel | null;
  /**
   * To be awaited before a request is refused because nobody serves its model: workers may be on their way from the gateway
   * that this one replaced. null: they are not, or it is served.
   */
  settled(model: string): Promise<void> | null;
  workers(): readonly WorkerView[];
}

// ---- versions ----------------------------------------------------------------------------------------------------

/** One version on one worker. stored: it lies there and is not loaded. */
export interface VersionOnWorker {
  readonly version: string;
  readonly state: ModelState | 'stored';
  /** Gets work there that names no version. */
  readonly serves: boolean;
  readonly message: string | null;
}

export interface RolloutView {
  readonly model: string;
  /** What callers get who name no version; null: nothing serves. */
  readonly serving: string | null;
  /** What was decided; null: nothing ever was, and the newest version of each worker serves. */
  readonly rollout: Rollout | null;
  /** Connected ones that have any version of it. `takesDeploy`: it can be told what to load. */
  readonly workers: readonly {
    readonly name: string;
    readonly takesDeploy: boolean;
    readonly versions: readonly VersionOnWorker[];
  }[];
}

/** Which versions are deployed. Decisions are durable when these return. */
export interface Rollouts {
  /** Throws model_not_found when no connected worker has it, rollout_refused. */
  deploy(model: string, order: DeployOrder, decision: Decision): void;
  /** Throws rollout_refused when there is no earlier version. */
  rollback(model: string, decision: Decision): void;
  /** null: nobody has this model, and nothing was decided about it. */
  view(model: string): RolloutView | null;
  views(): readonly RolloutView[];
}

// ---- webhooks ------------------------------------------------------------------------------------------------------

/** What callers may know of the webhooks that were asked for. */
export interface Webhooks extends Pick<Deliveries, 'list' | 'ofJob' | 'pending'> {
  /** What this caller's webhooks are signed with, `whsec_…`. */
  secretOf(caller: string): Promise<string>;
  /** A failed delivery begins anew; null: there is none with this id that failed. */
  resend(id: DeliveryId): Promise<DeliveryView | null>;
}

// ---- services ----------------------------------------------------------------------------------------------------

/** An HTTP request for a local server of a worker. */
export interface ServiceRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** Names (lower case) and values in turn, chosen already. */
  readonly headers: readonly string[];
  /** The begin of the body; `more`: `write` and `end` bring the rest. */
  readonly body: Uint8Array;
  readonly more: boolean;
}

/** Which version of which service is asked. */
export interface ExchangeTarget {
  readonly model: string;
  readonly version: string;
}

export interface ServiceResponse {
  readonly status: number;
  readonly headers: readonly string[];
  /** The begin of the body; `more`: `onBody` brings the rest. */
  readonly body: Buffer;
  readonly more: boolean;
}

export interface ExchangeEvents {
  onResponse(response: ServiceResponse): void;
  onBody(bytes: Buffer, more: boolean): void;
  /** After `write` returned false: there is room again. */
  onRoom(): void;
  /** It ended before its end. `unsent`: the service has seen nothing of it. */
  onAbort(error: PosternError, unsent: boolean): void;
}

/** Calls after its end do nothing. */
export interface Exchange {
  /** False: wait for `onRoom`. */
  write(bytes: Uint8Array): boolean;
  end(): void;
  /** The caller has taken so many bytes of the response's body. */
  took(bytes: number): void;
  /** The caller left. */
  abort(): void;
}

/** A row of a worker's credit, kept for one request. */
export interface Seat {
  readonly worker: string;
  /** Once. */
  open(request: ServiceRequest, events: ExchangeEvents): Exchange;
  /** It was not used. Twice, or after `open`, is fine. */
  leave(): void;
}

export interface SeatRequest {
  readonly service: string;
  readonly caller: string;
  /** Refused with quota_exceeded when the caller has so many open; null: no limit. */
  readonly maxOpen: number | null;
  /** Workers that are not to be asked (again). */
  readonly refused: ReadonlySet<string>;
  /** Aborted when the caller leaves. Asked for only when there is something to wait for. */
  readonly leaving: () => AbortSignal;
}

/** Local HTTP servers of workers, for requests that are answered on the line and recorded nowhere. */
export interface Services {
  /** Waits for a free row, for a bounded time. Throws model_not_found, no_worker, overloaded, quota_exceeded. */
  seat(request: SeatRequest): Seat | Promise<Seat>;
  /** How busy the workers of this gateway are that have it. */
  room(service: string): Room;
  /** What is reported of a service. Throws model_not_found when there is none of this name. */
  report(service: string): ModelReport;
  /** Those that speak the API of OpenAI, and the models that each of them names. */
  openAi(): readonly { readonly service: string; readonly models: readonly string[]; readonly ready: boolean }[];
}

// ---- apps ---------------------------------------------------------------------------------------------------------

/** What an app adds to the OpenAPI document. Schemas share one space of names with the gateway's own. */
export interface OpenApiPart {
  readonly tag: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, object>>>>;
  readonly schemas: Readonly<Record<string, object>>;
}

/** What the gateway lends to an app. */
export interface AppHost {
  readonly predictions: Predictions;
  /** Calls `observer` with every job that is decided by this process; returns what takes it off. */
  onDecided(observer: (job: Job) => void): () => void;
  /** Inputs that are kept of predictions that failed, for an administrator's retry: these are to be gone, bytes and all. */
  dropFailedInputs(jobs: readonly JobId[]): Promise<unknown>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A file of a form. */
export interface FormFile {
  readonly contentType: string;
  readonly bytes: Buffer;
}

/** What the HTTP service does for the routes of an app: it knows the limits, the proxies and the addresses. */
export interface AppDesk {
  readonly maxBodyBytes: number;
  /**
   * The files of a form, all under one name, in memory that is counted until `use` is over. Throws bad_multipart, body_too_large,
   * unsupported_media_type, missing_input, overloaded, request_timeout.
   */
  withFiles<T>(call: Call, shape: FilesShape, use: (files: readonly FormFile[]) => Promise<T>): Promise<T>;
  /** Work with bytes that came another way: `count` takes them from the memory for bodies, until it is over. Throws overloaded. */
  withMemory<T>(use: (count: (bytes: number) => void) => Promise<T>): Promise<T>;
  /** A JSON object of at most 16 KiB. */
  readJson(request: IncomingMessage): Promise<Record<string, unknown>>;
  /** Whoever counts as one caller: an IPv4 address, or an IPv6 /64. */
  addressGroup(request: IncomingMessage): string;
  /** Did the caller come by HTTPS? Only then may a cookie say `Secure`. */
  isHttps(request: IncomingMessage): boolean;
  /** A page of another site wrote this, not one of `corsOrigins`. */
  isForeignWrite(request: IncomingMessage): boolean;
  /** The gateway is about to end: whoever waits is to be answered now. */
  draining(): boolean;
  /** Aborted when the caller goes before the answer. */
  leaving(call: Call): AbortSignal;
  /** Buckets by name, at most so many names: 0, or the milliseconds until there is one again. */
  throttle(limits: ThrottleLimits): { take(name: string): number };
}

export interface FilesShape {
  readonly field: string;
  readonly maxFiles: number;
}

export interface ThrottleLimits {
  /** At once, after a pause. */
  readonly burst: number;
  /** One more each. */
  readonly everyMs: number;
  /** Names that are remembered; the one that was heard of longest ago is forgotten first. */
  readonly maxNames: number;
}

/**
 * Something that is served beside the API, as the field guide is. It is started before the first request, maybe while another gateway still
 * serves; from `activate` on it may submit predictions and clear up.
 */
export interface App extends Service, HasLocalParts {
  activate(): Promise<void>;
  /** After start: where its pages send to beside the gateway; null: nowhere. */
  readonly uploadOrigin: string | null;
  routes(desk: AppDesk): Route[];
  readonly openApi: OpenApiPart;
}
