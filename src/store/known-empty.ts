/**
 * Which claims a store answered with nothing a moment ago. Asking it again before anything can have changed costs a message to
 * its thread and back, and whoever asks waits for it. Owner of that knowledge, which ends with every change that makes work,
 * and by itself: time makes work too (a next attempt that is due), and so do other processes on the same store.
 */
import type { Clock } from '../clock.ts';
import type { Job } from '../dispatch/job.ts';
import type { Claimed, ClaimRequest, Store } from './store.ts';

/** Under load a store is asked for nothing ten times a second, and what only time has made waits a tenth of one. */
const KNOWN_MS = 100;
/** Claims of different kinds: models by their versions. More than these are asked for each time. */
const MAX_KNOWN = 1_024;

type Kind = Pick<ClaimRequest, 'model' | 'version' | 'capacityRows' | 'namedOnly'>;

export interface KnownEmpty {
  /** False: there may be work. */
  has(request: ClaimRequest): boolean;
  /** Before asking; the answer is then told to what this returns. */
  asking(): (request: ClaimRequest, answer: Claimed) => void;
  /** Work may have come. To be called when the store has it, so that an answer on its way counts for nothing. */
  readonly changed: () => void;
}

export function createKnownEmpty(clock: Pick<Clock, 'monotonic'>): KnownEmpty {
  const until = new Map<string, number>();
  let changes = 0;

  const keyOf = ({ model, version, capacityRows, namedOnly }: Kind): string =>
    `${model}@${version} ${capacityRows} ${namedOnly === true}`;

  return {
    has(request) {
      if (request.solo === true || until.size === 0) return false;
      return (until.get(keyOf(request)) ?? 0) > clock.monotonic();
    },
    asking() {
      const asked = changes;
      return (request, { jobs, leftRows, soloJobs }) => {
        if (request.solo === true || jobs.length + leftRows + soloJobs > 0 || asked !== changes) return;
        if (until.size >= MAX_KNOWN) until.clear();
        until.set(keyOf(request), clock.monotonic() + KNOWN_MS);
      };
    },
    changed() {
      changes += 1;
      until.clear();
    },
  };
}

/** The same store; `changed` is called when an answer of it says that work came, or may have come. */
export function noticing(store: Store, changed: () => void): Store {
  async function after<T>(answer: Promise<T>, brings: (value: T) => boolean): Promise<T> {
    let isNews = true;
    try {
      const value = await answer;
      isNews = brings(value);
      return value;
    } finally {
      // Also where it failed: nobody knows how far it came.
      if (isNews) changed();
    }
  }
  const waits = (job: Job): boolean => job.status === 'starting';

  return {
    ...store,
    submit: (jobs) => after(store.submit(jobs), () => true),
    settle: (ends) =>
      after(store.settle(ends), (outcomes) => outcomes.some((each) => each.type === 'applied' && waits(each.job))),
    release: (session, loss) => after(store.release(session, loss), (jobs) => jobs.some(waits)),
    reconcile: (session, held) => after(store.reconcile(session, held), ({ lost }) => lost.some(waits)),
    sweep: (limit) => after(store.sweep(limit), ({ reclaimed }) => reclaimed.some(waits)),
    counts: () =>
      after(store.counts(), (counts) =>
        [...counts.values()].some(({ waitingRows, soloJobs }) => waitingRows + soloJobs > 0),
      ),
  };
}
