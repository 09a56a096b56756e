/** The shapes of the HTTP API as callers see them: what `/v1` sends, snake_case as on the wire. */
import type { ModelState } from '../protocol/messages.ts';

export type PredictionStatus = 'starting' | 'processing' | 'succeeded' | 'failed' | 'canceled' | 'aborted';

export interface Prediction {
  readonly id: string;
  /** `owner/name`. */
  readonly model: string;
  readonly version: string | null;
  readonly status: PredictionStatus;
  readonly output: unknown;
  readonly error: string | null;
  /** A code of the error table; null while nothing went wrong. */
  readonly error_code: string | null;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly completed_at: string | null;
  /** `total_time` and `predict_time` in seconds, `…_ms` in milliseconds. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly urls: { readonly get: string; readonly cancel: string; readonly stream: string; readonly output?: string };
  readonly attempt: number;
  readonly queue_position: number | null;
  readonly worker: string | null;
  /** It waits for its next attempt until then. */
  readonly next_attempt_at: string | null;
  /** Attempts that were lost or failed, oldest first. */
  readonly past_attempts: readonly PastAttempt[];
  readonly progress: { readonly fraction: number | null; readonly message: string | null } | null;
}

export interface PastAttempt {
  readonly attempt: number;
  readonly worker: string;
  readonly error_code: string;
  readonly error: string;
  readonly ended_at: string;
}

/** The output of an image-classification model. */
export interface Classification {
  readonly predictions: readonly { readonly label: string; readonly score: number }[];
  readonly rejected: boolean;
  readonly unsure?: boolean;
  readonly reject_score?: number;
}

export interface ModelSummary {
  readonly name: string;
  readonly owner: string;
  readonly description: string | null;
  readonly kind: string;
  readonly state: ModelState | 'away';
  readonly versions: readonly {
    readonly version: string;
    readonly state: ModelState;
    readonly workers: number;
    /** Percent of the predictions that name no version. */
    readonly weight: number;
    /** Workers on which it gets such predictions now. */
    readonly serving_workers: number;
  }[];
  readonly waiting_jobs: number;
  readonly processing_jobs: number;
  readonly last_seen_at: string | null;
}

export interface WorkerSummary {
  readonly name: string;
  readonly session: string;
  readonly state: 'connected' | 'draining' | 'away';
  readonly agent: string;
  readonly address: string;
  readonly connected_at: string;
  readonly last_seen_at: string;
  readonly round_trip_ms: number | null;
  readonly certificate_ends_at: string;
  readonly models: readonly {
    readonly name: string;
    readonly version: string;
    readonly state: ModelState;
    readonly kind: string;
    readonly message: string | null;
    readonly max_rows: number;
    readonly credit_rows: number;
    readonly in_flight_jobs: number;
  }[];
  /** Models that it serves and was not invited for: it is sent no work for these. */
  readonly not_allowed: readonly { readonly name: string; readonly version: string }[];
}

/** A worker as those see it who let it in. */
export interface WorkerAccount {
  readonly name: string;
  readonly standing: 'invited' | 'joined' | 'revoked' | 'locked';
  /** What it may run; null: all. */
  readonly models: readonly string[] | null;
  readonly created_at: string | null;
  readonly invited_until: string | null;
  readonly generation: number | null;
  readonly certificate_ends_at: string | null;
  readonly late_renewals: number;
  readonly last_seen_at: string | null;
  readonly revoked_at: string | null;
  readonly locked_at: string | null;
  readonly lock_reason: string | null;
  readonly session: WorkerSummary | null;
}

const DECIDED: ReadonlySet<PredictionStatus> = new Set<PredictionStatus>([
  'succeeded',
  'failed',
  'canceled',
  'aborted',
]);

/** Will this prediction never change again? */
export function isDecided(prediction: Prediction): boolean {
  return DECIDED.has(prediction.status);
}

export function isClassification(output: unknown): output is Classification {
  if (typeof output !== 'object' || output === null) return false;
  const { predictions, rejected } = output as Partial<Classification>;
  return typeof rejected === 'boolean' && Array.isArray(predictions);
}

/** A message to the receiver of a webhook on its way. */
export interface WebhookDelivery {
  /** The `webhook-id` of every attempt. */
  readonly id: string;
  readonly prediction: string;
  readonly event: string;
  readonly url: string;
  readonly status: 'pending' | 'delivered' | 'failed';
  readonly attempts: number;
  /** HTTP status of the latest answer. */
  readonly answer: number | null;
  readonly error: string | null;
  readonly created_at: string;
  readonly next_attempt_at: string | null;
  readonly ended_at: string | null;
}

/** Of a gateway that takes jobs. */
export interface Readiness {
  readonly status: 'ready';
  readonly workers: number;
  /** What other gateways on its database do not find: `files`, `photos`, `webhook_keys`. Absent: nothing. */
  readonly local?: readonly string[];
}

/** One of the gateways on a database. */
/** What `/v1/scaling` says: how many machines there are, and how many there should be. */
export interface ScalingSummary {
  readonly at: string;
  readonly targets: Readonly<Record<string, number>>;
  readonly models: readonly {
    readonly model: string;
    readonly workers: number;
    readonly wanted_workers: number;
    readonly reason: string;
    /** How long what waits now will have waited, at most. */
    readonly queue_s: number;
    readonly oldest_s: number;
    /** null: nothing was ended lately, so nobody knows. */
    readonly work_off_s: number | null;
    readonly waiting_jobs: number;
    readonly waiting_rows: number;
    readonly in_flight_jobs: number;
    readonly free_rows: number;
    readonly capacity_rows: number;
    readonly busy_rows: number;
    readonly rows_per_s: number;
  }[];
  readonly gateways: {
    readonly count: number;
    readonly wanted: number;
    readonly reason: string;
    readonly members: readonly {
      readonly id: string;
      readonly state: 'serving' | 'draining';
      readonly requests_in_flight: number;
      readonly connections: number;
      readonly sessions: number;
      /** Share of time in which its event loop computes. */
      readonly loop: number;
      readonly cpu_cores: number;
    }[];
  };
}

export interface GatewaySummary {
  readonly id: string;
  /** It is the one that was asked. */
  readonly answers: boolean;
  readonly release: string;
  readonly state: 'serving' | 'draining';
  readonly joined_at: string;
  readonly heartbeat_age_ms: number;
  readonly tunnel_address: string | null;
  readonly peer_address: string | null;
  /** Connected workers. */
  readonly sessions: number;
  readonly models: readonly {
    readonly name: string;
    readonly version: string;
    readonly sessions: number;
    readonly credit_rows: number;
    readonly in_flight_jobs: number;
  }[];
}
