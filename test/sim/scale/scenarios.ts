/** What is tried: each scenario brings an installation up, does something to it, lets it finish, and has the books checked. */
import { startCallers, type Callers } from './callers.ts';
import { DEFAULTS, Installation } from './installation.ts';
import type { SimGateway } from './gateway.ts';
import { jain } from './measures.ts';
import type { Figures, Second } from './report.ts';
import type { Options } from './shape.ts';

export interface Played {
  readonly scenario: string;
  readonly options: Partial<Options>;
  readonly figures: Figures;
  /** What this scenario is about. */
  readonly more: Readonly<Record<string, number>>;
  readonly seconds: readonly Second[];
  readonly counts: Installation['books']['counts'];
  readonly violations: readonly string[];
  readonly events: number;
  readonly hash: string;
  readonly virtualS: number;
}

interface Stage {
  readonly world: Installation;
  readonly callers: Callers;
  /** Runs until this many seconds of virtual time after now. */
  readonly pass: (seconds: number, stop?: () => boolean) => Promise<void>;
  /** Seconds until it holds; Infinity when it does not within so many. */
  readonly until: (seconds: number, holds: () => boolean) => Promise<number>;
}

type Script = (
  stage: Stage,
) => Promise<{ readonly figures: Figures; readonly more?: Readonly<Record<string, number>> }>;

const CONNECT_S = 15;
/** Workers are switched on over this time. */
const START_MS = 5_000;
/** For everything that was accepted to be decided when nobody asks for more: leases, retries with their waits, and backlogs. */
const FINISH_S = 600;
/** Of the mean: one job in a billion takes longer. */
const LONGEST_JOBS = 12;
const REST_S = 40;

async function play(scenario: string, changes: Partial<Options>, script: Script): Promise<Played> {
  const world = new Installation({ ...DEFAULTS, ...changes });
  const { timeline, books } = world;
  const pass = (seconds: number, stop?: () => boolean): Promise<void> =>
    timeline.run(timeline.nowMs + seconds * 1_000, stop);
  for (const worker of world.workers) timeline.after(worker.random.next() * START_MS, () => worker.start());
  await pass(CONNECT_S);
  const callers = startCallers(world);
  const { figures, more = {} } = await script({
    world,
    callers,
    pass,
    async until(seconds, holds) {
      const began = timeline.nowMs;
      for (let n = 0; n < seconds * 10 && !holds(); n += 1) await pass(0.1);
      return holds() ? (timeline.nowMs - began) / 1_000 : Infinity;
    },
  });
  callers.stop();
  await pass(FINISH_S + (LONGEST_JOBS * world.options.jobMs) / 1_000, () => books.undecided.size === 0);
  await pass(REST_S);
  books.checkEnd();
  checkLinks(world);
  return {
    scenario,
    options: changes,
    figures,
    more: { ...more, failedTriesOfCallers: callers.failedTries },
    seconds: world.measures.seconds,
    counts: books.counts,
    violations: books.violations,
    events: timeline.events,
    hash: timeline.hash,
    virtualS: timeline.nowMs / 1_000,
  };
}

/** Long after everything happened each worker is linked to as many gateways as it should be. */
function checkLinks(world: Installation): void {
  const most = Math.min(world.options.linksPerWorker, world.serving().length);
  for (const { name, connectedLinks } of world.workers) {
    if (connectedLinks !== most)
      world.books.violation(`${name} has ${connectedLinks} links of ${most}, and nothing happens any more`);
  }
}

/** Of those that are up: part that has all the links that it may have. */
function wholePart({
  workers,
  options,
  serving,
}: {
  workers: Installation['workers'];
  options: Options;
  serving: number;
}): number {
  const most = Math.min(options.linksPerWorker, serving);
  const up = workers.filter(({ isUp }) => isUp);
  return up.filter(({ connectedLinks }) => connectedLinks >= most).length / up.length;
}

const whole = (world: Installation): number =>
  wholePart({ workers: world.workers, options: world.options, serving: world.serving().length });

export const steady = (options: Partial<Options>, seconds = 30, warmS = 25): Promise<Played> =>
  play('steady', options, async ({ world, pass }) => {
    await pass(warmS);
    const end = world.measures.begin();
    await pass(seconds);
    return { figures: end() };
  });

/** A region is cut off, workers and gateways, and is back all at once. */
export const storm = (options: Partial<Options>, awayS = 300, afterS = 60): Promise<Played> =>
  play('storm', options, async ({ world, pass, until }) => {
    await pass(20);
    world.cutRegion(0);
    await pass(awayS);
    const dialsAway = world.sent.of('dials');
    world.healRegion(0);
    const end = world.measures.begin();
    const linkedS = await until(afterS, () => linkedPart(world) >= 0.99);
    const wholeS = linkedS + (await until(afterS, () => whole(world) >= 0.99));
    await pass(5);
    return { figures: end(), more: { dialsAway, linkedS, wholeS } };
  });

const linkedPart = ({ workers }: Installation): number =>
  workers.filter(({ connectedLinks }) => connectedLinks > 0).length / workers.length;

/** Every gateway in turn gives its address to the next release. */
export const release = (options: Partial<Options>, everyS = 4): Promise<Played> =>
  play('release', options, async ({ world, pass, until }) => {
    await pass(20);
    const end = world.measures.begin();
    let leastLinked = 1;
    for (const address of [...world.gateways.keys()]) {
      let isDone = false;
      world.replaceGateway(address, () => (isDone = true));
      await pass(everyS);
      leastLinked = Math.min(leastLinked, linkedPart(world));
      if (!isDone) world.books.violation(`${address} was not replaced within ${everyS} s`);
    }
    const wholeS = await until(60, () => whole(world) >= 0.99);
    return { figures: end(), more: { leastLinked, wholeS } };
  });

/** A fiftieth of the workers die as well. */
const DYING_PART = 0.02;
const MOMENT_S = 0.005;
const MOMENTS = 4_000;

/**
 * A gateway's machine is gone without a word, and some workers with it, in a moment in which something is on its way to another worker. That, and what
 * the dead workers held, begins anew. What the others have goes on.
 */
export const death = (options: Partial<Options>): Promise<Played> =>
  play('death', options, async ({ world, callers, pass, until }) => {
    await pass(25);
    const [address] = world.serving();
    const dead = world.at(address!)!;
    const dying = world.workers.slice(0, Math.ceil(world.workers.length * DYING_PART));
    const lost = new Set(dying.map(({ name }) => name));
    const atOthers = (): Map<string, number> => heldBy([dead], (worker) => !lost.has(worker));
    const isOnTheWay = ([id, attempt]: [string, number]): boolean => !world.books.isHeld(id, attempt);
    for (let n = 0; n < MOMENTS && ![...atOthers()].some(isOnTheWay); n += 1) await pass(MOMENT_S);
    const onTheWay = new Map([...atOthers()].filter(isOnTheWay));
    const goesOn = new Map([...atOthers()].filter(([id]) => !onTheWay.has(id)));
    const ofTheDead = heldBy(world.gateways.values(), (worker) => lost.has(worker));
    const held = { heldByOthers: goesOn.size, onTheWay: onTheWay.size, heldByTheDead: ofTheDead.size };
    const end = world.measures.begin();
    const diedAt = world.timeline.nowMs;
    world.killMachine(address!);
    world.killWorkers(dying.length);
    let runAgain = 0;
    let onTheWayS = 0;
    const watch = async (): Promise<void> => {
      await dropLeft(world, ofTheDead);
      const wasOnTheWay = onTheWay.size;
      await dropLeft(world, onTheWay);
      if (onTheWay.size < wasOnTheWay) onTheWayS = (world.timeline.nowMs - diedAt) / 1_000;
      runAgain += await dropLeft(world, goesOn);
    };
    let safeS = 0;
    while (safeS < 60 && ofTheDead.size > 0) {
      await pass(0.5);
      await watch();
      safeS += 0.5;
    }
    const wholeS = safeS + (await until(60, () => whole(world) >= 0.99));
    const figures = end();
    callers.stop();
    for (let n = 0; n < (2 * LONGEST_JOBS * world.options.jobMs) / 1_000 && goesOn.size + onTheWay.size > 0; n += 1) {
      await pass(0.5);
      await watch();
    }
    return { figures, more: { ...held, safeS, onTheWayS, runAgain, wholeS } };
  });

/** Takes out those that are decided, or no longer in this attempt; returns the number of the latter. */
async function dropLeft(world: Installation, jobs: Map<string, number>): Promise<number> {
  let again = 0;
  for (const [id, attempt] of jobs) {
    const job = world.books.undecided.has(id) ? await world.store.get(id) : null;
    if (job?.status === 'processing' && job.attempt <= attempt) continue;
    jobs.delete(id);
    if (job !== null) again += 1;
  }
  return again;
}

/** Jobs in flight at these gateways, with their attempts. */
function heldBy(gateways: Iterable<SimGateway>, isOf: (worker: string) => boolean): Map<string, number> {
  const jobs = new Map<string, number>();
  for (const { dispatcher } of gateways) {
    for (const { worker, flights } of dispatcher.sessions()) {
      if (isOf(worker)) for (const { fence } of flights) jobs.set(fence.job, fence.attempt);
    }
  }
  return jobs;
}

/** Many gateways join few. */
export const scaleOut = (options: Partial<Options>, from = 5): Promise<Played> => {
  const to = options.gateways ?? DEFAULTS.gateways;
  return play('scaleOut', { ...options, gateways: from }, async ({ world, pass, until }) => {
    await pass(25);
    const end = world.measures.begin();
    for (let n = from; n < to; n += 1) world.startGateway(`gateway-${n}`, n % world.options.regions);
    const wholeS = await until(60, () => whole(world) >= 0.99);
    const evenS = wholeS + (await until(60, () => evenness(world) >= 0.9));
    await pass(20);
    return { figures: end(), more: { wholeS, evenS, evenness: evenness(world) } };
  });
};

/** Jain's index of the rows that gateways may send or have sent. */
function evenness(world: Installation): number {
  return jain(
    [...world.gateways.values()].map(({ dispatcher }) => {
      let rows = 0;
      for (const { offers } of dispatcher.sessions()) {
        for (const { credit } of offers) rows += credit.freeRows + credit.reservedRows + credit.inFlightRows;
      }
      return rows;
    }),
  );
}
