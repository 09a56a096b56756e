/**
 * The one table of allowed moves. `starting` waits in the queue; a claim makes it `processing`; from there it ends, or goes
 * back to `starting` when its attempt was lost and another is allowed. The other four states are final: they have no
 * moves, so no code that type-checks can leave them.
 */
import type { JobStatus } from './job.ts';

export const MOVES = {
  starting: {
    /** A session takes it. */
    claim: 'processing',
    /** The caller takes it back before it ran. */
    cancel: 'canceled',
    /** Its deadline, or the time it may wait, passed before it ran. */
    expire: 'aborted',
  },
  processing: {
    succeed: 'succeeded',
    fail: 'failed',
    /** The caller asked for it, and the worker (or the loss of the worker) confirmed it. */
    cancel: 'canceled',
    /** The attempt is lost; another one may begin. */
    requeue: 'starting',
    /** The deadline passed while it ran. */
    expire: 'failed',
  },
} as const satisfies Partial<Record<JobStatus, Record<string, JobStatus>>>;

type Moves = typeof MOVES;
/** The states that a job can leave. */
export type LiveStatus = keyof Moves;
export type MoveFrom<S extends LiveStatus> = keyof Moves[S];

/** Where `event` leads from `from`; a pair that is not in the table does not compile. */
export function move<S extends LiveStatus, M extends MoveFrom<S>>(from: S, event: M): Moves[S][M] {
  return MOVES[from][event];
}

export function isLive(status: JobStatus): status is LiveStatus {
  return status === 'starting' || status === 'processing';
}
