/** `/v1/admin`: what the console and scripts of an administrator use. Every act leaves an entry in the audit log. */
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { AdminSession } from '../../identity/admin-sessions.ts';
import { auditHead, formatHead, listAudit, type Act } from '../../identity/audit.ts';
import type { Callers } from '../../identity/callers.ts';
import { keyEntry, type KeyWish } from '../../identity/keys/key.ts';
import { createKey, listKeys, revokeKey } from '../../identity/keys/records.ts';
import type { MemberList } from '../cluster/members.ts';
import type { Predictions, Rollouts } from '../ports.ts';
import { ANONYMOUS } from './access.ts';
import { adminGatewayRoutes } from './admin-gateways.ts';
import { adminModelRoutes } from './admin-models.ts';
import { adminWorkerRoutes } from './admin-workers.ts';
import { adminPredictionRoutes } from './admin-predictions.ts';
import type { BodyBudget } from './budget.ts';
import { readAdminCookie } from './cookie.ts';
import { sessionBody } from './login.ts';
import { badParameter, clip, parseDeadline } from './parameters.ts';
import { single } from './job-query.ts';
import { json, type Answer, type Call, type Route } from './route.ts';
import { readSmallJson } from './small-json.ts';

export interface AdminRoutesOptions {
  readonly callers: Callers;
  readonly predictions: Predictions;
  readonly rollouts: Rollouts;
  readonly members: MemberList;
  readonly budget: BodyBudget;
  readonly clock: Clock;
}

const DEFAULT_ENTRIES = 50;
const MAX_ENTRIES = 500;

export function adminRoutes({ callers, predictions, rollouts, members, budget, clock }: AdminRoutesOptions): Route[] {
  const { records, sessions } = callers;
  const act = ({ caller }: Call): Act => ({
    actor: caller === ANONYMOUS ? 'anonymous' : `key:${caller}`,
    at: clock.now(),
  });

  function whoAmI(call: Call): Answer {
    const token = readAdminCookie(call.request);
    const session =
      call.access instanceof AdminSession && token !== null ? sessionBody(call.access, sessions.proofOf(token)) : null;
    const key = callers.keys.find(call.caller);
    return json(
      200,
      JSON.stringify({
        caller: call.caller,
        key: key === null ? null : { id: key.caller, name: key.name, scopes: [...key.scopes] },
        session,
      }),
    );
  }

  async function makeKey(call: Call): Promise<Answer> {
    const { record, token } = createKey(
      records,
      wishOf(await readSmallJson(call.request, budget), clock.now()),
      act(call),
    );
    return json(201, JSON.stringify({ ...keyEntry(record, clock.now()), key: token }));
  }

  function endKey(call: Call): Answer {
    const id = call.params.id ?? '';
    const record = revokeKey(records, id, act(call));
    if (record === null) throw new PosternError('not_found', `There is no API key "${clip(id)}".`);
    return json(200, JSON.stringify(keyEntry(record, clock.now())));
  }

  function audit(call: Call): Answer {
    const limit = wholeNumber(call, 'limit', MAX_ENTRIES) ?? DEFAULT_ENTRIES;
    const beforeSeq = wholeNumber(call, 'before', Number.MAX_SAFE_INTEGER);
    const entries = listAudit(records.db, { limit, beforeSeq });
    const results = entries.map(({ at, ...entry }) => ({ ...entry, at: new Date(at).toISOString() }));
    const last = entries.at(-1);
    const next = last === undefined || last.seq === 1 || entries.length < limit ? null : last.seq;
    return json(200, JSON.stringify({ results, next_before: next, head: formatHead(auditHead(records.db)) }));
  }

  return [
    { method: 'GET', path: '/v1/admin/whoami', scope: 'admin', handle: whoAmI },
    {
      method: 'GET',
      path: '/v1/admin/keys',
      scope: 'admin',
      handle: () => {
        const now = clock.now();
        return json(200, JSON.stringify({ results: listKeys(records.db).map((key) => keyEntry(key, now)) }));
      },
    },
    { method: 'POST', path: '/v1/admin/keys', scope: 'admin', handle: makeKey },
    { method: 'POST', path: '/v1/admin/keys/:id/revoke', scope: 'admin', handle: endKey },
    { method: 'GET', path: '/v1/admin/audit', scope: 'admin', handle: audit },
    ...adminModelRoutes({ rollouts, budget, actOf: act }),
    ...adminGatewayRoutes({ members, clock }),
    ...adminWorkerRoutes({ records, predictions, clock, actOf: act }),
    ...adminPredictionRoutes({ records, keys: callers.keys, predictions, actOf: act }),
  ];
}

const WISH_FIELDS: Readonly<Record<string, keyof KeyWish>> = {
  name: 'name',
  scopes: 'scopes',
  models: 'models',
  rate_per_s: 'ratePerS',
  burst_requests: 'burstRequests',
  max_undecided_jobs: 'maxUndecidedJobs',
  expires_at: 'expiresAt',
};

/** As the body names it. What is wrong with the values, `createKey` says. */
function wishOf(body: Record<string, unknown>, nowMs: number): KeyWish {
  const wish: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(body)) {
    const field = Object.hasOwn(WISH_FIELDS, name) ? WISH_FIELDS[name] : undefined;
    if (field === undefined) {
      throw badParameter(`Unknown key "${clip(name)}"; expected some of ${Object.keys(WISH_FIELDS).join(', ')}.`);
    }
    wish[field] = field === 'expiresAt' ? parseDeadline(value, nowMs) : value;
  }
  return wish as unknown as KeyWish;
}

function wholeNumber(call: Call, name: string, max: number): number | null {
  const text = single(call, name);
  if (text === undefined) return null;
  const value = Number(text);
  if (!/^\d{1,16}$/.test(text) || value < 1 || value > max) {
    throw badParameter(`${name} is "${clip(text)}"; expected a whole number from 1 to ${max}.`);
  }
  return value;
}
