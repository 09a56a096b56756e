/**
 * The HTTP client of a gateway. Only what browsers have as well (fetch, FormData, AbortSignal): no Node imports. Errors
 * are PosternErrors with the gateway's codes; `unreachable` when nothing answered.
 */
import type { DeployedModel, DeployOptions } from './rollouts.ts';
import { PosternError } from '../errors.ts';
import { DEFAULT_RETRY, send, type CallBody, type RetryPolicy, type Transport } from './http.ts';
import { streamPrediction, type PredictionEvent, type StreamOptions } from './stream.ts';
import {
  isDecided,
  type GatewaySummary,
  type Readiness,
  type ModelSummary,
  type Prediction,
  type ScalingSummary,
  type WebhookDelivery,
  type WorkerAccount,
  type WorkerSummary,
} from './shapes.ts';

export interface ClientOptions {
  /** `http://host:port`, without a path behind it, or with the prefix that a proxy puts there. */
  readonly gateway: string;
  /** The API key, where the gateway asks for one. */
  readonly apiKey?: string;
  readonly retry?: RetryPolicy;
  readonly fetch?: typeof fetch;
  readonly random?: () => number;
  readonly delay?: Transport['delay'];
}

export interface PredictOptions {
  readonly contentType?: string;
  /** Sent beside the input, as text: top_k, …. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** 1–60 s: answer when decided or then. 0: answer at once. */
  readonly waitS?: number;
  /** The job is worthless this long after it was accepted. */
  readonly cancelAfterS?: number;
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
}

export interface WaitOptions {
  /** In all; Infinity is fine. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Called with every answer, so that progress can be shown. */
  readonly onUpdate?: (prediction: Prediction) => void;
}

export interface WebhookListOptions {
  readonly status?: WebhookDelivery['status'];
  /** 1–500. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

export type PredictInput = CallBody;

export interface Client {
  /** Submits one input. The answer may be undecided: `run` goes on until it is. */
  predict(model: string, input: PredictInput, options?: PredictOptions): Promise<Prediction>;
  /** Submits and waits until the prediction is decided; aborting the signal stops the waiting, not the job. */
  run(model: string, input: PredictInput, options?: PredictOptions & WaitOptions): Promise<Prediction>;
  /** As it stands; with `waitS` as it stands when decided or then. */
  prediction(id: string, options?: { readonly waitS?: number; readonly signal?: AbortSignal }): Promise<Prediction>;
  /** Long polls until the prediction is decided. Throws deadline_exceeded after `timeoutMs`. */
  wait(id: string, options?: WaitOptions): Promise<Prediction>;
  /** The prediction as it goes on, from its beginning until it is decided. Comes back by itself when it is cut off. */
  stream(id: string, options?: StreamOptions): AsyncGenerator<PredictionEvent, void, undefined>;
  cancel(id: string, signal?: AbortSignal): Promise<Prediction>;
  /** Takes it jobs, and what of it lies on one machine alone? Throws draining, storage_full, storage_failed. */
  ready(signal?: AbortSignal): Promise<Readiness>;
  models(signal?: AbortSignal): Promise<readonly ModelSummary[]>;
  workers(signal?: AbortSignal): Promise<readonly WorkerSummary[]>;
  /** Those without a session too. For administrators. */
  allWorkers(signal?: AbortSignal): Promise<readonly WorkerAccount[]>;
  /** Those on one database, as the one that is asked knows them. For administrators. */
  gateways(signal?: AbortSignal): Promise<readonly GatewaySummary[]>;
  /** How many workers and gateways are wanted, with these targets beside the usual ones; null: of all models. */
  scaling(
    model: string | null,
    targets: Readonly<Record<string, number>>,
    signal?: AbortSignal,
  ): Promise<ScalingSummary>;
  /** Which versions are deployed, and what each worker has. For administrators, as the next three. */
  deployedModels(signal?: AbortSignal): Promise<readonly DeployedModel[]>;
  deployedModel(name: string, signal?: AbortSignal): Promise<DeployedModel>;
  /** Answers when it is decided; each worker changes over when its own copy is ready. */
  deployModel(name: string, version: string, options?: DeployOptions): Promise<DeployedModel>;
  rollbackModel(name: string, signal?: AbortSignal): Promise<DeployedModel>;
  /** What became of webhooks, newest first: one page. */
  webhookDeliveries(options?: WebhookListOptions): Promise<readonly WebhookDelivery[]>;
  /** A failed delivery begins anew. */
  resendWebhook(id: string, signal?: AbortSignal): Promise<WebhookDelivery>;
}

/** The gateway's longest wait; a poll asks for half, so that proxies with a 60 s limit do not cut it. */
const POLL_S = 30;

export function createClient(options: ClientOptions): Client {
  const transport: Transport = {
    base: options.gateway.replace(/\/+$/, ''),
    apiKey: options.apiKey ?? null,
    fetch: options.fetch ?? fetch,
    retry: options.retry ?? DEFAULT_RETRY,
    random: options.random ?? Math.random,
    delay: options.delay ?? delay,
  };
  const getJson = async <T>(
    path: string,
    signal: AbortSignal | undefined,
    headers?: Record<string, string>,
  ): Promise<T> =>
    readJson<T>(await send(transport, { method: 'GET', path, repeatable: true, signal, headers }), transport.base);

  const client: Client = {
    async predict(model, input, predictOptions = {}) {
      const { waitS = POLL_S, signal } = predictOptions;
      const stream = input instanceof ReadableStream;
      const contentType =
        predictOptions.contentType ?? ((input instanceof Blob && input.type) || 'application/octet-stream');
      const headers: Record<string, string> = { 'content-type': contentType };
      if (waitS > 0) headers.prefer = `wait=${Math.min(Math.ceil(waitS), 60)}`;
      if (predictOptions.cancelAfterS !== undefined) headers['cancel-after'] = `${predictOptions.cancelAfterS}s`;
      const idempotencyKey = predictOptions.idempotencyKey ?? (stream ? null : randomKey());
      if (idempotencyKey !== null) headers['idempotency-key'] = idempotencyKey;
      const query = new URLSearchParams(predictOptions.parameters).toString();
      const path = `/v1/models/${modelPath(model)}/predictions${query === '' ? '' : `?${query}`}`;
      const call = { method: 'POST', path, headers, body: input, signal, repeatable: !stream } as const;
      return readJson<Prediction>(await send(transport, call), transport.base);
    },
    async run(model, input, runOptions = {}) {
      const prediction = await client.predict(model, input, runOptions);
      runOptions.onUpdate?.(prediction);
      return isDecided(prediction) ? prediction : client.wait(prediction.id, runOptions);
    },
    prediction: (id, { waitS = 0, signal } = {}) =>
      getJson<Prediction>(`/v1/predictions/${encodeURIComponent(id)}${waitS > 0 ? `?wait=${waitS}` : ''}`, signal),
    async wait(id, { timeoutMs = Infinity, signal, onUpdate } = {}) {
      const limit = Number.isFinite(timeoutMs) ? AbortSignal.timeout(timeoutMs) : undefined;
      const both = limit && signal ? AbortSignal.any([limit, signal]) : (limit ?? signal);
      try {
        for (;;) {
          const prediction = await client.prediction(id, { waitS: POLL_S, signal: both });
          onUpdate?.(prediction);
          if (isDecided(prediction)) return prediction;
        }
      } catch (error) {
        if (limit?.aborted !== true || signal?.aborted === true) throw error;
        throw new PosternError('deadline_exceeded', `prediction ${id} was not decided within ${timeoutMs} ms`, {
          cause: error,
        });
      }
    },
    stream: (id, streamOptions) => streamPrediction(transport, id, streamOptions),
    async cancel(id, signal) {
      const path = `/v1/predictions/${encodeURIComponent(id)}/cancel`;
      return readJson(await send(transport, { method: 'POST', path, repeatable: true, signal }), transport.base);
    },
    ready: (signal) => getJson<Readiness>('/readyz', signal),
    models: async (signal) => (await getJson<{ results: ModelSummary[] }>('/v1/models', signal)).results,
    async webhookDeliveries({ status, limit = 50, signal } = {}) {
      const query = `limit=${limit}${status === undefined ? '' : `&status=${status}`}`;
      return (await getJson<{ results: WebhookDelivery[] }>(`/v1/webhooks/deliveries?${query}`, signal)).results;
    },
    async resendWebhook(id, signal) {
      const path = `/v1/webhooks/deliveries/${encodeURIComponent(id)}/resend`;
      return readJson(await send(transport, { method: 'POST', path, repeatable: true, signal }), transport.base);
    },
    deployedModels: async (signal) => (await getJson<{ results: DeployedModel[] }>('/v1/admin/models', signal)).results,
    deployedModel: (name, signal) => getJson<DeployedModel>(`/v1/admin/models/${encodeURIComponent(name)}`, signal),
    async deployModel(name, version, { weight = 100, allowDowntime = false, signal } = {}) {
      const path = `/v1/admin/models/${encodeURIComponent(name)}/deploy`;
      const body = new Blob([JSON.stringify({ version, weight, allow_downtime: allowDowntime })]);
      const headers = { 'content-type': 'application/json' };
      return readJson(
        await send(transport, { method: 'POST', path, headers, body, repeatable: true, signal }),
        transport.base,
      );
    },
    async rollbackModel(name, signal) {
      // A second one goes forward again, so it is never repeated by itself.
      const path = `/v1/admin/models/${encodeURIComponent(name)}/rollback`;
      return readJson(await send(transport, { method: 'POST', path, repeatable: false, signal }), transport.base);
    },
    workers: async (signal) => (await getJson<{ results: WorkerSummary[] }>('/v1/workers', signal)).results,
    allWorkers: async (signal) => (await getJson<{ results: WorkerAccount[] }>('/v1/admin/workers', signal)).results,
    scaling(model, targets, signal) {
      const query = new URLSearchParams(model === null ? {} : { model });
      for (const [name, value] of Object.entries(targets)) query.set(name, String(value));
      return getJson<ScalingSummary>(`/v1/scaling${query.size === 0 ? '' : `?${query.toString()}`}`, signal);
    },
    gateways: async (signal) => (await getJson<{ results: GatewaySummary[] }>('/v1/admin/gateways', signal)).results,
  };
  return client;
}

/** `plants` and `owner/plants` both name a model; the owner is free. */
function modelPath(model: string): string {
  const parts = model.split('/');
  if (parts.length > 2 || parts.some((part) => part === '')) {
    throw new PosternError('bad_parameter', `expected a model as name or owner/name, got ${JSON.stringify(model)}`);
  }
  return (parts.length === 2 ? parts : ['local', ...parts]).map(encodeURIComponent).join('/');
}

async function readJson<T>(response: Response, base: string): Promise<T> {
  try {
    return (await response.json()) as T;
  } catch (error) {
    throw new PosternError('unreachable', `${base} answered, but not with JSON: is it a Postern gateway?`, {
      cause: error,
    });
  }
}

/** 128 random bits; crypto.randomUUID is missing on pages that are not served over HTTPS. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Waits with the one timer that browsers and Node share as a signal. */
function delay(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = AbortSignal.timeout(Math.ceil(delayMs));
    const either = signal === undefined ? timer : AbortSignal.any([timer, signal]);
    const finish = (): void => {
      if (signal?.aborted === true) reject(signal.reason as Error);
      else resolve();
    };
    if (either.aborted) finish();
    else either.addEventListener('abort', finish, { once: true });
  });
}
