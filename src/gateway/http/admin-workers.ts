/** `/v1/admin/workers`: who was let in and for what, with the session of those that are here; and how to shut one out. */
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { Act } from '../../identity/audit.ts';
import type { Records } from '../../identity/records.ts';
import { listWorkers, workerEntry, type ListedWorker } from '../../identity/worker-list.ts';
import { openWorkers } from '../../identity/workers.ts';
import type { Predictions, WorkerView } from '../ports.ts';
import { workerBody } from './models.ts';
import { clip } from './parameters.ts';
import { json, type Answer, type Call, type Route } from './route.ts';

export interface AdminWorkerRoutesOptions {
  readonly records: Records;
  readonly predictions: Pick<Predictions, 'workers'>;
  readonly clock: Clock;
  /** Who asks, for the audit log. */
  readonly actOf: (call: Call) => Act;
}

export function adminWorkerRoutes({ records, predictions, clock, actOf }: AdminWorkerRoutesOptions): Route[] {
  const workers = openWorkers(records);

  function list(): Answer {
    const sessions = new Map(predictions.workers().map((view) => [view.name, view]));
    const results = listWorkers(workers, clock.now()).map((worker) => entryBody(worker, sessions.get(worker.name)));
    return json(200, JSON.stringify({ results }));
  }

  function revoke(call: Call): Answer {
    const name = call.params.name ?? '';
    // The observers of this change run before the answer: the sessions that this gateway holds are closed by then.
    if (!workers.revoke(name, actOf(call))) {
      throw new PosternError('not_found', `There is no worker "${clip(name)}". GET /v1/admin/workers lists them.`);
    }
    const worker = listWorkers(workers, clock.now()).find((one) => one.name === name);
    // Of one that was only invited nothing is left.
    if (worker === undefined) return { status: 204, headers: ['cache-control', 'no-store'], body: '' };
    return json(200, JSON.stringify(entryBody(worker, undefined)));
  }

  return [
    { method: 'GET', path: '/v1/admin/workers', scope: 'admin', handle: list },
    { method: 'POST', path: '/v1/admin/workers/:name/revoke', scope: 'admin', handle: revoke },
  ];
}

function entryBody(worker: ListedWorker, view: WorkerView | undefined): object {
  const entry = workerEntry(worker);
  if (view === undefined) return { ...entry, session: null };
  // The session knows better than the records, which are written now and then.
  const session = workerBody(view);
  const seenAt = Math.max(worker.lastSeenAt ?? 0, view.lastSeenAt);
  return { ...entry, last_seen_at: new Date(seenAt).toISOString(), session };
}
