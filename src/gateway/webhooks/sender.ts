/**
 * Sends what the outbox holds. Owner of what is under way; everything else (what is due, how often it was tried, who may send
 * it) is in the store, so that a process that dies here leaves nothing but a lease that runs out. At least once: a receiver
 * whose answer was lost hears the same message again, with the same id.
 */
import type { Clock, Timer } from '../../clock.ts';
import { toPosternError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { createService, type Service } from '../../service.ts';
import type { Delivery } from '../../dispatch/delivery.ts';
import type { Deliveries } from '../../store/deliveries.ts';
import { renderPrediction } from '../http/render.ts';
import type { Outbound, OutboundResult } from '../outbound/outbound.ts';
import { afterAttempt } from './schedule.ts';
import type { WebhookSecrets } from './secrets.ts';
import { signedHeaders } from './signature.ts';

export interface WebhookSender extends Service {
  /** Something may be due: looks at once instead of at the next tick. */
  wake(): void;
}

export interface WebhookSenderOptions {
  readonly deliveries: Deliveries;
  readonly outbound: Outbound;
  readonly secrets: WebhookSecrets;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: () => number;
}

/** Looks for what is due: starts of jobs, retries, and what another process recorded. */
const TICK_MS = 250;
/** The specification recommends 15 to 30 s. */
const TIMEOUT_MS = 15_000;
/** The attempt, and the store's answers before and after it. A process that dies delays its deliveries by so much. */
const LEASE_MS = 25_000;
/** Sockets and bodies in memory: at most 64 times somewhat more than 1 MiB. */
const MAX_IN_FLIGHT = 64;
/** A receiver that never answers holds this many of them, and others have the rest. */
const MAX_PER_HOST = 4;
/** A stop lets attempts that run end, because most take far less; the rest is sent again by the next process. */
const STOP_MS = 3_000;
const STOPPING = new Error('the gateway stops');

export function createWebhookSender(options: WebhookSenderOptions): WebhookSender {
  const { deliveries, outbound, secrets, clock, logger, random = Math.random } = options;
  const perHost = new Map<string, number>();
  const underWay = new Set<Promise<void>>();
  const stopping = new AbortController();
  let timer: Timer | null = null;
  let claiming: Promise<void> | null = null;
  let isStopped = false;
  /** The latest claim did not get all that is due. */
  let hasMore = false;
  let isWoken = false;

  function look(): void {
    if (isStopped || underWay.size >= MAX_IN_FLIGHT) return;
    if (claiming !== null) {
      isWoken = true;
      return;
    }
    claiming = claim()
      .catch((error: unknown) => {
        logger.error('webhooks could not be read from the store', { error: toPosternError(error).message });
      })
      .finally(() => {
        claiming = null;
        if (isWoken) {
          isWoken = false;
          look();
        }
      });
  }

  async function claim(): Promise<void> {
    const limit = MAX_IN_FLIGHT - underWay.size;
    const claimed = await deliveries.claim({ limit, perHost: MAX_PER_HOST, inFlight: perHost, leaseMs: LEASE_MS });
    for (const delivery of claimed) begin(delivery);
    hasMore = claimed.length === limit || [...perHost.values()].some((count) => count >= MAX_PER_HOST);
  }

  function begin(delivery: Delivery): void {
    const { host } = delivery;
    perHost.set(host, (perHost.get(host) ?? 0) + 1);
    const attempt: Promise<void> = deliver(delivery)
      .catch((error: unknown) => {
        // Its lease runs out, and it is tried again.
        logger.error('an attempt to deliver a webhook failed', {
          delivery: delivery.id,
          error: toPosternError(error).message,
        });
      })
      .finally(() => {
        underWay.delete(attempt);
        const left = (perHost.get(host) ?? 1) - 1;
        if (left === 0) perHost.delete(host);
        else perHost.set(host, left);
        if (hasMore) look();
      });
    underWay.add(attempt);
  }

  async function deliver(delivery: Delivery): Promise<void> {
    const { id, attempt, host, event } = delivery;
    const result = await send(delivery);
    const nowMs = clock.now();
    const outcome =
      result === null
        ? ({ type: 'retry', dueAt: nowMs, answer: null, reason: 'the gateway stopped meanwhile' } as const)
        : afterAttempt(result, { attempt, nowMs, random: random() });
    await deliveries.end([{ id, attempt, outcome }]);
    if (outcome.type === 'failed') {
      logger.warn('a webhook was given up', { delivery: id, event, host, attempt, reason: outcome.reason });
    }
  }

  /** null: the gateway stopped meanwhile. */
  async function send({ id, job, webhook, isOutputLeftOut }: Delivery): Promise<OutboundResult | null> {
    const maxOutputBytes = isOutputLeftOut ? -1 : Infinity;
    const text = renderPrediction(job, { base: webhook.base, queuePosition: null, maxOutputBytes });
    const body = Buffer.from(text);
    const timestampS = Math.floor(clock.now() / 1000);
    const signed = signedHeaders(id, timestampS, body, await secrets.keysOf(job.caller));
    try {
      return await outbound.send({
        method: 'POST',
        url: webhook.url,
        headers: { 'content-type': 'application/json; charset=utf-8', ...signed },
        body,
        timeoutMs: TIMEOUT_MS,
        maxRedirects: 0,
        read: null,
        signal: stopping.signal,
      });
    } catch (error) {
      if (error === STOPPING) return null;
      throw error;
    }
  }

  const service = createService({
    async start() {
      await secrets.open();
      timer = clock.every(TICK_MS, look);
      look();
    },
    async stop() {
      isStopped = true;
      timer?.cancel();
      await claiming;
      const late = clock.after(STOP_MS, () => stopping.abort(STOPPING));
      await Promise.all(underWay);
      late.cancel();
    },
  });

  return { ...service, wake: look };
}
