/** What the parts of a simulated installation know of each other. Types, and what all of them must agree upon. */
import type { Dispatcher } from '../../../src/dispatch/dispatcher.ts';
import type { Fence, Job, Outcome } from '../../../src/dispatch/job.ts';
import type { Admission, AdmissionLimits } from '../../../src/gateway/admission.ts';
import type { Store, Swept } from '../../../src/store/store.ts';
import type { Held } from '../../../src/worker/links/keeping.ts';
import type { Random } from '../../support/random.ts';
import type { Books } from './books.ts';
import type { Database } from './database.ts';
import type { Tally } from './measures.ts';
import type { Connection, Network, Place } from './network.ts';
import type { Thread } from './thread.ts';
import type { Timeline } from './timeline.ts';

/** Every model has one version here. */
export const VERSION = '1';

export interface Bugs {
  /** Each link is granted all that the worker takes. */
  readonly ignoresOtherLinks?: boolean;
  /** Rows that were asked back count as given back at once. */
  readonly believesWithdrawals?: boolean;
  /** A worker dials whatever is on the list. */
  readonly dialsAll?: boolean;
  /** When a worker has others keep the leases of what runs for a gateway that is gone: never, once it has lost it, or from then on. */
  readonly keeps?: 'never' | 'once' | 'when lost';
  /** A break in the store. */
  readonly store?: (store: Store) => Store;
}

export interface Options {
  readonly seed: number;
  readonly gateways: number;
  readonly workers: number;
  readonly models: number;
  readonly keys: number;
  /** Of what all workers could do, so much is asked for. */
  readonly load: number;
  /** The mean time of a job, ms; from half of it to one and a half. */
  readonly jobMs: number;
  /** At most so many gateways are dialled by a worker. */
  readonly linksPerWorker: number;
  readonly regions: number;
  readonly databaseCores: number;
  readonly dataConnections: number;
  readonly heartbeats: 'one by one' | 'together';
  /** `always`: each acceptance is told to all. `when short`: only what the gateway's own workers have no room for. */
  readonly hints: 'always' | 'when short';
  /** No share of a worker's rows is smaller than its largest jobs. */
  readonly isWholeShares: boolean;
  /** A part of the jobs has so many rows. */
  readonly largestRows: number;
  readonly admission: AdmissionLimits;
  /** In place of each worker's own randomness, in its back-off. */
  readonly backoffRandom: (() => number) | null;
  readonly bugs?: Bugs;
}

export interface ServedModel {
  readonly name: string;
  readonly rows: number;
  /** Rows of its largest jobs. */
  readonly largestRows: number;
}

export interface WorkerOptions {
  readonly name: string;
  readonly region: number;
  readonly oneWayMs: number;
  readonly internetAddress: string;
  readonly models: readonly ServedModel[];
  readonly random: Random;
}

export interface Key {
  readonly name: string;
  /** Of its model's arrivals. */
  readonly part: number;
}

export interface Model {
  readonly name: string;
  /** Of all its workers. */
  readonly rows: number;
  /** Rows that are asked for per second. */
  readonly rowsPerSecond: number;
  readonly keys: readonly Key[];
  readonly isHot: boolean;
}

export interface Catalogue {
  readonly workers: readonly WorkerOptions[];
  readonly models: readonly Model[];
}

/** The worker's end of a link, as its gateway knows it. */
export interface WorkerEnd {
  readonly worker: string;
  readonly session: string;
  /** Sessions of this worker whose gateways are out of reach, and that hold something. */
  readonly previous: readonly string[];
  onAssign(connection: Connection, fence: Fence, job: Job): void;
  onCancel(connection: Connection, fence: Fence): void;
  onAck(fences: readonly Fence[]): void;
  onWithdrawn(connection: Connection, model: string, rows: number): void;
  /** `atMs`: when it was read, by the database's clock. */
  onGateways(connection: Connection, list: MemberList, atMs: number): void;
}

/** What gateways tell workers: addresses, sorted. One object for each state of the list. */
export interface MemberList {
  readonly addresses: readonly string[];
  readonly key: string;
}

/** A gateway, as links, hints and reports see it. */
export interface GatewayPart extends Place {
  readonly id: string;
  readonly address: string;
  readonly isServing: boolean;
  readonly thread: Thread;
  readonly admission: Admission;
  readonly dispatcher: Dispatcher;
  readonly sessions: ReadonlyMap<string, { readonly connection: Connection }>;
  readonly assignedJobs: number;
  peakWaiting: number;
  open(end: WorkerEnd, connection: Connection): void;
  lost(session: string, connection: Connection, orderly: boolean): void;
  receive(session: string, connection: Connection, step: () => void): void;
  models(session: string, models: readonly string[]): void;
  granted(session: string, model: string, rows: number): void;
  withdraw(session: string, model: string, rows: number): void;
  keep(session: string, other: string, attempts: Held | null): void;
  ended(session: string, fence: Fence, outcome: Outcome): void;
  endedElsewhere(session: string, fence: Fence, outcome: Outcome, acked: () => void): void;
  resumed(session: string, attempts: readonly (readonly [string, number])[]): Promise<void>;
  hinted(models: Iterable<string>): void;
}

/** A worker, as reports see it. */
export interface WorkerPart extends Place {
  readonly name: string;
  readonly links: ReadonlyMap<string, unknown>;
  readonly connectedLinks: number;
  readonly inFlightRows: number;
}

/** The whole, as its parts see it. */
export interface World {
  readonly options: Options;
  readonly timeline: Timeline;
  readonly books: Books;
  readonly network: Network;
  readonly database: Database;
  readonly store: Store;
  readonly catalogue: Catalogue;
  readonly members: { beat(gateway: GatewayPart): MemberList };
  readonly hints: {
    waiting(from: GatewayPart, models: ReadonlySet<string>): void;
    decided(from: GatewayPart, jobs: number): void;
  };
  readonly measures: {
    handshake(gateway: GatewayPart): void;
    admission(gateway: GatewayPart): void;
    refused(gateway: GatewayPart): void;
    started(job: Job): void;
  };
  /** By address: the process that listens there. */
  readonly gateways: ReadonlyMap<string, GatewayPart>;
  readonly workers: readonly WorkerPart[];
  readonly sent: Tally;
  sweep(limit: number): Promise<Swept>;
  at(address: string): GatewayPart | undefined;
  machineIsUp(address: string): boolean;
  serving(): string[];
}
