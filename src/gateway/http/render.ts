/**
 * A prediction as callers see it: Replicate's shape and a few more fields. Written as text by hand, because the output is
 * embedded as it came from the worker (the engine has checked that it is JSON) and is never parsed again here.
 */
import { shownDelivery } from './deliveries.ts';
import type { DeliveryView } from '../../dispatch/delivery.ts';
import type { Webhook } from '../../dispatch/webhook.ts';
import type { Job, JobTimings, PastAttempt, Payload } from '../../dispatch/job.ts';

/** A binary output up to this size is answered as a data URL; of a larger one, its address. */
export const MAX_DATA_URL_BYTES = 1024 * 1024;
/** In a list, larger outputs and inputs are left out. */
export const MAX_LISTED_BYTES = 16_384;
const OWNER = 'local';

export interface RenderOptions {
  /** `http://host:port`, without a slash at the end. */
  readonly base: string;
  readonly queuePosition: number | null;
  /** Outputs over it are left out (`null`); they can still be read from `urls.output`. */
  readonly maxOutputBytes?: number;
  /** What its webhook was told, where that is shown. */
  readonly deliveries?: readonly DeliveryView[];
}

export function renderPrediction(job: Job, options: RenderOptions): string {
  const { base, queuePosition, maxOutputBytes = Infinity } = options;
  const get = `${base}/v1/predictions/${job.id}`;
  const { error } = job;
  return (
    `{"id":"${job.id}","model":"${OWNER}/${job.model}","version":${quoted(job.servedVersion ?? job.version)}` +
    `,"status":"${job.status}","input":${renderInput(job)}` +
    `,"output":${job.output === null ? 'null' : renderOutput(job.output, maxOutputBytes, `${get}/output`)}` +
    (error === null
      ? ',"error":null,"error_code":null'
      : `,"error":${quoted(error.message)},"error_code":"${error.code}"`) +
    `,"logs":"","data_removed":false,"source":"api","progress":${job.progress === null ? 'null' : JSON.stringify(job.progress)}` +
    `,"queue_position":${queuePosition},"attempt":${job.attempt},"worker":${quoted(job.worker)}` +
    `,"next_attempt_at":${moment(job.nextAttemptAt)},"past_attempts":${renderPast(job.pastAttempts)}` +
    `,"created_at":${moment(job.createdAt)},"started_at":${moment(job.startedAt)},"completed_at":${moment(job.completedAt)}` +
    `,"deadline_at":${moment(job.deadlineAt)},"metrics":${renderMetrics(job)}` +
    (job.webhook === null ? '' : renderWebhook(job.webhook, options.deliveries)) +
    `,"urls":{"get":"${get}","cancel":"${get}/cancel","stream":"${get}/stream"${job.output === null ? '' : `,"output":"${get}/output"`}}}`
  );
}

function renderWebhook({ url, events }: Webhook, deliveries: readonly DeliveryView[] | undefined): string {
  const wanted = `,"webhook":${JSON.stringify(url)},"webhook_events_filter":${JSON.stringify(events)}`;
  return deliveries === undefined
    ? wanted
    : `${wanted},"webhook_deliveries":${JSON.stringify(deliveries.map(shownDelivery))}`;
}

/** Never the bytes, which are dropped once the job is decided: their type, and the parameters beside them. */
function renderInput({ input, parameters }: Job): string {
  const name = input.contentType.startsWith('image/') ? 'image' : 'file';
  const file = `"${name}":{"content_type":${quoted(input.contentType)}}`;
  let rest = '';
  for (const key in parameters) if (key !== name) rest += `,${JSON.stringify(key)}:${JSON.stringify(parameters[key])}`;
  return `{${file}${rest}}`;
}

function renderPast(attempts: readonly PastAttempt[]): string {
  if (attempts.length === 0) return '[]';
  const shown = attempts.map(({ attempt, worker, code, message, endedAt }) => {
    return { attempt, worker, error_code: code, error: message, ended_at: new Date(endedAt).toISOString() };
  });
  return JSON.stringify(shown);
}

function renderOutput({ contentType, bytes }: Payload, maxBytes: number, address: string): string {
  if (bytes.length > maxBytes) return 'null';
  if (contentType === 'application/json' || contentType.startsWith('application/json;'))
    return asBuffer(bytes).toString('utf8');
  if (contentType.startsWith('text/')) return JSON.stringify(asBuffer(bytes).toString('utf8'));
  if (bytes.length > MAX_DATA_URL_BYTES) return `"${address}"`;
  return JSON.stringify(`data:${contentType};base64,${asBuffer(bytes).toString('base64')}`);
}

/** The same memory, seen as a Buffer. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function renderMetrics({ timings, createdAt, completedAt }: Job): string {
  const total = completedAt === null ? '' : `"total_time":${(completedAt - createdAt) / 1000}`;
  if (timings === null) return `{${total}}`;
  const { queueMs, linkMs, workerQueueMs, decodeMs, batchMs, computeMs } = timings;
  return (
    `{"predict_time":${Math.round((decodeMs + computeMs) * 1000) / 1e6}${total === '' ? '' : `,${total}`}` +
    `,"queue_ms":${round(queueMs)},"link_ms":${round(linkMs)},"worker_queue_ms":${round(workerQueueMs)}` +
    `,"decode_ms":${round(decodeMs)},"batch_ms":${round(batchMs)},"compute_ms":${round(computeMs)}}`
  );
}

/** `Server-Timing`, so that a browser's network panel shows where the time went. */
export function serverTiming({ queueMs, linkMs, workerQueueMs, decodeMs, batchMs, computeMs }: JobTimings): string {
  return (
    `queue;dur=${round(queueMs)}, link;dur=${round(linkMs)}, worker_queue;dur=${round(workerQueueMs)}` +
    `, decode;dur=${round(decodeMs)}, batch;dur=${round(batchMs)}, compute;dur=${round(computeMs)}`
  );
}

/** Microseconds are as fine as the clocks are honest. */
function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function quoted(text: string | null): string {
  return text === null ? 'null' : JSON.stringify(text);
}

function moment(epochMs: number | null): string {
  return epochMs === null ? 'null' : `"${new Date(epochMs).toISOString()}"`;
}

/** Changes whenever what a caller can see of the job changes. */
export function entityTag(job: Job, queuePosition: number | null, deliveries: readonly DeliveryView[] = []): string {
  const told = deliveries.map(({ status, attempt, nextAt }) => `.${status}${attempt}${nextAt ?? ''}`).join('');
  const { status, attempt, progress, nextAttemptAt, completedAt, cancelRequested } = job;
  const step =
    progress === null
      ? ''
      : `${progress.fraction ?? ''}${progress.message === null ? '' : `.${hash(progress.message)}`}`;
  return `"${status}-${attempt}-${step}-${queuePosition ?? ''}-${nextAttemptAt ?? ''}-${completedAt ?? ''}${cancelRequested ? '-c' : ''}${told === '' ? '' : `-w${hash(told)}`}"`;
}

/** Only to tell one progress message from the next: 32-bit FNV-1a. */
function hash(text: string): string {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  return (value >>> 0).toString(36);
}
