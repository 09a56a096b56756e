/**
 * `/admin/login` and `/admin/logout`: the console's way in. The key is sent once, in a body, and never again: from then on
 * a cookie stands for it that scripts cannot read, that no other site's page can send, and that ends by itself.
 */
import type { Clock } from '../../clock.ts';
import { PosternError, toPosternError } from '../../errors.ts';
import { LIFE_MS, type AdminSession } from '../../identity/admin-sessions.ts';
import { appendAudit } from '../../identity/audit.ts';
import type { Callers } from '../../identity/callers.ts';
import type { HeldKey } from '../../identity/keys/ring.ts';
import { addressGroup, type Proxies } from './address.ts';
import type { BodyBudget } from './budget.ts';
import { adminCookie, readAdminCookie } from './cookie.ts';
import { isForeignWrite } from './origin.ts';
import { json, type Answer, type Call, type Route } from './route.ts';
import { readSmallJson } from './small-json.ts';
import { createThrottle } from './throttle.ts';

export interface LoginOptions {
  readonly callers: Callers;
  readonly budget: BodyBudget;
  readonly clock: Clock;
  readonly proxies: Proxies;
  readonly publicUrl: string | null;
}

const NO_ORIGINS: ReadonlySet<string> = new Set();
/** Tries of one address: a person mistypes a few times, then one more every 10 s. */
const TRIES = { burst: 5, everyMs: 10_000, maxNames: 10_000 };
/** Entries about failures in the audit log, of all addresses together: at most some 1,500 a day, whatever comes. */
const NOTED_FAILURES = { burst: 20, everyMs: 60_000, maxNames: 1 };

export function loginRoutes({ callers, budget, clock, proxies, publicUrl }: LoginOptions): Route[] {
  const tries = createThrottle({ clock, ...TRIES });
  const notedFailures = createThrottle({ clock, ...NOTED_FAILURES });
  let unnotedFailures = 0;

  const isHttps = (call: Call): boolean => publicUrl?.startsWith('https:') === true || proxies.isHttps(call.request);

  function noteFailure(address: string, why: string): void {
    if (notedFailures.take('all') > 0) {
      unnotedFailures += 1;
      return;
    }
    const detail = { address, why, failures_left_out: unnotedFailures };
    unnotedFailures = 0;
    callers.records.write((db) =>
      appendAudit(db, { at: clock.now(), actor: 'anonymous', action: 'login.failure', target: '', detail }),
    );
  }

  function adminKey(token: unknown): HeldKey {
    if (typeof token !== 'string') throw new PosternError('bad_parameter', 'Expected {"key": "postern_..."}.');
    const key = callers.keys.check(token);
    if (key.admin) return key;
    throw new PosternError('forbidden', 'The console needs a key with the scope "admin".');
  }

  async function login(call: Call): Promise<Answer> {
    refuseForeign(call);
    const address = proxies.clientOf(call.request);
    const waitMs = tries.take(addressGroup(address));
    if (waitMs > 0) {
      throw new PosternError('rate_limited', 'Too many logins from this address.', { retryAfterS: waitMs / 1000 });
    }
    const { key: token } = await readSmallJson(call.request, budget);
    let key: HeldKey;
    try {
      key = adminKey(token);
    } catch (error) {
      noteFailure(address, toPosternError(error).code);
      throw error;
    }
    const { session, token: cookie } = callers.sessions.open(key, address);
    const setCookie = adminCookie(cookie, { isHttps: isHttps(call), maxAgeS: LIFE_MS / 1000 });
    return json(200, JSON.stringify(sessionBody(session, callers.sessions.proofOf(cookie))), ['set-cookie', setCookie]);
  }

  function logout(call: Call): Answer {
    refuseForeign(call);
    const token = readAdminCookie(call.request);
    const session = token === null ? null : callers.sessions.check(token);
    if (session !== null) callers.sessions.end(session);
    const setCookie = adminCookie('', { isHttps: isHttps(call), maxAgeS: 0 });
    return { status: 204, headers: ['cache-control', 'no-store', 'set-cookie', setCookie], body: '' };
  }

  return [
    { method: 'POST', path: '/admin/login', scope: 'public', handle: login },
    { method: 'POST', path: '/admin/logout', scope: 'public', handle: logout },
  ];
}

/** A page of another site must not log anybody in or out either. */
function refuseForeign({ request }: Call): void {
  if (!isForeignWrite(request, NO_ORIGINS)) return;
  throw new PosternError('forbidden', 'The request comes from a page of another site (Origin, Sec-Fetch-Site).');
}

export function sessionBody(session: AdminSession, proof: string): object {
  return {
    key: { id: session.key.caller, name: session.key.name },
    expires_at: new Date(session.createdAt + LIFE_MS).toISOString(),
    idle_until: new Date(session.endsAt).toISOString(),
    csrf_token: proof,
  };
}
