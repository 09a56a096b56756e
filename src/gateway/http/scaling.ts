/** `GET /v1/scaling`: how many workers and gateways are wanted, for whatever starts and stops machines. It brings its own targets. */
import { queueS, workOffS } from '../scaling/policy.ts';
import type { ModelVerdict, Scaling, ScalingVerdict } from '../scaling/scaling.ts';
import { BOUNDS, DEFAULT_WISHES, type TargetBound, type TargetName, type Wishes } from '../scaling/targets.ts';
import { checkModelAccess, mayUseModel } from './access.ts';
import { single } from './job-query.ts';
import { badParameter, checkModel, clip } from './parameters.ts';
import { json, type Answer, type Call, type Route } from './route.ts';

const MODEL = 'model';
/** Three digits behind the point: no scaler decides by more. */
const shown = (value: number): number => Math.round(value * 1000) / 1000;

export function scalingRoutes(scaling: Pick<Scaling, 'verdict'>): Route[] {
  async function handle(call: Call): Promise<Answer> {
    const wishes = readWishes(call);
    const asked = single(call, MODEL)?.replace(/^[^/]*\//, '') ?? null;
    if (asked !== null) {
      checkModel(asked);
      checkModelAccess(call.access, asked);
    }
    const verdict = await scaling.verdict(wishes, asked);
    const models = verdict.models.filter(({ model }) => mayUseModel(call.access, model));
    return json(200, JSON.stringify(scalingBody({ ...verdict, models }, wishes)));
  }
  return [{ method: 'GET', path: '/v1/scaling', scope: 'read', handle }];
}

export function scalingBody({ whole, models, gateways }: ScalingVerdict, wishes: Wishes): object {
  const { members } = whole;
  return {
    at: new Date(whole.seenAt).toISOString(),
    targets: wishes,
    models: models.map(modelBody),
    gateways: {
      count: members.filter(({ state }) => state === 'serving').length,
      wanted: gateways.wanted,
      reason: gateways.reason,
      members: members.map(({ id, state, load }) => ({
        id,
        state,
        requests_in_flight: load.requests,
        connections: load.connections,
        sessions: load.sessions,
        loop: shown(load.loop),
        cpu_cores: shown(load.cores),
      })),
    },
  };
}

function modelBody({ model, work, wanted, reason }: ModelVerdict): object {
  const offS = workOffS(work);
  return {
    model,
    workers: work.workers,
    wanted_workers: wanted,
    reason,
    queue_s: shown(queueS(work)),
    oldest_s: shown(work.oldestMs / 1000),
    work_off_s: offS === null ? null : shown(offS),
    waiting_jobs: work.waitingJobs,
    waiting_rows: work.waitingRows,
    in_flight_jobs: work.inFlightJobs,
    free_rows: work.freeRows,
    capacity_rows: work.capacityRows,
    busy_rows: shown(work.busyRows),
    rows_per_s: shown(work.rowsPerS),
  };
}

/** An unknown name is refused: a target that is misspelt would be none. */
function readWishes(call: Call): Wishes {
  const wishes: Record<TargetName, number> = { ...DEFAULT_WISHES };
  for (const name of Object.keys(call.query)) {
    if (name === MODEL) continue;
    if (!Object.hasOwn(BOUNDS, name)) {
      throw badParameter(
        `Unknown parameter "${clip(name)}"; expected some of ${MODEL}, ${Object.keys(BOUNDS).join(', ')}.`,
      );
    }
    const bound: TargetBound = BOUNDS[name as TargetName];
    const text = single(call, name) ?? '';
    const value = Number(text);
    if (!/^\d{1,9}(\.\d{1,6})?$/.test(text) || value < bound.min || value > bound.max) {
      throw badParameter(`${name} is "${clip(text)}"; expected ${bound.min} to ${bound.max}.`);
    }
    if (bound.whole === true && !Number.isInteger(value)) {
      throw badParameter(`${name} is "${clip(text)}"; expected a whole number.`);
    }
    wishes[name as TargetName] = value;
  }
  for (const what of ['workers', 'gateways'] as const) {
    const [min, max] = [wishes[`min_${what}`], wishes[`max_${what}`]];
    if (min > max) throw badParameter(`min_${what} is ${min}, and max_${what} is ${max}; expected no more.`);
  }
  return wishes;
}
