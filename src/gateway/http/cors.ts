/**
 * Calls from pages of other sites (CORS): off unless origins are configured, and then only with an API key that the page
 * itself sends. A cookie is never accepted from another origin, so `Access-Control-Allow-Credentials` is never sent.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** How long a browser may remember that it asked. Chromium caps it at 2 hours; a changed setting should count sooner. */
const MAX_AGE_S = 600;
const ALLOWED_METHODS = 'GET, HEAD, POST, PUT, DELETE';
const ALLOWED_HEADERS =
  'authorization, content-type, prefer, idempotency-key, cancel-after, if-none-match, last-event-id, x-guide-owner, x-request-id';
/** Beyond the few that a page may always read. */
const EXPOSED_HEADERS = 'etag, location, retry-after, server-timing, www-authenticate, x-request-id';

/** `https://guide.example` as it stands in an Origin header; null: that is none. */
export function parseOrigin(text: string): string | null {
  const url = URL.parse(text);
  return url !== null && (url.protocol === 'https:' || url.protocol === 'http:') ? url.origin : null;
}

/** Marks the answer to a page of an allowed origin as readable for it. Does nothing for everybody else. */
export function allowOrigin(request: IncomingMessage, response: ServerResponse, origins: ReadonlySet<string>): void {
  const { origin } = request.headers;
  const isAny = origins.has('*');
  // Caches between must not give the answer for one origin to another.
  if (!isAny) response.setHeader('vary', 'origin');
  if (origin === undefined || !(isAny || origins.has(origin))) return;
  response.setHeader('access-control-allow-origin', isAny ? '*' : origin);
  response.setHeader('access-control-expose-headers', EXPOSED_HEADERS);
  if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined) return;
  response.setHeader('access-control-allow-methods', ALLOWED_METHODS);
  response.setHeader('access-control-allow-headers', ALLOWED_HEADERS);
  response.setHeader('access-control-max-age', String(MAX_AGE_S));
}
