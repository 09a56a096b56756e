/** The cookie of the console. */
import type { IncomingMessage } from 'node:http';

/** Browsers keep a `__Host-` cookie only if it came over HTTPS, for this host alone: no neighbour can plant one. */
const SECURE_NAME = '__Host-postern-admin';
const PLAIN_NAME = 'postern-admin';
/** 32 bytes as base64url. */
const TOKEN = /^[A-Za-z0-9_-]{43}$/;
/** Longer headers are somebody else's cookies: not worth a search. */
const MAX_HEADER_CHARS = 8_192;

/** The token in the request's cookie; null: there is none, or nothing that could be one. */
export function readAdminCookie({ headers }: IncomingMessage): string | null {
  const header = headers.cookie;
  if (header === undefined || header.length > MAX_HEADER_CHARS) return null;
  let plain: string | null = null;
  for (const part of header.split(';')) {
    const at = part.indexOf('=');
    const name = part.slice(0, at).trim();
    const value = part.slice(at + 1).trim();
    if (at === -1 || !TOKEN.test(value)) continue;
    // The one that only we can have set wins.
    if (name === SECURE_NAME) return value;
    if (name === PLAIN_NAME) plain ??= value;
  }
  return plain;
}

/** `maxAgeS` 0 removes it. */
export function adminCookie(token: string, { isHttps, maxAgeS }: { isHttps: boolean; maxAgeS: number }): string {
  const name = isHttps ? SECURE_NAME : PLAIN_NAME;
  return `${name}=${token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${maxAgeS}${isHttps ? '; Secure' : ''}`;
}
