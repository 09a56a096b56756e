/** What `/v1/admin` sends, as far as the console reads it (docs/http.md has the whole). */
export interface AdminSession {
  readonly key: { readonly id: string; readonly name: string };
  readonly expires_at: string;
  readonly csrf_token: string;
}

export interface WhoAmI {
  readonly caller: string;
  readonly key: { readonly id: string; readonly name: string } | null;
  readonly session: AdminSession | null;
}

export interface SessionModel {
  readonly name: string;
  readonly version: string;
  readonly state: string;
  readonly kind: string;
  readonly message: string | null;
  readonly max_rows: number;
  readonly credit_rows: number;
  readonly in_flight_jobs: number;
}

export interface WorkerSession {
  readonly name: string;
  readonly session: string;
  readonly state: 'connected' | 'draining' | 'away';
  readonly agent: string;
  readonly address: string;
  readonly connected_at: string;
  readonly last_seen_at: string;
  readonly round_trip_ms: number | null;
  readonly certificate_ends_at: string;
  readonly models: readonly SessionModel[];
  readonly not_allowed: readonly { readonly name: string; readonly version: string }[];
}

export interface Worker {
  readonly name: string;
  readonly standing: 'invited' | 'joined' | 'revoked' | 'locked';
  readonly models: readonly string[] | null;
  readonly invited_until: string | null;
  readonly certificate_ends_at: string | null;
  readonly late_renewals: number;
  readonly last_seen_at: string | null;
  readonly lock_reason: string | null;
  readonly session: WorkerSession | null;
}

export interface ModelVersion {
  readonly version: string;
  readonly state: string;
  readonly workers: number;
  /** Share of the traffic, 0 to 100, where versions share it. */
  readonly weight?: number | null;
}

export interface Model {
  readonly name: string;
  readonly description: string | null;
  readonly kind: string;
  readonly state: string;
  readonly versions: readonly ModelVersion[];
  readonly waiting_jobs: number;
  readonly processing_jobs: number;
  readonly last_seen_at: string | null;
  readonly accepted_per_s: number;
  readonly succeeded_per_s: number;
  readonly failed_per_s: number;
  readonly canceled_per_s: number;
}

export const COLUMNS = [
  'requests_per_s',
  'client_errors_per_s',
  'server_errors_per_s',
  'accepted_per_s',
  'succeeded_per_s',
  'failed_per_s',
  'canceled_per_s',
  'p50_ms',
  'p95_ms',
  'p99_ms',
  'queue_ms',
  'link_ms',
  'batch_wait_ms',
  'decode_ms',
  'compute_ms',
  'waiting_jobs',
  'processing_jobs',
  'connected_workers',
  'free_credit_rows',
  'memory_mib',
  'cpu_percent',
] as const;
export type Column = (typeof COLUMNS)[number];
export type Value = number | null;
export type Point = Readonly<Record<Column, Value>> & { readonly at: number };

export interface SeriesBody {
  readonly period_ms: number;
  readonly at: readonly number[];
  readonly columns: Readonly<Record<Column, readonly Value[]>>;
}

export interface Snapshot {
  readonly at: string;
  readonly gateway: {
    readonly phase: string;
    readonly started_at: string;
    readonly fault: string | null;
    readonly requests_in_flight: number;
    readonly body_bytes: number;
    readonly viewers: number;
  };
  readonly latest: Omit<Point, 'at'> | null;
  readonly workers: readonly WorkerSession[];
  readonly models: readonly Model[];
  readonly left_out: { readonly workers: number; readonly models: number };
}

export const PARTS = ['queue', 'link', 'batch', 'decode', 'compute', 'return'] as const;
export type Part = (typeof PARTS)[number];

export interface Timings {
  readonly queue_ms: number;
  readonly link_ms: number;
  readonly batch_wait_ms: number;
  readonly decode_ms: number;
  readonly compute_ms: number;
  readonly return_ms: number;
  readonly total_ms: number;
}

export const STATUSES = ['starting', 'processing', 'succeeded', 'failed', 'canceled', 'aborted'] as const;
export type JobStatus = (typeof STATUSES)[number];

export interface Job {
  readonly id: string;
  readonly model: string;
  readonly version: string | null;
  readonly status: JobStatus;
  readonly cancel_requested: boolean;
  readonly caller: string;
  readonly caller_name: string | null;
  readonly priority: number;
  readonly rows: number;
  readonly content_type: string;
  readonly worker: string | null;
  readonly attempt: number;
  readonly past_attempts: readonly {
    readonly attempt: number;
    readonly worker: string;
    readonly error_code: string;
    readonly error: string;
    readonly ended_at: string;
  }[];
  readonly progress: { readonly fraction: number | null; readonly message: string | null } | null;
  readonly error: string | null;
  readonly error_code: string | null;
  readonly output_bytes: number | null;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly completed_at: string | null;
  readonly deadline_at: string | null;
  readonly next_attempt_at: string | null;
  readonly queue_position?: number | null;
  readonly timings: Timings | null;
}

export interface JobFilter {
  readonly status: string;
  readonly model: string;
  readonly caller: string;
}

export interface ApiKey {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly models: readonly string[] | null;
  readonly rate_per_s: number | null;
  readonly max_undecided_jobs: number | null;
  readonly state: 'active' | 'revoked' | 'expired';
  readonly created_at: string;
  readonly created_by: string;
  readonly expires_at: string | null;
  readonly revoked_at: string | null;
  readonly last_used_at: string | null;
}

export interface AuditEntry {
  readonly seq: number;
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly target: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface AuditPage {
  readonly results: readonly AuditEntry[];
  readonly next_before: number | null;
  readonly head: string;
}

export const isDecided = (status: JobStatus): boolean => status !== 'starting' && status !== 'processing';
export const isRetriable = (status: JobStatus): boolean => status === 'failed' || status === 'aborted';
