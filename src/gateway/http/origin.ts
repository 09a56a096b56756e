/**
 * Which page sent a request, as far as a browser says so. Matters wherever a browser brings along what proves its user: a
 * cookie, or merely its place on this machine. Programs send none of these headers.
 */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

/** Is this a write that a page of another origin makes? `trusted`: origins that may. */
export function isForeignWrite(request: IncomingMessage, trusted: ReadonlySet<string>): boolean {
  const { method, headers } = request;
  if (method === 'GET' || method === 'HEAD' || method === 'OPTIONS') return false;
  const { origin } = headers;
  if (origin !== undefined) return !isOwnOrigin(origin, headers.host) && !trusted.has(origin);
  const site = headers['sec-fetch-site'];
  return site !== undefined && site !== 'same-origin' && site !== 'none';
}

/** Whichever scheme: a proxy in front may have taken TLS off. Port and name must be those that the caller asked for. */
function isOwnOrigin(origin: string, host: string | undefined): boolean {
  const url = URL.parse(origin);
  if (url === null || host === undefined) return false;
  return url.host === host.toLowerCase() || url.host === URL.parse(`${url.protocol}//${host}`)?.host;
}

/** The name or address in a Host header, without its port; '' when it is broken. */
export function hostName(host: string | undefined): string {
  const name = URL.parse(`http://${host ?? ''}`)?.hostname ?? '';
  return name.replace(/^\[|\]$/g, '');
}

/**
 * May a page be behind this name that is not from here? A page can point its own domain at 127.0.0.1 (DNS rebinding), but
 * not an address, not `localhost`, and not a name without a dot.
 */
export function isForeignName(name: string): boolean {
  return name.includes('.') && isIP(name) === 0 && !name.endsWith('.localhost');
}

export function isLoopbackAddress(address: string | undefined): boolean {
  if (address === undefined) return false;
  const plain = address.startsWith('::ffff:') ? address.slice(7) : address;
  return plain === '::1' || (isIP(plain) === 4 && plain.startsWith('127.'));
}

/** Sent from this machine, straight to this process: by no proxy, and for no page of elsewhere. */
export function isFromThisMachine(request: IncomingMessage): boolean {
  const { headers, socket } = request;
  if (!isLoopbackAddress(socket.remoteAddress)) return false;
  if (headers.forwarded !== undefined || headers['x-forwarded-for'] !== undefined || headers.via !== undefined) {
    return false;
  }
  const name = hostName(headers.host);
  return name === 'localhost' || isLoopbackAddress(name);
}
