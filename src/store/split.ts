/**
 * Two stores as one: jobs that are recorded in one of them, and those that are not (`isUnrecorded`) in the memory of this
 * process. The id says where a job lives, so nothing must be remembered. Owner of nothing but whose turn it is: a model's
 * unrecorded jobs go first, because their callers are on the line, but never twice running while recorded ones may wait
 * (`known-empty.ts` says when none do).
 */
import type { Clock } from '../clock.ts';
import type { Job, JobId } from '../dispatch/job.ts';
import { isUnrecorded } from '../dispatch/id.ts';
import { createService } from '../service.ts';
import { createKnownEmpty, noticing } from './known-empty.ts';
import type { Claimed, ClaimRequest, Store } from './store.ts';

export interface SplitStoreOptions {
  readonly recorded: Store;
  /** Forgets every job in the moment in which it is decided. */
  readonly unrecorded: Store;
  readonly clock: Pick<Clock, 'monotonic'>;
}

export interface SplitStore extends Store {
  /** What all processes on it see, and what this one has for itself. */
  readonly parts: Readonly<Record<'recorded' | 'unrecorded', Store>>;
}

export function createSplitStore({ unrecorded, clock, ...options }: SplitStoreOptions): SplitStore {
  /** Models whose latest claim was answered without asking for recorded jobs. Models are bounded by who announces them. */
  const recordedNext = new Set<string>();
  const nothing = createKnownEmpty(clock);
  const recorded = noticing(options.recorded, nothing.changed);
  let endHints: () => void = () => undefined;
  const homeOf = (id: JobId): Store => (isUnrecorded(id) ? unrecorded : recorded);

  /** Each element to its store, all of a store in one call; the answers in the order of the elements. */
  async function each<T, R>(
    elements: readonly T[],
    idOf: (element: T) => JobId,
    call: (store: Store, part: readonly T[]) => Promise<readonly R[]>,
  ): Promise<R[]> {
    const mine = elements.filter((element) => isUnrecorded(idOf(element)));
    if (mine.length === 0) return [...(await call(recorded, elements))];
    if (mine.length === elements.length) return [...(await call(unrecorded, elements))];
    const others = elements.filter((element) => !isUnrecorded(idOf(element)));
    const [first, second] = await Promise.all([call(unrecorded, mine), call(recorded, others)]);
    let a = 0;
    let b = 0;
    return elements.map((element) => (isUnrecorded(idOf(element)) ? first[a++]! : second[b++]!));
  }

  async function claim(requests: readonly ClaimRequest[]): Promise<Claimed[]> {
    const answers: (Claimed | null)[] = requests.map(() => null);
    const first = requests.map((request, index) => ({ request, index }));
    const quick = first.filter(({ request }) => !recordedNext.has(request.model));
    const taken = await unrecorded.claim(quick.map(({ request }) => request));
    for (const [position, { request, index }] of quick.entries()) {
      const { jobs, leftRows, soloJobs } = taken[position]!;
      if (jobs.length === 0) continue;
      if (nothing.has(request)) {
        answers[index] = { jobs, leftRows, soloJobs };
        continue;
      }
      // Whoever waits in the other store is asked for next: until then "there may be more" is the truth.
      answers[index] = { jobs, leftRows: leftRows + 1, soloJobs };
      recordedNext.add(request.model);
    }
    const open = first.filter(({ index }) => answers[index] === null);
    if (open.length === 0) return answers as Claimed[];
    const note = nothing.asking();
    const found = await recorded.claim(open.map(({ request }) => request));
    open.forEach(({ request }, position) => note(request, found[position]!));
    // Also where no rows are left: the answer says what still waits.
    const more = await unrecorded.claim(
      open.map(({ request }, position) => {
        const { jobs } = found[position]!;
        const taken = jobs.reduce((rows, job) => rows + job.rows, 0);
        const maxRows = request.solo && jobs.length > 0 ? 0 : request.maxRows - taken;
        return { ...request, maxRows };
      }),
    );
    for (const [position, { request, index }] of open.entries()) {
      recordedNext.delete(request.model);
      const [mine, others] = [found[position]!, more[position]!];
      answers[index] = {
        jobs: [...mine.jobs, ...others.jobs],
        leftRows: mine.leftRows + others.leftRows,
        soloJobs: mine.soloJobs + others.soloJobs,
      };
    }
    return answers as Claimed[];
  }

  const both = async <R>(call: (store: Store) => Promise<R[]>): Promise<R[]> =>
    (await Promise.all([call(unrecorded), call(recorded)])).flat();

  const service = createService({
    async start() {
      await recorded.start();
      await unrecorded.start();
      endHints = recorded.onHint?.(nothing.changed) ?? endHints;
    },
    async stop() {
      endHints();
      await unrecorded.stop();
      await recorded.stop();
    },
  });

  return {
    ...service,
    parts: { recorded, unrecorded },
    durable: recorded.durable,
    submit: (jobs) =>
      each(
        jobs,
        ({ id }) => id,
        (store, part) => store.submit(part),
      ),
    claim,
    heartbeat: (session, leaseMs) => both((store) => store.heartbeat(session, leaseMs)),
    progress: (updates) =>
      each(
        updates,
        ({ fence }) => fence.job,
        (store, part) => store.progress(part),
      ),
    settle: (ends) =>
      each(
        ends,
        ({ fence }) => fence.job,
        (store, part) => store.settle(part),
      ),
    cancel: (id) => homeOf(id).cancel(id),
    release: (session, loss) => both((store) => store.release(session, loss)),
    async reconcile(session, held) {
      const mine = held.filter(([id]) => isUnrecorded(id));
      const others = held.filter(([id]) => !isUnrecorded(id));
      const [a, b] = await Promise.all([unrecorded.reconcile(session, mine), recorded.reconcile(session, others)]);
      return { kept: [...a.kept, ...b.kept], lost: [...a.lost, ...b.lost] };
    },
    async sweep(limit) {
      const [a, b] = await Promise.all([unrecorded.sweep(limit), recorded.sweep(limit)]);
      return {
        claims: b.claims,
        reclaimed: [...a.reclaimed, ...b.reclaimed],
        expired: [...a.expired, ...b.expired],
        forgotten: a.forgotten + b.forgotten,
      };
    },
    async stopClaiming() {
      await Promise.all([unrecorded.stopClaiming(), recorded.stopClaiming()]);
    },
    get: (id): Promise<Job | null> => homeOf(id).get(id),
    failedInput: (id) => homeOf(id).failedInput(id),
    dropFailedInputs: (ids) => recorded.dropFailedInputs(ids.filter((id) => !isUnrecorded(id))),
    // Of the store that outlives this process.
    probe: () => recorded.probe(),
    knownModels: () => recorded.knownModels(),
    rememberModels: (models) => recorded.rememberModels(models),
    async decidedAmong(ids) {
      const mine = ids.filter(isUnrecorded);
      const others = ids.filter((id) => !isUnrecorded(id));
      const [a, b] = await Promise.all([unrecorded.decidedAmong(mine), recorded.decidedAmong(others)]);
      return [...a, ...b];
    },
    // What is not recorded is in no list.
    list: (request) => recorded.list(request),
    async counts() {
      const [a, b] = await Promise.all([unrecorded.counts(), recorded.counts()]);
      const counts = new Map(b);
      for (const [model, mine] of a) {
        const other = counts.get(model);
        counts.set(
          model,
          other === undefined
            ? mine
            : {
                waitingJobs: mine.waitingJobs + other.waitingJobs,
                waitingRows: mine.waitingRows + other.waitingRows,
                soloJobs: mine.soloJobs + other.soloJobs,
                processingJobs: mine.processingJobs + other.processingJobs,
              },
        );
      }
      return counts;
    },
    async oldestWaiting() {
      const [a, b] = await Promise.all([unrecorded.oldestWaiting(), recorded.oldestWaiting()]);
      const ages = new Map(b);
      for (const [model, age] of a) ages.set(model, Math.max(age, ages.get(model) ?? 0));
      return ages;
    },
    queuePosition: (id) => homeOf(id).queuePosition(id),
    // Of what is not recorded nobody is told: its caller is on the line.
    deliveries: recorded.deliveries,
    ...(recorded.fault === undefined ? {} : { fault: recorded.fault }),
    ...(recorded.tellWaiting === undefined ? {} : { tellWaiting: recorded.tellWaiting }),
    ...(recorded.onHint === undefined ? {} : { onHint: recorded.onHint }),
    ...(recorded.files === undefined ? {} : { files: recorded.files }),
    ...(recorded.members === undefined ? {} : { members: recorded.members }),
  };
}
