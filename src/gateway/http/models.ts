/** `/v1/models` and `/v1/workers`: what is served, and by whom. */
import { PosternError } from '../../errors.ts';
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
      async handle(call) {
        const name = call.params.name ?? '';
        const model = mayUseModel(call.access, name)
          ? (await predictions.models()).find((candidate) => candidate.name === name)
          : undefined;
        if (!model)
          throw new PosternError('model_not_found', `There is no model "${clip(name)}". GET /v1/models lists them.`);
        return json(200, JSON.stringify(modelBody(model, baseOf(call))));
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

function modelBody(model: ModelView, base: string): object {
  return {
    owner: 'local',
    name: model.name,
    url: `${base}/v1/models/local/${model.name}`,
    description: model.description,
    kind: model.kind,
    state: model.state,
    versions: model.versions,
    waiting_jobs: model.waitingJobs,
    processing_jobs: model.processingJobs,
    last_seen_at: moment(model.lastSeenAt),
  };
}

function workerBody(worker: WorkerView): object {
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
