/** What an attempt to deliver means: it is done, it is tried again and when, or it is given up. Pure. */
import type { DeliveryOutcome } from '../../dispatch/delivery.ts';
import type { OutboundResult } from '../outbound/outbound.ts';

const S = 1_000;
const MINUTE = 60 * S;
const HOUR = 60 * MINUTE;
/**
 * Waits after the first failure, the second, …: the schedule that the Standard Webhooks specification gives as an example, as
 * far as it stays within a day and a third. Eight attempts over 31 h 35 min.
 */
export const WAITS_MS: readonly number[] = [5 * S, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR];
export const MAX_DELIVERY_ATTEMPTS = WAITS_MS.length + 1;
/** A receiver may ask for more time, but not for more than this. */
const MAX_RETRY_AFTER_MS = 24 * HOUR;
/** ± 10 %, so that what failed together does not come back together. */
const JITTER = 0.1;
const GONE = 410;

export interface AttemptContext {
  readonly attempt: number;
  readonly nowMs: number;
  /** Uniform in [0, 1). */
  readonly random: number;
}

export function afterAttempt(result: OutboundResult, { attempt, nowMs, random }: AttemptContext): DeliveryOutcome {
  const answer = result.type === 'answered' ? result.status : null;
  if (answer !== null && answer >= 200 && answer < 300) return { type: 'delivered', answer };
  if (result.type === 'refused') return { type: 'failed', answer, reason: result.reason };
  // The receiver's word for "never again".
  if (answer === GONE) return { type: 'failed', answer, reason: 'its server answered 410: it wants no more' };
  const reason = result.type === 'failed' ? result.reason : `its server answered ${answer}`;
  const waitMs = WAITS_MS[attempt - 1];
  if (waitMs === undefined) return { type: 'failed', answer, reason: `${reason}; it was tried ${attempt} times` };
  const jitteredMs = waitMs * (1 - JITTER + 2 * JITTER * random);
  const askedMs = result.type === 'answered' ? retryAfterMs(result.headers['retry-after'], nowMs) : 0;
  return { type: 'retry', dueAt: Math.ceil(nowMs + Math.max(jitteredMs, askedMs)), answer, reason };
}

/** Seconds, or a date. Anything else is not an answer to the question. */
function retryAfterMs(header: string | undefined, nowMs: number): number {
  if (header === undefined) return 0;
  const asked = /^\d{1,10}$/.test(header) ? Number(header) * S : Date.parse(header) - nowMs;
  return Number.isFinite(asked) ? Math.min(Math.max(asked, 0), MAX_RETRY_AFTER_MS) : 0;
}
