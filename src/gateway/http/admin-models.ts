/** `/v1/admin/models`: which versions are deployed, what each worker has of them, and how that is changed. */
import { PosternError } from '../../errors.ts';
import type { Act } from '../../identity/audit.ts';
import { modelVersion } from '../../protocol/messages.ts';
import type { Rollouts, RolloutView } from '../ports.ts';
import type { DeployOrder, Rollout } from '../rollouts/rollout.ts';
import type { BodyBudget } from './budget.ts';
import { badParameter, clip } from './parameters.ts';
import { json, type Answer, type Call, type Route } from './route.ts';
import { readSmallJson } from './small-json.ts';

export interface AdminModelRoutesOptions {
  readonly rollouts: Rollouts;
  readonly budget: BodyBudget;
  /** Who asks, for the audit log. */
  readonly actOf: (call: Call) => Act;
}

export function adminModelRoutes({ rollouts, budget, actOf }: AdminModelRoutesOptions): Route[] {
  function one(call: Call): Answer {
    const name = call.params.name ?? '';
    const view = rollouts.view(name);
    if (view !== null) return json(200, JSON.stringify(viewBody(view)));
    throw new PosternError('model_not_found', `There is no model "${clip(name)}". GET /v1/admin/models lists them.`);
  }

  async function deploy(call: Call): Promise<Answer> {
    const order = orderOf(await readSmallJson(call.request, budget));
    rollouts.deploy(call.params.name ?? '', order, actOf(call));
    return one(call);
  }

  function rollback(call: Call): Answer {
    rollouts.rollback(call.params.name ?? '', actOf(call));
    return one(call);
  }

  return [
    {
      method: 'GET',
      path: '/v1/admin/models',
      scope: 'admin',
      handle: () => json(200, JSON.stringify({ results: rollouts.views().map(viewBody) })),
    },
    { method: 'GET', path: '/v1/admin/models/:name', scope: 'admin', handle: one },
    { method: 'POST', path: '/v1/admin/models/:name/deploy', scope: 'admin', handle: deploy },
    { method: 'POST', path: '/v1/admin/models/:name/rollback', scope: 'admin', handle: rollback },
  ];
}

const FIELDS = ['version', 'weight', 'allow_downtime'];

function orderOf(body: Record<string, unknown>): DeployOrder {
  const unknown = Object.keys(body).find((key) => !FIELDS.includes(key));
  if (unknown !== undefined) {
    throw badParameter(`Unknown key "${clip(unknown)}"; expected some of ${FIELDS.join(', ')}.`);
  }
  const { version, weight = 100, allow_downtime: allowDowntime = false } = body;
  const checked = modelVersion.safeParse(version);
  if (!checked.success) throw badParameter('version: expected the name of a version, like "2".');
  if (!Number.isSafeInteger(weight) || (weight as number) < 0 || (weight as number) > 100) {
    throw badParameter('weight: expected a whole number from 0 to 100, percent of the work that names no version.');
  }
  if (typeof allowDowntime !== 'boolean') throw badParameter('allow_downtime: expected true or false.');
  return { version: checked.data, weight: weight as number, allowDowntime };
}

function viewBody({ model, serving, rollout, workers }: RolloutView): object {
  return {
    name: model,
    serving,
    rollout: rollout === null ? null : rolloutBody(rollout),
    workers: workers.map(({ name, takesDeploy, versions }) => ({ name, takes_deploy: takesDeploy, versions })),
  };
}

function rolloutBody(rollout: Rollout): object {
  const { version, weight, previous, allowDowntime, soakUntil, failure, changedAt, changedBy } = rollout;
  return {
    version,
    weight,
    previous,
    state: failure !== null ? 'failed' : soakUntil === null ? 'loading' : 'active',
    failure,
    allow_downtime: allowDowntime,
    soak_until: soakUntil === null ? null : new Date(soakUntil).toISOString(),
    changed_at: new Date(changedAt).toISOString(),
    changed_by: changedBy,
  };
}
