/** Who calls, and what that caller may do. Decided once a request, before its route runs. */
import type { Job } from '../../dispatch/job.ts';
import { PosternError } from '../../errors.ts';
import { clip } from './parameters.ts';

/**
 * What a route asks of its caller. `public`: nothing. `predict`: work with models and with one's own predictions; reading
 * alone (GET) is also open to a `read` key. `guest`: the same for the visitors of an app, to whom the console's cookie means nothing.
 * `read`: how the service does (workers, metrics). `admin`: everything, of everybody.
 */
export type RouteScope = 'public' | 'guest' | 'predict' | 'read' | 'admin';

/** Who makes a request when no key is asked for. */
export const ANONYMOUS = 'anonymous';

export interface Access {
  /** The id of the API key, or `anonymous`: the unit of ownership, fairness and quota. */
  readonly caller: string;
  /** Sees the predictions of every caller. */
  readonly admin: boolean;
  /** Models that the key is for; null: all. */
  readonly models: ReadonlySet<string> | null;
  /** Predictions that this caller may have undecided at once; null: as many as there is room for. */
  readonly maxUndecidedJobs: number | null;
}

/** Whoever reaches a gateway without keys is its owner. */
export const OWNER_ACCESS: Access = { caller: ANONYMOUS, admin: true, models: null, maxUndecidedJobs: null };
/** Anybody at all, where the gateway is open to the world. An id that nobody can guess is then the key to a prediction. */
export const PUBLIC_ACCESS: Access = { caller: ANONYMOUS, admin: false, models: null, maxUndecidedJobs: null };

/** The job, if it exists and this caller may know of it. Somebody else's is answered as one that never was. */
export function ownJob(access: Access, id: string, job: Job | null): Job {
  if (job !== null && (access.admin || job.caller === access.caller)) return job;
  throw new PosternError(
    'prediction_not_found',
    `There is no prediction "${clip(id)}". Results are kept for a limited time.`,
  );
}

export function mayUseModel({ models }: Access, model: string): boolean {
  return models === null || models.has(model);
}

/** Throws forbidden when the key is not for this model, whether there is one of that name or not. */
export function checkModelAccess(access: Access, model: string): void {
  if (mayUseModel(access, model)) return;
  throw new PosternError('forbidden', `The API key is not for the model "${clip(model)}".`);
}

/** Of whose predictions a list consists; undefined: everybody's. Throws unauthorized for those who are nobody. */
export function listedCaller({ admin, caller }: Access): string | undefined {
  if (admin) return undefined;
  if (caller !== ANONYMOUS) return caller;
  throw new PosternError('unauthorized', 'A list of predictions needs an API key: without one they are nobody’s own.');
}
