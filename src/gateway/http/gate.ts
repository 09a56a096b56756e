/**
 * Lets requests in: by API key, by the cookie of the console, or without either where that is allowed.
 *
 * As soon as there is a key, nobody comes in without one, from loopback neither: a proxy on this machine connects from
 * there too, and brings the whole world with it. A gateway that never had a key belongs to whoever reaches its port, which
 * is this machine alone unless it was opened in so many words; pages that the owner's browser happens to show are kept out.
 */
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { AdminSessions } from '../../identity/admin-sessions.ts';
import type { HeldKey, KeyRing } from '../../identity/keys/ring.ts';
import { OWNER_ACCESS, PUBLIC_ACCESS, type Access, type RouteScope } from './access.ts';
import { equalDigests } from '../../identity/keys/token.ts';
import { readAdminCookie } from './cookie.ts';
import { hostName, isForeignName, isForeignWrite, isFromThisMachine } from './origin.ts';
import { clip } from './parameters.ts';

export interface GateOptions {
  readonly keys: KeyRing;
  readonly sessions: AdminSessions;
  readonly clock: Clock;
  /** Lets anybody predict, without a key. */
  readonly isOpen: boolean;
  /** The gateway's own address, where it has a public one. */
  readonly publicUrl: string | null;
  /** Origins of other sites whose pages may call. */
  readonly corsOrigins: ReadonlySet<string>;
}

export interface Gate {
  /** Throws unauthorized, forbidden or rate_limited. */
  admit(scope: RouteScope, request: IncomingMessage): Access;
}

export function createGate({ keys, sessions, clock, isOpen, publicUrl, corsOrigins }: GateOptions): Gate {
  const publicName = publicUrl === null ? null : hostName(URL.parse(publicUrl)?.host);
  let lastHost = '';
  let lastHostIsForeign = false;

  function byKey(token: string, scope: RouteScope, request: IncomingMessage): Access {
    const key = keys.check(token);
    if (!allows(key, scope, request.method)) {
      throw new PosternError(
        'forbidden',
        `The API key lacks the scope "${scope}"; it has: ${[...key.scopes].join(', ')}.`,
      );
    }
    if (key.hasRate) {
      const waitMs = key.take(clock.monotonic());
      if (waitMs > 0) {
        const { ratePerS } = key.record;
        const message = `The API key allows ${ratePerS} requests a second on the long run, and had more.`;
        throw new PosternError('rate_limited', message, { retryAfterS: waitMs / 1000 });
      }
    }
    return key;
  }

  /** null: no cookie, or one that counts no more. */
  function byCookie(request: IncomingMessage): Access | null {
    const token = readAdminCookie(request);
    const session = token === null ? null : sessions.check(token);
    if (token === null || session === null || isRead(request.method)) return session;
    // The browser sends the cookie by itself, so it proves who the user is and not that the user wanted this.
    if (isForeignWrite(request, NO_ORIGINS)) throw foreignPage();
    const proof = request.headers['x-csrf-token'];
    if (typeof proof === 'string' && equalDigests(proof, sessions.proofOf(token))) return session;
    const message =
      'Expected the header X-CSRF-Token with the csrf_token of the login (GET /v1/admin/whoami shows it).';
    throw new PosternError('forbidden', message);
  }

  function byNothing(scope: RouteScope, request: IncomingMessage): Access {
    if (keys.isClosed) {
      if (isOpen && (scope === 'predict' || scope === 'guest')) return PUBLIC_ACCESS;
      throw new PosternError('unauthorized', 'Expected an API key: Authorization: Bearer postern_...');
    }
    if (scope === 'admin' && !isFromThisMachine(request)) {
      const message =
        'Without API keys this is answered to the machine of the gateway alone: postern keys create makes one.';
      throw new PosternError('unauthorized', message);
    }
    if (isOpen && scope !== 'admin') return PUBLIC_ACCESS;
    refuseForeignPages(request);
    return OWNER_ACCESS;
  }

  /** The owner's browser shows other people's pages too, and reaches this port from the same machine. */
  function refuseForeignPages(request: IncomingMessage): void {
    const host = request.headers.host ?? '';
    if (host !== lastHost) {
      const name = hostName(host);
      lastHost = host;
      lastHostIsForeign = isForeignName(name) && name !== publicName;
    }
    if (lastHostIsForeign) {
      throw new PosternError(
        'forbidden',
        `Without API keys this gateway answers under names of this machine, not under "${clip(host)}": make a key (postern keys create), or set POSTERN_PUBLIC_URL to that name.`,
      );
    }
    if (isForeignWrite(request, corsOrigins)) {
      throw foreignPage();
    }
  }

  return {
    admit(scope, request) {
      if (scope === 'public') return PUBLIC_ACCESS;
      const { authorization } = request.headers;
      // Before there are keys, the header is somebody else's: a proxy with a password passes its own on.
      if (authorization !== undefined && keys.isClosed) {
        const token = tokenIn(authorization);
        if (token !== null) return byKey(token, scope, request);
      }
      if (scope !== 'guest' && sessions.size > 0 && request.headers.cookie !== undefined) {
        const session = byCookie(request);
        if (session !== null) return session;
      }
      return byNothing(scope, request);
    },
  };
}

/** `Bearer <key>`, or `Token <key>` as the clients of Replicate send it; null: something else. */
export function tokenIn(authorization: string): string | null {
  if (authorization.startsWith('Bearer ')) return authorization.slice(7).trim();
  const match = /^(?:bearer|token) +(\S+) *$/i.exec(authorization);
  return match?.[1] ?? null;
}

const NO_ORIGINS: ReadonlySet<string> = new Set();

const isRead = (method: string | undefined): boolean => method === 'GET' || method === 'HEAD';

function foreignPage(): PosternError {
  return new PosternError('forbidden', 'The request comes from a page of another site (Origin, Sec-Fetch-Site).');
}

function allows({ admin, scopes }: HeldKey, scope: RouteScope, method: string | undefined): boolean {
  if (admin) return true;
  if (scope === 'admin') return false;
  if (scope === 'read') return scopes.has('read');
  return scopes.has('predict') || (scopes.has('read') && isRead(method));
}
