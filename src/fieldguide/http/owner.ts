/**
 * Who somebody is without an account: whoever has the token. A browser gets it as a cookie that scripts cannot read; a page of another
 * origin, or an app, makes one itself and sends it as a header. Only its SHA-256 is ever kept.
 */
import { createHash, randomBytes } from 'node:crypto';
import { PosternError } from '../../errors.ts';
import type { AppDesk, AppHost } from '../../gateway/ports.ts';
import type { Call } from '../../gateway/http/route.ts';
import { NEW_OWNERS } from '../identify/limits.ts';
import type { OwnerId, Records } from '../records/records.ts';

/** Browsers keep a `__Host-` cookie only if it came over HTTPS, for this host alone: no neighbour can plant one. */
const SECURE_NAME = '__Host-postern-guide';
const PLAIN_NAME = 'postern-guide';
const HEADER = 'x-guide-owner';
/** 32 bytes as base64url. */
const TOKEN = /^[A-Za-z0-9_-]{43}$/;
const MAX_COOKIE_CHARS = 8_192;
const MAX_AGE_S = 365 * 86_400;
/** The cookie is renewed, and the owner noted as seen, once a day. */
const SEEN_MS = 86_400_000;
const MAX_REMEMBERED = 10_000;

export interface Owners {
  /** null: nobody yet. Throws bad_parameter for a header that cannot be a token. */
  of(call: Call): OwnerId | null;
  /**
   * For writes: who it is, made now where there is nobody yet. `headers` go into the answer. Throws forbidden when a page of another
   * site sent it with the cookie, and rate_limited when an address brings too many new owners.
   */
  require(call: Call): Promise<{ readonly owner: OwnerId; readonly headers: readonly string[] }>;
  /** For writes of somebody who is known: throws forbidden as above. */
  known(call: Call): OwnerId | null;
  /** Ends the cookie. */
  forgetHeaders(call: Call): readonly string[];
}

export interface OwnersOptions {
  readonly records: Pick<Records, 'seen' | 'knows'>;
  readonly desk: AppDesk;
  readonly clock: AppHost['clock'];
}

interface Presented {
  readonly token: string;
  readonly by: 'header' | 'cookie';
}

export function createOwners({ records, desk, clock }: OwnersOptions): Owners {
  const newOwners = desk.throttle(NEW_OWNERS);
  /** When an owner was last noted as seen. */
  const seenAt = new Map<OwnerId, number>();

  async function note(owner: OwnerId, call: Call): Promise<boolean> {
    const now = clock.now();
    const last = seenAt.get(owner);
    if (last !== undefined && now - last < SEEN_MS) return false;
    if (!(await records.knows(owner))) {
      const waitMs = newOwners.take(desk.addressGroup(call.request));
      if (waitMs > 0) {
        const message = 'Too many new visitors come from this address.';
        throw new PosternError('rate_limited', message, { retryAfterS: waitMs / 1_000 });
      }
    }
    await records.seen(owner, now);
    seenAt.delete(owner);
    seenAt.set(owner, now);
    const oldest = seenAt.keys().next().value;
    if (seenAt.size > MAX_REMEMBERED && oldest !== undefined) seenAt.delete(oldest);
    return true;
  }

  function known(call: Call): OwnerId | null {
    const presented = presentedBy(call);
    // The browser sends the cookie by itself, whoever made the page. The header is sent by who has the token.
    if (presented?.by !== 'header' && desk.isForeignWrite(call.request)) {
      throw new PosternError('forbidden', 'The request comes from a page of another site (Origin, Sec-Fetch-Site).');
    }
    return presented === null ? null : hashOf(presented.token);
  }

  return {
    known,
    of(call) {
      const presented = presentedBy(call);
      return presented === null ? null : hashOf(presented.token);
    },
    async require(call) {
      const before = known(call);
      const presented = presentedBy(call);
      if (before !== null) {
        const isNews = await note(before, call);
        const headers = isNews && presented?.by === 'cookie' ? cookie(call, presented.token, MAX_AGE_S) : [];
        return { owner: before, headers };
      }
      const token = randomBytes(32).toString('base64url');
      const owner = hashOf(token);
      await note(owner, call);
      return { owner, headers: cookie(call, token, MAX_AGE_S) };
    },
    forgetHeaders: (call) => cookie(call, '', 0),
  };

  function cookie({ request }: Call, token: string, maxAgeS: number): readonly string[] {
    const isHttps = desk.isHttps(request);
    const name = isHttps ? SECURE_NAME : PLAIN_NAME;
    const rules = `Path=/; HttpOnly; SameSite=Strict; Max-Age=${maxAgeS}${isHttps ? '; Secure' : ''}`;
    return ['set-cookie', `${name}=${token}; ${rules}`];
  }
}

const hashOf = (token: string): OwnerId => createHash('sha256').update(token).digest('hex');

function presentedBy({ request: { headers } }: Call): Presented | null {
  const header = headers[HEADER];
  if (header !== undefined) {
    if (typeof header === 'string' && TOKEN.test(header)) return { token: header, by: 'header' };
    throw new PosternError('bad_parameter', 'X-Guide-Owner: expected 32 random bytes as base64url, 43 characters.');
  }
  const text = headers.cookie;
  if (text === undefined || text.length > MAX_COOKIE_CHARS) return null;
  let plain: string | null = null;
  for (const part of text.split(';')) {
    const at = part.indexOf('=');
    const name = part.slice(0, Math.max(at, 0)).trim();
    const value = part.slice(at + 1).trim();
    if (!TOKEN.test(value)) continue;
    // The one that only we can have set wins.
    if (name === SECURE_NAME) return { token: value, by: 'cookie' };
    if (name === PLAIN_NAME) plain ??= value;
  }
  return plain === null ? null : { token: plain, by: 'cookie' };
}
