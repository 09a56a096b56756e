/** `/v1/models` and `/v1/workers`: what is served, and by whom. */
import { PosternError } from '../../errors.ts';
import { compareVersions } from '../../protocol/version-order.ts';
import type { ModelView, Predictions, WorkerView } from '../ports.ts';
import { clip } from './parameters.ts';
import { mayUseModel } from './access.ts';
import { json, type Call, type Route } from './route.ts';

export function modelRoutes({
  predictions,
  baseOf,
}: {
  predictions: Predictions;
  baseOf: (call: Call) => string;
}): Route[] {
  async function find(call: Call): Promise<ModelView> {
    const name = call.params.name ?? '';
    const model = mayUseModel(call.access, name)
      ? (await predictions.models()).find((candidate) => candidate.name === name)
      : undefined;
    if (model) return model;
    throw new PosternError('model_not_found', `There is no model "${clip(name)}". GET /v1/models lists them.`);
  }

  return [
    {
      method: 'GET',
      path: '/v1/models',
      scope: 'predict',
      async handle(call) {
        const results = (await predictions.models())
          .filter(({ name }) => mayUseModel(call.access, name))
          .map((model) => modelBody(model, baseOf(call)));
        return json(200, JSON.stringify({ results, next: null, previous: null }));
      },
    },
    {
      method: 'GET',
      path: '/v1/models/:owner/:name',
      scope: 'predict',
      handle: async (call) => json(200, JSON.stringify(modelBody(await find(call), baseOf(call)))),
    },
    {
      method: 'GET',
      path: '/v1/models/:owner/:name/versions',
      scope: 'predict',
      async handle(call) {
        const model = await find(call);
        const results = servedFirst(model).map((version) => versionBody(model, version));
        return json(200, JSON.stringify({ results, next: null, previous: null }));
      },
    },
    {
      method: 'GET',
      path: '/v1/models/:owner/:name/versions/:version',
      scope: 'predict',
      async handle(call) {
        const model = await find(call);
        // By its id, as the list has it, or by its bare name.
        const wanted = (call.params.version ?? '').replace(`${model.name}@`, '');
        const version = model.versions.find((candidate) => candidate.version === wanted);
        if (version) return json(200, JSON.stringify(versionBody(model, version)));
        throw new PosternError(
          'model_not_found',
          `"${model.name}" has no version "${clip(wanted)}" that is served now.`,
        );
      },
    },
    {
      method: 'GET',
      path: '/v1/workers',
      scope: 'read',
      handle: () => json(200, JSON.stringify({ results: predictions.workers().map(workerBody) })),
    },
  ];
}

const servedBody = ({ version, state, workers, weight, servingWorkers }: VersionView): object => ({
  version,
  state,
  workers,
  weight,
  serving_workers: servingWorkers,
});

type VersionView = ModelView['versions'][number];

/** What most callers get who name no version comes first, then the newest. */
function servedFirst({ versions }: ModelView): VersionView[] {
  return [...versions].sort((a, b) => b.weight - a.weight || compareVersions(b.version, a.version));
}

/** A version's id names its model too: Replicate's clients send nothing else. */
function versionBody({ name }: ModelView, served: VersionView): object {
  return {
    id: `${name}@${served.version}`,
    ...servedBody(served),
    created_at: null,
    cog_version: null,
    openapi_schema: null,
  };
}

export function modelBody(model: ModelView, base: string): object {
  const [latest] = servedFirst(model);
  return {
    owner: 'local',
    name: model.name,
    url: `${base}/v1/models/local/${model.name}`,
    description: model.description,
    kind: model.kind,
    state: model.state,
    visibility: 'private',
    versions: model.versions.map(servedBody),
    latest_version: latest === undefined ? null : versionBody(model, latest),
    waiting_jobs: model.waitingJobs,
    processing_jobs: model.processingJobs,
    last_seen_at: moment(model.lastSeenAt),
  };
}

export function workerBody(worker: WorkerView): object {
  return {
    name: worker.name,
    session: worker.session,
    state: worker.state,
    agent: worker.agent,
    address: worker.address,
    connected_at: moment(worker.connectedAt),
    last_seen_at: moment(worker.lastSeenAt),
    round_trip_ms: worker.roundTripMs,
    certificate_ends_at: moment(worker.certificateEndsAt),
    models: worker.models.map((model) => ({
      name: model.name,
      version: model.version,
      state: model.state,
      kind: model.kind,
      message: model.message ?? null,
      max_rows: model.maxRows,
      credit_rows: model.creditRows,
      in_flight_jobs: model.inFlightJobs,
    })),
    not_allowed: worker.notAllowed.map(({ name, version }) => ({ name, version })),
  };
}

function moment(epochMs: number | null): string | null {
  return epochMs === null ? null : new Date(epochMs).toISOString();
}
