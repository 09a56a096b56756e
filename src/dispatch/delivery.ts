/**
 * One message to the receiver of a webhook on its way: a delivery. It is recorded in the same step as
 * what it tells, and sent until its receiver has it, is gone, or has failed for a day. Types, and the few words for them.
 */
import type { Job, JobId } from './job.ts';
import type { Webhook, WebhookEvent } from './webhook.ts';

/** The same at every attempt, so that a receiver can tell a repetition: at most one per job and event. */
export type DeliveryId = string;

export const deliveryId = (job: JobId, event: WebhookEvent): DeliveryId => `msg_${job}_${event}`;

/** Receivers are told apart by host and port: one that is dead or slow holds up nobody else. */
export const hostOf = (url: string): string => URL.parse(url)?.host ?? '';

/** An attempt to deliver, claimed by one sender for the length of its lease. */
export interface Delivery {
  readonly id: DeliveryId;
  readonly event: WebhookEvent;
  /** The job as it stood when it happened, without the input's bytes. */
  readonly job: Job;
  /** The output was too large to be kept for this: `job.output` has its type and no bytes. */
  readonly isOutputLeftOut: boolean;
  readonly webhook: Webhook;
  readonly host: string;
  readonly createdAt: number;
  /** Counts from 1. It is the fence of what becomes of it. */
  readonly attempt: number;
}

export type DeliveryStatus = 'pending' | 'delivered' | 'failed';

/** What became of an attempt. `answer`: the HTTP status, when there was one. `reason`: why not, for people. */
export type DeliveryOutcome =
  | { readonly type: 'delivered'; readonly answer: number }
  | { readonly type: 'retry'; readonly dueAt: number; readonly answer: number | null; readonly reason: string }
  | { readonly type: 'failed'; readonly answer: number | null; readonly reason: string };

export interface DeliveryEnd {
  readonly id: DeliveryId;
  readonly attempt: number;
  readonly outcome: DeliveryOutcome;
}

/** A delivery as it is shown: without what it carries. */
export interface DeliveryView {
  readonly id: DeliveryId;
  readonly job: JobId;
  readonly caller: string;
  readonly event: WebhookEvent;
  readonly url: string;
  readonly status: DeliveryStatus;
  /** Attempts begun. */
  readonly attempt: number;
  readonly createdAt: number;
  /** Pending: when it is tried next (or taken over, while an attempt runs). null: it is over. */
  readonly nextAt: number | null;
  readonly endedAt: number | null;
  /** Of the latest attempt that ended. */
  readonly answer: number | null;
  readonly reason: string | null;
}

/** A larger output is not sent along: the receiver reads it from `urls.output`. */
export const MAX_DELIVERY_OUTPUT_BYTES = 1024 * 1024;
/** Deliveries that are over can be seen for so long. */
export const DELIVERED_TTL_MS = 24 * 60 * 60 * 1000;
export const FAILED_TTL_MS = 7 * 24 * 60 * 60 * 1000;
/** And so many of them at most: the oldest go first. */
export const MAX_ENDED_DELIVERIES = 10_000;
