/** The Predictions port in memory, for tests of the HTTP side: jobs are decided when the test says so, or at once. */
import { acceptedJob } from '../../src/dispatch/accepted.ts';
import type { Job, JobTimings, Outcome, Payload } from '../../src/dispatch/job.ts';
import { TERMINAL } from '../../src/dispatch/job.ts';
import { PosternError } from '../../src/errors.ts';
import type { Peers } from '../../src/gateway/cluster/peer.ts';
import type { MemberList } from '../../src/gateway/cluster/members.ts';
import { createTotals, type ModelTotals } from '../../src/gateway/engine-stats.ts';
import type {
  ModelView,
  PredictionRequest,
  Predictions,
  Rollouts,
  Services,
  WorkerView,
} from '../../src/gateway/ports.ts';

export interface FakePredictions extends Predictions {
  /** Every request submitted, in order. */
  readonly submitted: PredictionRequest[];
  /** How each new job ends, at once; null leaves it waiting. */
  ending: Outcome | null;
  /** What submit throws, when not null. */
  refusal: PosternError | null;
  /** Ends a waiting job. */
  decide(id: string, outcome: Outcome): void;
  change(id: string, change: Partial<Job>): void;
  readonly onDecided: (observer: (job: Job) => void) => () => void;
  /** Waits that have not ended. */
  readonly waiting: number;
  /** Readers that have not left. */
  readonly reading: number;
  /** Puts out the next part of the job's current attempt. */
  part(id: string, contentType: string, text: string): void;
  /** As after a restart, or for a new attempt. */
  dropParts(id: string): void;
  workerList: WorkerView[];
  /** As the engine counts. */
  readonly totals: ReadonlyMap<string, Readonly<ModelTotals>>;
}

export const TIMINGS: JobTimings = {
  queueMs: 0.1,
  linkMs: 0.5,
  workerQueueMs: 0.2,
  decodeMs: 3,
  batchMs: 0,
  computeMs: 8.25,
};
export const ROSE = '{"predictions":[{"label":"rose","score":0.91}],"rejected":false,"unsure":false}';

export function succeeded(text = ROSE, contentType = 'application/json'): Outcome {
  return { type: 'succeeded', output: { contentType, bytes: Buffer.from(text) }, timings: TIMINGS };
}

export function createFakePredictions(models: readonly string[] = ['plants']): FakePredictions {
  const jobs = new Map<string, Job>();
  const waiters = new Map<string, Set<() => void>>();
  const observers = new Set<(job: Job) => void>();
  const watched = new Map<string, Set<() => void>>();
  const parts = new Map<string, Payload[]>();
  const counters = createTotals();
  let count = 0;

  function change(id: string, update: Partial<Job>): void {
    const job = jobs.get(id);
    if (!job) throw new Error(`no job ${id}`);
    jobs.set(id, { ...job, ...update });
    for (const look of watched.get(id) ?? []) look();
    if (!TERMINAL.has(update.status ?? job.status)) return;
    counters.decided({ ...job, ...update });
    for (const wake of waiters.get(id) ?? []) wake();
    for (const observer of observers) observer({ ...job, ...update });
  }

  function decide(id: string, outcome: Outcome): void {
    const common = {
      completedAt: 1_700_000_000_500,
      startedAt: 1_700_000_000_100,
      attempt: 1,
      worker: 'local',
      servedVersion: '1',
    };
    if (outcome.type === 'succeeded') {
      change(id, { ...common, status: 'succeeded', output: outcome.output, timings: outcome.timings });
    } else if (outcome.type === 'canceled') change(id, { ...common, status: 'canceled' });
    else change(id, { ...common, status: 'failed', error: outcome.error });
  }

  const fake: FakePredictions = {
    submitted: [],
    ending: succeeded(),
    refusal: null,
    workerList: [],
    totals: counters.totals,
    decide,
    change,
    get waiting() {
      return [...waiters.values()].reduce((sum, set) => sum + set.size, 0);
    },
    get reading() {
      return [...watched.values()].reduce((sum, set) => sum + set.size, 0);
    },
    onDecided(observer) {
      observers.add(observer);
      return () => observers.delete(observer);
    },
    submit(request) {
      if (fake.refusal) return Promise.reject(fake.refusal);
      if (!models.includes(request.model))
        return Promise.reject(new PosternError('model_not_found', `no model ${request.model}`));
      fake.submitted.push(request);
      count += 1;
      const id = `job-${count}`;
      const job = acceptedJob(
        { ...request, webhook: request.webhook ?? null, id, rows: request.rows ?? 1 },
        1_700_000_000_000,
      );
      jobs.set(id, job);
      counters.of(job.model).submitted += 1;
      if (fake.ending) decide(id, fake.ending);
      return Promise.resolve(jobs.get(id) ?? job);
    },
    get: (id) => Promise.resolve(jobs.get(id) ?? null),
    wait(id, timeoutMs, signal) {
      const job = jobs.get(id);
      if (!job || TERMINAL.has(job.status)) return Promise.resolve(job ?? null);
      return new Promise((resolve) => {
        const set = waiters.get(id) ?? new Set();
        waiters.set(id, set);
        const done = (): void => {
          set.delete(done);
          clearTimeout(timer);
          signal?.removeEventListener('abort', done);
          resolve(jobs.get(id) ?? null);
        };
        const timer = setTimeout(done, timeoutMs);
        set.add(done);
        signal?.addEventListener('abort', done);
      });
    },
    cancel(id) {
      const job = jobs.get(id);
      if (job && !TERMINAL.has(job.status)) decide(id, { type: 'canceled' });
      return Promise.resolve(jobs.get(id) ?? null);
    },
    retry(id) {
      const job = jobs.get(id);
      if (job === undefined) return Promise.resolve(null);
      if (job.status === 'failed') return fake.submit({ ...job, deadlineAt: null });
      return Promise.reject(new PosternError('retry_refused', `the prediction is ${job.status}`));
    },
    list({ limit, cursor, status, model, caller }) {
      const all = [...jobs.values()]
        .reverse()
        .filter((job) => (!status || job.status === status) && (!model || job.model === model))
        .filter((job) => caller === undefined || job.caller === caller);
      const from = cursor === null ? 0 : Number(cursor);
      const next = from + limit < all.length ? String(from + limit) : null;
      return Promise.resolve({ jobs: all.slice(from, from + limit), next });
    },
    part(id, contentType, text) {
      parts.set(id, [...(parts.get(id) ?? []), { contentType, bytes: Buffer.from(text) }]);
      for (const look of watched.get(id) ?? []) look();
    },
    dropParts: (id) => void parts.delete(id),
    watch(id, onChange) {
      if (!jobs.has(id)) return Promise.resolve(null);
      const looks = watched.get(id) ?? new Set();
      watched.set(id, looks.add(onChange));
      return Promise.resolve({
        isHere: true,
        get job() {
          return jobs.get(id)!;
        },
        get attempt() {
          return jobs.get(id)!.attempt;
        },
        get partCount() {
          return parts.get(id)?.length ?? 0;
        },
        part: (seq: number) => parts.get(id)![seq]!,
        close: () => void looks.delete(onChange),
      });
    },
    deliveriesOf: () => Promise.resolve([]),
    queuePosition: (id) => Promise.resolve(jobs.get(id)?.status === 'starting' ? 0 : null),
    models: () => Promise.resolve(models.map(viewOf)),
    report: (model) =>
      models.includes(model)
        ? {
            ready: true,
            isFree: true,
            report: { name: model, version: '1', state: 'ready', kind: 'image-classification', maxRows: 8 },
          }
        : null,
    settled: () => null,
    workers: () => fake.workerList,
  };
  return fake;
}

function viewOf(name: string): ModelView {
  return {
    name,
    description: `The model ${name}`,
    kind: 'image-classification',
    state: 'ready',
    versions: [{ version: '1', state: 'ready', workers: 1, weight: 100, servingWorkers: 1 }],
    waitingJobs: 0,
    processingJobs: 0,
    lastSeenAt: 1_700_000_000_000,
  };
}

/** A gateway without others, and without workers. */
const noMembers: MemberList = { self: 'gateway', list: [], others: [], onChange: () => () => undefined };

const noPeers: Peers = { choose: () => [], holders: () => [] };

export const noOthers = { members: noMembers, peers: noPeers };

/** A gateway that nobody deploys anything on. */
export const noRollouts: Rollouts = {
  deploy(model) {
    throw new PosternError('model_not_found', `no connected worker has the model "${model}"`);
  },
  rollback(model) {
    throw new PosternError('rollout_refused', `${model} has no earlier version to go back to`);
  },
  view: () => null,
  views: () => [],
};

/** A gateway whose workers have no services. */
export const noServices: Services = {
  seat({ service }) {
    throw new PosternError('model_not_found', `There is no service "${service}".`);
  },
  room: () => 'none',
  report(service) {
    throw new PosternError('model_not_found', `There is no service "${service}".`);
  },
  openAi: () => [],
};
