/** `/v1/admin/predictions`: everybody's jobs, and what an administrator does with one. Cancel and retry are audited. */
import { appendAudit, type Act } from '../../identity/audit.ts';
import type { KeyRing } from '../../identity/keys/ring.ts';
import type { Records } from '../../identity/records.ts';
import type { Job } from '../../dispatch/job.ts';
import type { Predictions } from '../ports.ts';
import { ownJob } from './access.ts';
import { adminJobBody } from './admin-render.ts';
import { readJobQuery } from './job-query.ts';
import { json, type Answer, type Call, type Route } from './route.ts';

export interface AdminPredictionRoutesOptions {
  readonly records: Records;
  readonly keys: Pick<KeyRing, 'find'>;
  readonly predictions: Pick<Predictions, 'get' | 'list' | 'cancel' | 'retry' | 'queuePosition'>;
  readonly actOf: (call: Call) => Act;
}

export function adminPredictionRoutes(options: AdminPredictionRoutesOptions): Route[] {
  const { records, keys, predictions, actOf } = options;
  const names = (caller: string): string | null => keys.find(caller)?.name ?? null;
  const bodyOf = (job: Job): object => adminJobBody(job, names);

  async function list(call: Call): Promise<Answer> {
    const { jobs, next } = await predictions.list(readJobQuery(call));
    return json(200, JSON.stringify({ results: jobs.map(bodyOf), next_cursor: next }));
  }

  async function read(call: Call): Promise<Answer> {
    const id = call.params.id ?? '';
    const job = ownJob(call.access, id, await predictions.get(id));
    const position = job.status === 'starting' ? await predictions.queuePosition(id) : null;
    return json(200, JSON.stringify({ ...bodyOf(job), queue_position: position }));
  }

  async function cancel(call: Call): Promise<Answer> {
    const id = call.params.id ?? '';
    const job = ownJob(call.access, id, await predictions.cancel(id));
    note(call, 'job.cancel', job, { model: job.model, caller: job.caller, status: job.status });
    return json(200, JSON.stringify(bodyOf(job)));
  }

  async function retry(call: Call): Promise<Answer> {
    const id = call.params.id ?? '';
    const job = ownJob(call.access, id, await predictions.get(id));
    const again = ownJob(call.access, id, await predictions.retry(id));
    note(call, 'job.retry', job, { model: job.model, caller: job.caller, again: again.id });
    return json(202, JSON.stringify(bodyOf(again)), ['location', `/v1/admin/predictions/${again.id}`]);
  }

  function note(call: Call, action: 'job.cancel' | 'job.retry', { id }: Job, detail: Record<string, string>): void {
    records.write((db) => appendAudit(db, { ...actOf(call), action, target: `job:${id}`, detail }));
  }

  const path = '/v1/admin/predictions';
  return [
    { method: 'GET', path, scope: 'admin', handle: list },
    { method: 'GET', path: `${path}/:id`, scope: 'admin', handle: read },
    { method: 'POST', path: `${path}/:id/cancel`, scope: 'admin', handle: cancel },
    { method: 'POST', path: `${path}/:id/retry`, scope: 'admin', handle: retry },
  ];
}
