/**
 * Which headers of an HTTP exchange go over the link. Requests by an allow-list: what is not named here or by the
 * service's owner stays at the gateway, and with it the keys and cookies of callers. Responses by a deny-list.
 */

/** Of the connection and not of the message (RFC 9110, 7.6.1), or made anew on each side. */
const OF_THE_CONNECTION = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
] as const;

const USUAL_REQUEST = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-length',
  'content-type',
  'idempotency-key',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-event-id',
  'openai-beta',
  'openai-organization',
  'openai-project',
  'prefer',
  'range',
  'traceparent',
  'tracestate',
  'user-agent',
  'x-request-id',
]);

/** Never passed to a service, whatever its owner wrote. `host` is the service's own. */
export const NEVER_FORWARDED: ReadonlySet<string> = new Set([...OF_THE_CONNECTION, 'host', 'expect', 'content-length']);

/** A service answers under the gateway's name: it must set no cookies there, and no policies for all of it. */
const NOT_ANSWERED = new Set<string>([
  ...OF_THE_CONNECTION,
  'access-control-allow-credentials',
  'access-control-allow-headers',
  'access-control-allow-methods',
  'access-control-allow-origin',
  'access-control-expose-headers',
  'access-control-max-age',
  'alt-svc',
  'clear-site-data',
  'set-cookie',
  'strict-transport-security',
  'x-request-id',
]);

/** `raw`: names and values in turn. Also drops what the Connection header names. */
export function requestHeaders(raw: readonly string[], extra: readonly string[] = []): string[] {
  const kept: string[] = [];
  const named = namedByConnection(raw);
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index]!.toLowerCase();
    if (!USUAL_REQUEST.has(name) && !extra.includes(name)) continue;
    if (named?.includes(name)) continue;
    kept.push(name, raw[index + 1]!);
  }
  return kept;
}

export function responseHeaders(raw: readonly string[]): string[] {
  const kept: string[] = [];
  const named = namedByConnection(raw);
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index]!.toLowerCase();
    if (NOT_ANSWERED.has(name) || named?.includes(name)) continue;
    kept.push(name, raw[index + 1]!);
  }
  return kept;
}

function namedByConnection(raw: readonly string[]): string[] | null {
  let named: string[] | null = null;
  for (let index = 0; index + 1 < raw.length; index += 2) {
    if (raw[index]!.toLowerCase() !== 'connection') continue;
    const value = raw[index + 1]!.toLowerCase();
    if (value === 'keep-alive' || value === 'close') continue;
    named = [...(named ?? []), ...value.split(',').map((name) => name.trim())];
  }
  return named;
}
