/**
 * One seed: a random deployment, random callers, and random faults (safety); then the faults stop, and everything that was
 * accepted must be decided, every row of credit must be back, and nobody may hold anything (liveness).
 */
import { DEFAULT_MAX_ATTEMPTS, type JobId, type Job } from '../../src/dispatch/job.ts';
import { createMemoryStore } from '../../src/store/memory.ts';
import type { Store } from '../../src/store/store.ts';
import { createRandom } from '../support/random.ts';
import { createSimGateway } from './gateway.ts';
import { createHistory } from './history.ts';
import { SimWorker, type Nature, type ServedModel } from './worker.ts';
import { createWorld } from './world.ts';

export interface Outcome {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly hash: string;
  readonly events: number;
  readonly jobs: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly lines: readonly string[];
}

export interface ScenarioOptions {
  readonly keepLines?: boolean;
  /** Breaks the store on purpose, to see that the history notices. */
  readonly sabotage?: (store: Store) => Store;
  /** How long the recovery may take, in virtual time. */
  readonly patienceMs?: number;
}

/** Long enough for several leases (18 s) to run out while faults go on. */
const FAULTS_MS = 90_000;
/** A full queue behind one slow worker that poison kills again and again takes long; more than this means it stands still. */
const RECOVERY_MS = 3_600_000;
/** After the last decision: acks, grants, leases of sessions that are gone. */
const QUIET_MS = 30_000;

const NATURES: readonly Nature[] = [
  ...Array<Nature>(12).fill('good'),
  'good',
  'slow',
  'slow',
  'flaky',
  'bad',
  'poison',
];

export async function runScenario(seed: number, options: ScenarioOptions = {}): Promise<Outcome> {
  const random = createRandom(seed);
  const world = createWorld(random.fork(), options.keepLines ?? false);
  const history = createHistory(DEFAULT_MAX_ATTEMPTS);
  const { clock } = world;
  const memory = createMemoryStore({ clock, queueLimitJobs: random.pick([5, 40, 200]), resultTtlMs: RECOVERY_MS * 2 });
  const store = options.sabotage?.(memory) ?? memory;
  const gateway = createSimGateway({
    world,
    store,
    onDecided(job) {
      world.trace(`decided ${job.id} ${job.status} ${job.attempt}`);
      history.decidedEvent(job);
      history.read(job, world.latestWall);
    },
  });

  let faulty = true;
  const faults = {
    latencyMs: random.pick<readonly [number, number]>([
      [0, 1],
      [1, 50],
      [10, 2_000],
    ]),
    noticeMs: random.pick<readonly [number, number]>([
      [0, 10],
      [0, 5_000],
      [1_000, 30_000],
    ]),
    duplicate: random.pick([0, 0.05, 0.5]),
  };
  const calm = { latencyMs: [1, 5], noticeMs: [0, 100], duplicate: 0 } as const;
  const conditions = () => (faulty ? faults : calm);

  const models: ServedModel[] = [];
  for (let i = random.int(1, 3); i > 0; i -= 1) {
    models.push({ name: `model-${i}`, version: '1', capacityRows: random.pick([1, 2, 8, 32]) });
    if (random.chance(0.3)) models.push({ name: `model-${i}`, version: '2', capacityRows: random.pick([1, 4]) });
  }
  const workers: SimWorker[] = [];
  for (let i = random.int(1, 4); i > 0; i -= 1) {
    // The first one serves everything, so that what is accepted can be run in the end.
    const serves = workers.length === 0 ? models : models.filter(() => random.chance(0.6));
    workers.push(
      new SimWorker({
        world,
        random: random.fork(),
        gateway,
        name: `worker-${i}`,
        models: serves,
        conditions,
        calm: () => !faulty,
        violation: (what) => history.violation(what),
        onStart: (job) => history.began(job),
      }),
    );
  }

  // ---- callers -----------------------------------------------------------------------------------------------------

  const accepted: JobId[] = [];
  const byKey = new Map<string, JobId>();
  const callers = random.fork();

  function submitOne(): void {
    const { engine } = gateway;
    if (!engine) return;
    const model = callers.pick(models);
    const nature = callers.pick(NATURES);
    const deadlineAt = callers.chance(0.15) ? clock.now() + callers.int(1, 40_000) : null;
    const idempotencyKey = callers.chance(0.2) ? `key-${callers.int(1, 30)}` : null;
    // A key belongs to one body here: what differs with it is tested elsewhere.
    const of = idempotencyKey ?? nature;
    engine
      .submit({
        model: model.name,
        version: idempotencyKey === null && callers.chance(0.2) ? model.version : null,
        input: { contentType: 'text/plain', bytes: Buffer.from(idempotencyKey === null ? nature : 'good') },
        parameters: {},
        priority: idempotencyKey === null ? callers.pick([0, 0, 0, 5, -5]) : 0,
        caller: callers.pick(['anna', 'ben']),
        deadlineAt,
        idempotencyKey: idempotencyKey === null ? null : `${of} ${model.name}`,
      })
      .then(
        (job) => onAccepted(job, idempotencyKey === null ? nature : 'good'),
        (error: Error) => world.trace(`refused ${error.message}`),
      );
  }

  function onAccepted(job: Job, nature: Nature): void {
    world.trace(`accepted ${job.id} ${job.model} ${nature}`);
    history.accepted(job, nature);
    history.read(job, world.latestWall);
    if (job.idempotencyKey !== null) {
      const of = `${job.caller} ${job.idempotencyKey}`;
      const earlier = byKey.get(of);
      if (earlier !== undefined && earlier !== job.id) history.violation(`${of} made both ${earlier} and ${job.id}`);
      byKey.set(of, job.id);
    }
    accepted.push(job.id);
    if (callers.chance(0.5)) waitFor(job.id);
    if (callers.chance(0.1)) world.after(callers.next() * 3_000, () => cancelOne(job.id));
  }

  function waitFor(id: JobId): void {
    const timeoutMs = callers.pick([100, 5_000, 60_000]);
    void gateway.engine?.wait(id, timeoutMs).then((job) => {
      if (job) history.read(job, world.latestWall);
      else history.violation(`${id} was accepted, and unknown to a wait`);
    });
  }

  function cancelOne(id: JobId): void {
    const { engine } = gateway;
    if (!engine) return;
    world.trace(`cancel ${id}`);
    history.cancelAsked(id);
    void engine.cancel(id).then((job) => {
      if (job) history.read(job, world.latestWall);
    });
  }

  function readOne(): void {
    if (accepted.length === 0) return;
    const id = callers.pick(accepted);
    void gateway.engine?.get(id).then((job) => {
      if (job) history.read(job, world.latestWall);
      else history.violation(`${id} was accepted, and is lost`);
    });
  }

  const callMs = callers.pick([20, 200, 1_000]);
  function callAgain(): void {
    if (!faulty) return;
    const many = callers.chance(0.05) ? 30 : 1;
    for (let i = 0; i < many; i += 1) submitOne();
    if (callers.chance(0.5)) readOne();
    world.after(callers.next() * 2 * callMs, callAgain);
  }

  // ---- faults ------------------------------------------------------------------------------------------------------

  const evil = random.fork();
  const worker = (): SimWorker => evil.pick(workers);
  const menu: readonly (() => void)[] = [
    () => worker().cutLink(),
    () => worker().cutLink(),
    () => worker().die(evil.next() * 40_000),
    () => worker().pause(evil.pick([50, 3_000, 25_000])),
    () => worker().drain(evil.pick([0, 2_000, 30_000]), evil.next() * 10_000),
    () => world.jump(evil.int(-3_600_000, 3_600_000)),
    () => gateway.drainSession(worker().name),
    () => {
      gateway.kill();
      world.after(evil.next() * 10_000, () => gateway.start());
    },
  ];
  // Each seed has its own taste: some faults often, others never.
  const taste = menu.filter(() => evil.chance(0.6));
  const faultMs = evil.pick([500, 4_000, 20_000]);
  function faultAgain(): void {
    if (!faulty) return;
    if (taste.length > 0) evil.pick(taste)();
    world.after(evil.next() * 2 * faultMs, faultAgain);
  }

  // ---- the run -----------------------------------------------------------------------------------------------------

  gateway.start();
  for (const one of workers) world.after(random.next() * 1_000, () => one.start());
  world.after(0, callAgain);
  world.after(random.next() * 5_000, faultAgain);
  await world.run(FAULTS_MS);

  world.trace('the faults stop');
  faulty = false;
  gateway.start();
  for (const one of workers) one.start();
  const finals = async (): Promise<Map<JobId, Job | null>> => {
    const jobs = new Map<JobId, Job | null>();
    for (const id of history.ids) jobs.set(id, await memory.get(id));
    return jobs;
  };
  let undecided = Infinity;
  function look(): void {
    void memory.counts().then((models) => {
      undecided = [...models.values()].reduce(
        (sum, { waitingJobs, processingJobs }) => sum + waitingJobs + processingJobs,
        0,
      );
    });
    world.after(1_000, look);
  }
  look();
  await world.run(FAULTS_MS + (options.patienceMs ?? RECOVERY_MS), () => undecided === 0);
  const quietFrom = clock.monotonic();
  await world.run(quietFrom + QUIET_MS);
  history.check(await finals(), true);
  for (const one of workers) {
    if (!one.connected) history.violation(`${one.name} did not come back`);
    if (!one.holdsNothing) history.violation(`${one.name} still holds attempts`);
  }
  checkCredit();
  const { counts } = history;
  return {
    seed,
    violations: history.violations,
    hash: world.hash,
    events: world.events,
    jobs: accepted.length,
    counts,
    lines: world.lines,
  };

  /** Nothing runs, so all that a worker takes must be free, on both sides' account. */
  function checkCredit(): void {
    for (const view of gateway.engine?.workers() ?? []) {
      const serves = workers.find((one) => one.name === view.name)?.serves ?? [];
      for (const { name, version, capacityRows } of serves) {
        const found = view.models.find((model) => model.name === name && model.version === version);
        if (found?.creditRows !== capacityRows || found.inFlightJobs !== 0) {
          const has = `${found?.creditRows} rows free, ${found?.inFlightJobs} in flight`;
          history.violation(`${view.name} ${name}@${version}: ${has}, of ${capacityRows}`);
        }
      }
    }
  }
}
