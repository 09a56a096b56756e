/** `webhook` and `webhook_events_filter`, as Replicate has them, out of any kind of body. */
import type { WebhookEvent } from '../../dispatch/webhook.ts';
import { badParameter, clip, parseJsonSafely } from './parameters.ts';

/** What the caller said; the gateway adds the base of links. */
export interface WebhookRequest {
  readonly url: string;
  readonly events: readonly WebhookEvent[];
}

const MAX_URL_CHARS = 2_048;
const EVENTS: readonly WebhookEvent[] = ['start', 'completed'];
/** Replicate's other two. Models here write no logs to callers, and parts of an output are read from the stream. */
const NEVER_SENT: ReadonlySet<string> = new Set(['output', 'logs']);

/** null: none was asked for. */
export function parseWebhookUrl(value: unknown): string | null {
  if (value === null || value === undefined || value === '') return null;
  if (typeof value !== 'string' || value.length > MAX_URL_CHARS) {
    throw badParameter(`"webhook" must be a URL of at most ${MAX_URL_CHARS} characters.`);
  }
  return value;
}

/** A list of events; in a form or a query as JSON, or with commas between. null: all of them. */
export function parseWebhookEvents(value: unknown): readonly WebhookEvent[] | null {
  if (value === null || value === undefined || value === '') return null;
  const list =
    typeof value !== 'string'
      ? value
      : value.startsWith('[')
        ? parseJsonSafely(value, 'bad_parameter')
        : value.split(',');
  if (!Array.isArray(list)) throw badParameter('"webhook_events_filter" must be a list, such as ["completed"].');
  const wanted = new Set<WebhookEvent>();
  for (const one of list as unknown[]) {
    const event = EVENTS.find((known) => known === (typeof one === 'string' ? one.trim() : one));
    if (event !== undefined) wanted.add(event);
    else if (typeof one !== 'string' || !NEVER_SENT.has(one.trim())) {
      const got = typeof one === 'string' ? `"${clip(one)}"` : typeof one;
      throw badParameter(`"webhook_events_filter" has ${got}; expected start, output, logs or completed.`);
    }
  }
  return EVENTS.filter((event) => wanted.has(event));
}

export function webhookRequest(url: string | null, events: readonly WebhookEvent[] | null): WebhookRequest | null {
  return url === null ? null : { url, events: events ?? EVENTS };
}
