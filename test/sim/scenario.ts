/**
 * One seed: a random deployment, random callers, and random faults. Then one of two ends:
 *
 *   safety     the faults go on until everything is killed at once; what is on the disk must be what anybody was told.
 *   liveness   the faults stop for one gateway and enough workers, though not for all; everything that was accepted must be
 *              decided, every row of credit must be back, and nobody may hold anything.
 */
import { DEFAULT_MAX_ATTEMPTS, type Fence, type JobId, type Job } from '../../src/dispatch/job.ts';
import type { Store } from '../../src/store/store.ts';
import { createRandom, type Random } from '../support/random.ts';
import { startCallers } from './callers.ts';
import { createMemoryDisk, type SimDisk } from './disk.ts';
import { createFaults, type Faults } from './faults.ts';
import { createHistory, type History } from './history.ts';
import { startOperator } from './operator.ts';
import { createSite, type Site } from './site.ts';
import { createSqliteDisk, type SqliteDiskOptions, type WriterBugs } from './sqlite-disk.ts';
import type { ServedModel } from './versions.ts';
import { SimWorker } from './worker.ts';
import { createWorld, type World } from './world.ts';

export type Driver = 'memory' | 'sqlite';
export type Mode = 'safety' | 'liveness';

export interface Outcome {
  readonly seed: number;
  readonly driver: Driver;
  readonly mode: Mode;
  readonly violations: readonly string[];
  readonly hash: string;
  readonly events: number;
  readonly jobs: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly lines: readonly string[];
}

/** Breaks one promise on purpose, to see that the history notices. */
export interface Sabotage {
  readonly driver: Driver;
  /** Where only one of them can notice. */
  readonly mode?: Mode;
  readonly memory?: (store: Store) => Store;
  readonly sqlite?: NonNullable<SqliteDiskOptions['sabotage']>;
  readonly bugs?: WriterBugs;
}

export interface ScenarioOptions {
  readonly keepLines?: boolean;
  readonly driver?: Driver;
  readonly mode?: Mode;
  readonly sabotage?: Sabotage;
  /** How long the recovery may take, in virtual time. */
  readonly patienceMs?: number;
}

/** Long enough for several leases (18 s) to run out while faults go on. */
const FAULTS_MS = 90_000;
/** Longer than anything stands still. */
const AWAKE_MS = 30_000;
/** A full queue behind one slow worker that poison kills again and again takes long; more than this means it stands still. */
const RECOVERY_MS = 3_600_000;
/** After the last decision: acks, grants, leases of sessions that are gone, a worker that drained for 30 s and starts again. */
const QUIET_MS = 60_000;
const YEARS_MS = 1e12;

export async function runScenario(seed: number, options: ScenarioOptions = {}): Promise<Outcome> {
  const random = createRandom(seed);
  const world = createWorld(random.fork(), options.keepLines ?? false);
  const history = createHistory(DEFAULT_MAX_ATTEMPTS);
  // Drawn in any case, so that a seed with its driver named is the same seed.
  const [drawnDriver, drawnMode] = [random.pick(DRIVERS), random.pick(MODES)];
  const { sabotage } = options;
  const driver = sabotage?.driver ?? options.driver ?? drawnDriver;
  const mode = sabotage?.mode ?? options.mode ?? drawnMode;
  const disk = newDisk(world, driver, random.pick([5, 40, 200]), sabotage);
  const site = createSite({
    world,
    disk,
    onDecided(job, gateway) {
      world.trace(`decided ${job.id} ${job.status} ${job.attempt}`);
      history.decidedEvent(job, gateway);
      history.read(job, world.latestWall);
    },
    onAck: (fences) => checkAcks(disk, history, fences),
  });
  const faults = createFaults({ world, random: random.fork(), site, disk });
  const models = someModels(random);
  const workers = someWorkers({ world, random, site, faults, history, models });
  const { accepted } = startCallers({
    world,
    random: random.fork(),
    site,
    history,
    models,
    committed: disk.committed,
    isOver: () => faults.isOver,
  });

  const operator = startOperator({ world, random: random.fork(), site, history, models, isOver: () => faults.isOver });
  site.start();
  for (const one of workers) world.after(random.next() * 1_000, () => one.start());
  faults.start(workers);
  await world.run(FAULTS_MS);
  if (mode === 'liveness') await recover();
  else {
    site.killAll();
    world.trace('everything is killed');
  }

  const finals = new Map<JobId, Job | null>();
  for (const id of history.ids) finals.set(id, await disk.committed.get(id));
  history.check(finals, { latestWall: world.latestWall, isEverythingDecided: mode === 'liveness' });
  for (const problem of disk.inspect()) history.violation(problem);
  const { violations, counts } = history;
  const { hash, events, lines } = world;
  return { seed, driver, mode, violations, hash, events, jobs: accepted.length, counts, lines };

  async function recover(): Promise<void> {
    world.trace('the faults stop');
    // The first worker serves everything, so that what is accepted can be run in the end; of the others some stay away.
    const healthy = workers.filter((_, index) => index === 0 || random.chance(0.6));
    faults.heal(workers.filter((one) => !healthy.includes(one)));
    for (const one of healthy) one.start();
    operator.settle();
    let undecided = Infinity;
    const look = (): void => {
      void disk.committed.counts().then((counts) => {
        undecided = 0;
        for (const { waitingJobs, processingJobs } of counts.values()) undecided += waitingJobs + processingJobs;
      });
      world.after(1_000, look);
    };
    look();
    // What callers said to a gateway that stood still is accepted when it goes on.
    await world.run(FAULTS_MS + AWAKE_MS);
    await world.run(FAULTS_MS + (options.patienceMs ?? RECOVERY_MS), () => undecided === 0);
    await world.run(world.clock.monotonic() + QUIET_MS);
    for (const one of healthy) {
      if (!one.connected) history.violation(`${one.name} did not come back`);
      if (!one.holdsNothing) history.violation(`${one.name} still holds attempts`);
    }
    checkCredit(site, healthy, history);
    operator.check(healthy);
  }
}

const DRIVERS: readonly Driver[] = ['sqlite', 'sqlite', 'sqlite', 'memory'];
const MODES: readonly Mode[] = ['liveness', 'liveness', 'safety'];

function newDisk(world: World, driver: Driver, queueLimitJobs: number, sabotage: Sabotage | undefined): SimDisk {
  // Clocks jump by hours here, and nothing shall be forgotten for that.
  const limits = { queueLimitJobs, resultTtlMs: YEARS_MS, idempotencyTtlMs: YEARS_MS, waitTtlMs: YEARS_MS };
  if (driver === 'memory') return createMemoryDisk(world, limits, sabotage?.memory);
  return createSqliteDisk({
    world,
    limits,
    bugs: sabotage?.bugs ?? {},
    ...(sabotage?.sqlite && { sabotage: sabotage.sqlite }),
  });
}

function someModels(random: Random): ServedModel[] {
  const models: ServedModel[] = [];
  for (let i = random.int(1, 3); i > 0; i -= 1) {
    models.push({ name: `model-${i}`, version: '1', capacityRows: random.pick([1, 2, 8, 32]) });
    if (random.chance(0.3)) models.push({ name: `model-${i}`, version: '2', capacityRows: random.pick([1, 4]) });
  }
  return models;
}

function someWorkers(of: {
  readonly world: World;
  readonly random: Random;
  readonly site: Site;
  readonly faults: Faults;
  readonly history: History;
  readonly models: readonly ServedModel[];
}): SimWorker[] {
  const { world, random, site, faults, history, models } = of;
  return Array.from({ length: random.int(1, 4) }, (_, index) => {
    const name = `worker-${index + 1}`;
    return new SimWorker({
      world,
      random: random.fork(),
      site,
      name,
      isVersioned: (model) => models.filter((one) => one.name === model).length > 1,
      models: index === 0 ? models : models.filter(() => random.chance(0.6)),
      conditions: () => faults.conditions(name),
      calm: () => faults.isOver,
      violation: (what) => history.violation(what),
      onStart: (job, session) => history.began(job, session),
    });
  });
}

/** An ack tells the worker to forget a result: then the attempt must not own the job any more. */
function checkAcks({ committed }: SimDisk, history: History, fences: readonly Fence[]): void {
  for (const { job: id, attempt, session } of fences) {
    void committed.get(id).then((job) => {
      const owns = job?.status === 'processing' && job.attempt === attempt && job.session === session;
      if (owns) history.violation(`${id} ${attempt} was acked before its end was committed`);
    });
  }
}

/** Nothing runs, so all that a worker takes must be free, on both sides' account. */
function checkCredit(site: Site, workers: readonly SimWorker[], history: History): void {
  for (const view of site.front?.engine.workers() ?? []) {
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
