/**
 * Watches one identification until it is decided: long polls, and short ones where something on the way does not let a
 * request wait. Without a network it waits for one.
 */
import { PosternError } from '../../../src/errors.ts';
import { askForNews, type Identification } from '../api/identifications.ts';
import { backOff, pause } from './pause.ts';

/** Below the 30 s after which many proxies cut a request that is silent. */
const WAIT_S = 25;
/** When so many long polls have failed, short polls do it: what cuts them lets a quick answer through now and then. */
const MAX_LONG_FAILURES = 2;
const DEFAULT_POLL_MS = 2_000;

export interface Watch {
  readonly id: string;
  readonly signal: AbortSignal;
  readonly onNews: (identification: Identification) => void;
}

/** Resolves when it is decided, null when there is no such identification (any more). Rejects when the signal says so. */
export async function watch({ id, signal, onNews }: Watch): Promise<Identification | null> {
  let etag: string | null = null;
  let poll_ms = 0;
  let failures = 0;
  let longFailures = 0;
  for (;;) {
    const long = longFailures < MAX_LONG_FAILURES;
    if (!long) await pause(poll_ms, signal);
    try {
      // The first question wants an answer at once: without a tag the gateway would wait for the end.
      const news = await askForNews(id, etag, long && etag !== null ? WAIT_S : 0, signal);
      failures = 0;
      etag = news.etag;
      if (etag === null) longFailures = MAX_LONG_FAILURES;
      if (news.identification === null) continue;
      onNews(news.identification);
      if (news.identification.status === 'decided') return news.identification;
      poll_ms = news.identification.poll_after_ms ?? DEFAULT_POLL_MS;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof PosternError && error.code.endsWith('not_found')) return null;
      failures += 1;
      if (long && etag !== null && navigator.onLine) longFailures += 1;
      const after_s = error instanceof PosternError ? error.retryAfterS : undefined;
      await pause(after_s === undefined ? backOff(failures) : Math.min(after_s, 60) * 1_000, signal);
    }
  }
}
