/** Who calls, and what that caller may do. Decided once a request, before its route runs. */
import type { Job } from '../../dispatch/job.ts';
import { PosternError } from '../../errors.ts';
import { clip } from './parameters.ts';

/**
 * What a route asks of its caller. `public`: nothing. `predict`: work with models and with one's own predictions; reading
 * alone (GET) is also open to a `read` key. `read`: how the service does (workers, metrics). `admin`: everything, of everybody.
 */
export type RouteScope = 'public' | 'predict' | 'read' | 'admin';

/** Who makes a request when no key is asked for. */
export const ANONYMOUS = 'anonymous';

export interface Access {
  /** The id of the API key, or `anonymous`: the unit of ownership, fairness and quota. */
  readonly caller: string;
  /** Sees the predictions of every caller. */
  readonly admin: boolean;
  /** Models that the key is for; null: all. */
  readonly models: ReadonlySet<string> | null;
}

/** Whoever reaches a gateway without keys is its owner. */
export const OPEN_ACCESS: Access = { caller: ANONYMOUS, admin: true, models: null };

/** The job, if it exists and this caller may know of it. Somebody else's is answered as one that never was. */
export function ownJob(access: Access, id: string, job: Job | null): Job {
  if (job !== null && (access.admin || job.caller === access.caller)) return job;
  throw new PosternError(
    'prediction_not_found',
    `There is no prediction "${clip(id)}". Results are kept for a limited time.`,
  );
}
