/**
 * A whole installation in virtual time: gateways, workers, one database, callers; and what may be done to it (a region cut off, a machine dead, a
 * release, more gateways). Owner of: which process listens at which address.
 */
import type { Job } from '../../../src/dispatch/job.ts';
import { createMemoryStore } from '../../../src/store/memory.ts';
import type { Store, Swept } from '../../../src/store/store.ts';
import { createRandom } from '../../support/random.ts';
import { createBooks, type Books } from './books.ts';
import { createCatalogue } from './catalogue.ts';
import { createDatabase, type Database } from './database.ts';
import { ADMISSION, SimGateway } from './gateway.ts';
import { createHints, type Hints } from './hints.ts';
import type { Tally } from './measures.ts';
import { createMembers, type Members } from './members.ts';
import { createNetwork, type Network } from './network.ts';
import { createReport, type Report } from './report.ts';
import type { Catalogue, Options, World } from './shape.ts';
import { createTimeline, type Timeline } from './timeline.ts';
import { SimWorker } from './worker.ts';

export const DEFAULTS: Options = {
  seed: 1,
  gateways: 50,
  workers: 2_000,
  models: 40,
  keys: 300,
  load: 0.7,
  jobMs: 8_000,
  linksPerWorker: Infinity,
  regions: 3,
  databaseCores: 16,
  dataConnections: 3,
  heartbeats: 'together',
  hints: 'always',
  isWholeShares: true,
  largestRows: 4,
  admission: ADMISSION,
  backoffRandom: null,
};

const MAX_EVENTS = 500_000_000;
/** All gateways sweep; the effect of the second one within this is none, and its cost is counted all the same. */
const SWEEP_EFFECT_MS = 900;
const NOTHING: Swept = { claims: true, reclaimed: [], expired: [], forgotten: 0 };

export class Installation implements World {
  readonly options: Options;
  readonly timeline: Timeline;
  readonly books: Books;
  readonly network: Network;
  readonly database: Database;
  readonly members: Members;
  readonly hints: Hints;
  readonly store: Store;
  readonly catalogue: Catalogue;
  readonly measures: Report;
  /** By address: the process that listens there. */
  readonly gateways = new Map<string, SimGateway>();
  readonly workers: SimWorker[] = [];
  readonly #deadMachines = new Set<string>();
  #generation = 0;
  #sweptAt = -Infinity;

  constructor(options: Options) {
    this.options = options;
    const random = createRandom(options.seed);
    this.timeline = createTimeline(random.fork(), MAX_EVENTS);
    this.books = createBooks(this.timeline);
    this.network = createNetwork(this.timeline);
    const memory = createMemoryStore({
      clock: this.timeline.clock,
      maxResults: 0,
      resultTtlMs: 1_000,
      idempotencyTtlMs: 1_000,
      maxInputBytes: 2 ** 40,
    });
    this.store = this.#watched(options.bugs?.store?.(memory) ?? memory);
    this.database = createDatabase(this.timeline, this.store, options.databaseCores);
    this.members = createMembers(this.timeline);
    this.hints = createHints(() => this);
    this.measures = createReport(this);
    this.catalogue = createCatalogue(options, random.fork());
    for (let n = 0; n < options.gateways; n += 1) this.startGateway(`gateway-${n}`, n % options.regions);
    for (const worker of this.catalogue.workers) this.workers.push(new SimWorker(this, worker));
  }

  get sent(): Tally {
    return this.network.sent;
  }

  /** Books are kept where it takes effect: whoever asked may be dead when the answer comes. */
  #watched(store: Store): Store {
    const { books } = this;
    const note = (jobs: readonly Job[]): void => jobs.forEach((job) => books.decided(job));
    return {
      ...store,
      async submit(jobs) {
        const outcomes = await store.submit(jobs);
        for (const one of outcomes) if (one.type === 'accepted') books.accepted(one.job.id);
        return outcomes;
      },
      async settle(ends) {
        const outcomes = await store.settle(ends);
        outcomes.forEach((one, index) => {
          if (one.type !== 'applied') return;
          const { attempt } = ends[index]!.fence;
          if (one.job.attempt !== attempt)
            books.violation(`${one.job.id} was ended by a stale attempt, ${attempt} of ${one.job.attempt}`);
          books.decided(one.job);
        });
        return outcomes;
      },
      async release(session, loss) {
        const jobs = await store.release(session, loss);
        books.takenBack(jobs);
        note(jobs);
        return jobs;
      },
      async reconcile(session, held) {
        const both = await store.reconcile(session, held);
        note(both.lost);
        return both;
      },
      async sweep(limit) {
        const swept = await store.sweep(limit);
        books.takenBack(swept.reclaimed);
        note(swept.reclaimed);
        note(swept.expired);
        return swept;
      },
    };
  }

  sweep(limit: number): Promise<Swept> {
    if (this.timeline.nowMs - this.#sweptAt < SWEEP_EFFECT_MS) return Promise.resolve(NOTHING);
    this.#sweptAt = this.timeline.nowMs;
    return this.store.sweep(limit);
  }

  // ---- addresses -------------------------------------------------------------------------------------------------------

  at(address: string): SimGateway | undefined {
    return this.gateways.get(address);
  }

  machineIsUp(address: string): boolean {
    return !this.#deadMachines.has(address) && this.gateways.get(address)?.isUp !== false;
  }

  serving(): string[] {
    const addresses: string[] = [];
    for (const [address, { isUp, isServing }] of this.gateways) if (isUp && isServing) addresses.push(address);
    return addresses;
  }

  // ---- what happens to it ------------------------------------------------------------------------------------------------

  startGateway(address: string, region: number): void {
    this.#generation += 1;
    this.gateways.set(address, new SimGateway(this, `${address}#${this.#generation}`, address, region));
  }

  /** The machine is gone, without a word. */
  killMachine(address: string): void {
    const gateway = this.gateways.get(address);
    if (!gateway) return;
    gateway.isUp = false;
    gateway.isServing = false;
    this.#deadMachines.add(address);
    this.network.cut((connection) => connection.gateway === gateway);
  }

  /** So many workers are switched off and stay off. */
  killWorkers(count: number): readonly SimWorker[] {
    const dead = this.workers.splice(0, count);
    for (const worker of dead) worker.kill();
    const isDead = new Set<unknown>(dead);
    this.network.cut(({ worker }) => isDead.has(worker));
    return dead;
  }

  /** A new release takes the place of the old process at its address. */
  replaceGateway(address: string, then: () => void): void {
    const old = this.gateways.get(address);
    if (!old) return;
    old.leave(() => {
      this.measures.left(old);
      this.members.leave(old);
      this.startGateway(address, old.region);
      then();
    });
  }

  cutRegion(region: number): void {
    for (const place of [...this.gateways.values(), ...this.workers]) if (place.region === region) place.isUp = false;
    this.network.cut(({ worker, gateway }) => worker.region === region || gateway.region === region);
  }

  healRegion(region: number): void {
    for (const place of [...this.gateways.values(), ...this.workers]) if (place.region === region) place.isUp = true;
  }
}
