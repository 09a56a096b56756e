/**
 * One gateway: the real dispatcher and the real turn over a share of the database, the real admission of handshakes, one thread. What is left out
 * are HTTP, streams and rollouts. Sessions are opened by workers' links and end with their connection.
 */
import { createDispatcher, type Dispatcher } from '../../../src/dispatch/dispatcher.ts';
import { LOST_ON_THE_WAY } from '../../../src/dispatch/endings.ts';
import { DEFAULT_LEASE_MS, type Fence, type Job, type Outcome } from '../../../src/dispatch/job.ts';
import type { Flight } from '../../../src/dispatch/session.ts';
import { createAdmission, type Admission, type AdmissionLimits } from '../../../src/gateway/admission.ts';
import { createTurn, type Turn } from '../../../src/gateway/engine-turn.ts';
import { DEAD_MS, PING_MS } from '../../../src/protocol/limits.ts';
import type { GatewaySession } from '../../../src/gateway/worker-ports.ts';
import type { Held } from '../../../src/worker/links/keeping.ts';
import type { SubmittedJob, SubmitOutcome } from '../../../src/store/store.ts';
import { COSTS } from './costs.ts';
import type { Connection } from './network.ts';
import { VERSION, type GatewayPart, type MemberList, type WorkerEnd, type World } from './shape.ts';
import { createStoreLanes, type StoreLanes } from './store-lanes.ts';
import { createThread, type Thread } from './thread.ts';

interface OpenSession {
  readonly end: WorkerEnd;
  readonly connection: Connection;
  /** Its lease runs from then. */
  heardAtMs: number;
}

const SWEEP_MS = 1_000;
const MEMBER_MS = 2_000;
const SWEEP_LIMIT = 2_000;
/** As `listener.ts` has them. */
export const ADMISSION: AdmissionLimits = {
  maxActive: 64,
  maxActivePerAddress: 32,
  maxWaiting: 2_048,
  maxWaitingPerAddress: 1_024,
};
/** Writing connections of a gateway: so many rows of sums it has for each model. */
const SLOTS = 3;
const LEAVE_LOOK_MS = 10;

export class SimGateway implements GatewayPart {
  readonly id: string;
  readonly address: string;
  readonly region: number;
  readonly thread: Thread;
  readonly admission: Admission;
  readonly dispatcher: Dispatcher;
  readonly sessions = new Map<string, OpenSession>();
  readonly #world: World;
  readonly #records: StoreLanes;
  readonly #turn: Turn;
  isUp = true;
  isServing = true;
  assignedJobs = 0;
  peakSessions = 0;
  peakWaiting = 0;
  #list: MemberList = { addresses: [], key: '' };
  #listAtMs = 0;
  #isSweeping = false;
  /** Sessions whose word on others is being written down. */
  readonly #keeping = new Set<string>();

  constructor(world: World, id: string, address: string, region: number) {
    this.#world = world;
    this.id = id;
    this.address = address;
    this.region = region;
    this.thread = createThread(world.timeline);
    this.admission = createAdmission(world.options.admission);
    this.#records = createStoreLanes(world, this);
    this.#turn = createTurn({
      store: this.#records.store,
      dispatcher: () => this.dispatcher,
      leaseOf: (session) => DEFAULT_LEASE_MS - (world.timeline.nowMs - this.sessions.get(session)!.heardAtMs),
      defer: (flush) => world.timeline.defer(flush),
      accepted: () => undefined,
      ended: (outcome) => {
        if (outcome.type === 'applied') this.cameBack([outcome.job]);
      },
      quiet: () => undefined,
      storeFailed: (step, _error, unacked) => {
        world.sent.add(`failed: ${step}`);
        // What was not acked is sent again on a new connection.
        for (const { id: session } of unacked) this.#drop(session);
      },
    });
    this.dispatcher = createDispatcher({
      random: world.timeline.random.fork().next,
      monotonic: () => world.timeline.nowMs,
      leaseMs: DEFAULT_LEASE_MS,
      effects: {
        claim: (ask) => this.#turn.claim(ask),
        assign: (flight, job) => this.#assign(flight, job),
        giveBack: (fence) => this.#turn.end({ fence, outcome: LOST_ON_THE_WAY, ackTo: null }),
        cancel: (fence) =>
          this.#tell(fence.session, 'cancel', ({ end, connection }) => end.onCancel(connection, fence)),
        close: (session, code, reason) => {
          if (code === 'flow_control') world.books.violation(`${session}: ${reason}`);
        },
        release: (session, loss) => {
          // It may live at another gateway: its lease decides.
          if (loss === 'silent') return;
          this.#records
            .ask(
              'release',
              (shared) => shared.release(session, loss),
              (jobs) => jobs.length,
            )
            .then(
              (jobs) => this.cameBack(jobs),
              () => undefined,
            );
        },
      },
    });
    this.#list = world.members.beat(this);
    this.#listAtMs = world.timeline.nowMs;
    const { random } = world.timeline;
    world.timeline.after(random.next() * SWEEP_MS, () => this.#sweepLoop());
    world.timeline.after(random.next() * MEMBER_MS, () => this.#memberLoop());
  }

  // ---- once a second, and once in two -----------------------------------------------------------------------------------

  #sweepLoop(): void {
    if (!this.isServing) return;
    this.#world.timeline.after(SWEEP_MS, () => this.#sweepLoop());
    if (this.#isSweeping || !this.isUp) return;
    this.#isSweeping = true;
    this.#sweep()
      .catch(() => this.#world.sent.add('statement failed'))
      .finally(() => (this.#isSweeping = false));
  }

  async #sweep(): Promise<void> {
    await this.#records.heartbeats(this.#heard());
    const { reclaimed, expired } = await this.#records.ask(
      'sweep',
      () => this.#world.sweep(SWEEP_LIMIT),
      (swept) => swept.reclaimed.length + swept.expired.length,
    );
    for (const job of reclaimed) this.dispatcher.cancel(job.id, 'stale');
    this.cameBack(reclaimed);
    this.cameBack(expired);
    this.dispatcher.tick();
    const slots = this.#world.gateways.size * SLOTS;
    const counts = await this.#records.ask(
      'counts',
      (shared) => shared.counts(),
      (models) => models.size * slots,
    );
    for (const [model, { waitingRows, soloJobs }] of counts) {
      if (waitingRows + soloJobs > 0) this.dispatcher.seenWaiting(model, waitingRows, soloJobs);
    }
    this.#turn.schedule();
  }

  /** Sessions whose worker was heard since they were told last: each is pinged once in five sweeps. */
  #heard(): string[] {
    const now = this.#world.timeline.nowMs;
    const heard: string[] = [];
    for (const [id, session] of this.sessions) {
      if (!session.connection.isAlive || now - session.heardAtMs < PING_MS - SWEEP_MS / 2) continue;
      session.heardAtMs = now;
      heard.push(id);
    }
    return heard;
  }

  #memberLoop(): void {
    if (!this.isServing) return;
    const { members, timeline } = this.#world;
    timeline.after(MEMBER_MS, () => this.#memberLoop());
    if (!this.isUp) return;
    this.#records
      .ask(
        'member',
        () => Promise.resolve({ list: members.beat(this), atMs: timeline.nowMs }),
        ({ list }) => list.addresses.length,
      )
      .then(
        ({ list, atMs }) => {
          this.#listAtMs = atMs;
          if (list.key === this.#list.key) return;
          this.#list = list;
          for (const id of this.sessions.keys()) this.#tellList(id);
        },
        () => undefined,
      );
  }

  #tellList(session: string): void {
    const [list, atMs] = [this.#list, this.#listAtMs];
    this.#world.sent.add('entries of lists', list.addresses.length);
    this.#tell(session, 'gateways', ({ end, connection }) => end.onGateways(connection, list, atMs));
  }

  // ---- sessions ------------------------------------------------------------------------------------------------------

  /** A hello was accepted. What the worker holds is agreed upon when it says so. */
  open(end: WorkerEnd, connection: Connection): void {
    const before = this.sessions.get(end.session);
    if (before) this.#world.network.close(before.connection, 'gateway', false);
    this.sessions.set(end.session, { end, connection, heardAtMs: this.#world.timeline.nowMs });
    this.peakSessions = Math.max(this.peakSessions, this.sessions.size);
    this.dispatcher.opened(end.session, end.worker, end.previous);
    if (this.#list.addresses.length > 0) this.#tellList(end.session);
  }

  lost(session: string, connection: Connection, orderly: boolean): void {
    if (this.sessions.get(session)?.connection !== connection) return;
    this.sessions.delete(session);
    // A connection that ended otherwise was silent before, until the deadline.
    this.dispatcher.closed(session, orderly, orderly ? 0 : DEAD_MS);
    this.#turn.schedule();
  }

  #tell(session: string, kind: string, deliver: (session: OpenSession) => void): void {
    const open = this.sessions.get(session);
    if (!open) return;
    this.thread.spend(COSTS.messageMs);
    this.#world.network.send(open.connection, kind, () => deliver(open));
  }

  /** A message from a worker, when its turn comes. */
  receive(session: string, connection: Connection, step: () => void): void {
    this.thread.run(COSTS.messageMs, () => {
      if (!this.isUp || !this.isServing || this.sessions.get(session)?.connection !== connection) return;
      step();
      this.#turn.schedule();
    });
  }

  models(session: string, models: readonly string[]): void {
    this.dispatcher.models(
      session,
      models.map((name) => ({ name, version: VERSION, state: 'ready' as const })) as never,
    );
  }

  granted(session: string, model: string, rows: number): void {
    this.dispatcher.granted(session, model, VERSION, rows);
  }

  /** Gives back what is still free of it, and says how much that was. */
  withdraw(session: string, model: string, rows: number): void {
    const taken = this.dispatcher.withdrawn(session, model, VERSION, rows);
    this.#tell(session, 'withdrawn', ({ end, connection }) => end.onWithdrawn(connection, model, taken));
  }

  ended(session: string, fence: Fence, outcome: Outcome): void {
    this.dispatcher.ended(fence);
    const ack = (fences: readonly Fence[]): void => this.#tell(session, 'ack', ({ end }) => end.onAck(fences));
    this.#turn.end({ fence, outcome, ackTo: { id: session, ack } as GatewaySession });
  }

  /** The end of an attempt that came by a gateway which is gone: its fence says whose it is. */
  endedElsewhere(session: string, fence: Fence, outcome: Outcome, acked: () => void): void {
    const ack = (): void => this.#tell(session, 'ack', acked);
    this.#turn.end({ fence, outcome, ackTo: { id: session, ack } as unknown as GatewaySession });
  }

  /** A worker works on for a gateway that is gone: nobody else says that this session lives, and what never came there. */
  keep(session: string, other: string, attempts: Held | null): void {
    const key = `${session} ${other}`;
    if (this.sessions.has(other) || this.#keeping.has(key)) return;
    this.#keeping.add(key);
    const keeping = async (): Promise<void> => {
      await this.#records.heartbeats([other]);
      if (attempts !== null) await this.#reconcile(other, attempts);
    };
    keeping()
      .catch(() => this.#world.sent.add('statement failed'))
      .finally(() => this.#keeping.delete(key));
  }

  #drop(session: string): void {
    const open = this.sessions.get(session);
    if (!open) return;
    this.#world.network.close(open.connection, 'gateway', false);
    this.lost(session, open.connection, false);
  }

  async resumed(session: string, attempts: readonly (readonly [string, number])[]): Promise<void> {
    this.dispatcher.resumed(session, attempts);
    const kept = await this.#reconcile(session, attempts);
    const rightly = new Set(kept.map(({ id }) => id));
    for (const job of kept) this.dispatcher.adopted(job);
    for (const [job, attempt] of attempts) {
      if (rightly.has(job)) continue;
      const fence: Fence = { job, attempt, session };
      this.#tell(session, 'cancel', ({ end, connection }) => end.onCancel(connection, fence));
    }
    this.#turn.schedule();
  }

  async #reconcile(session: string, attempts: readonly (readonly [string, number])[]): Promise<Job[]> {
    const { kept, lost } = await this.#records.ask(
      'reconcile',
      (shared) => shared.reconcile(session, attempts),
      (both) => both.kept.length + both.lost.length,
    );
    this.cameBack(lost);
    return kept;
  }

  #assign(flight: Flight, job: Job): void {
    this.assignedJobs += 1;
    this.#world.measures.started(job);
    const { fence } = flight;
    this.#tell(fence.session, 'assign', ({ end, connection }) => end.onAssign(connection, fence, job));
  }

  // ---- callers and other gateways --------------------------------------------------------------------------------------

  submit(job: SubmittedJob): Promise<SubmitOutcome> {
    const { promise, resolve, reject } = Promise.withResolvers<SubmitOutcome>();
    this.thread.run(COSTS.requestMs, () => {
      this.#turn.submit(job).then(resolve, reject);
    });
    return promise;
  }

  /** Somebody else says that work of these models waits. */
  hinted(models: Iterable<string>): void {
    for (const model of models) this.dispatcher.arrived(model, 1);
    this.#turn.schedule();
  }

  cameBack(jobs: readonly Job[]): void {
    const again = new Set<string>();
    for (const job of jobs) {
      if (job.status !== 'starting') continue;
      again.add(job.model);
      if (job.solo) this.dispatcher.soloArrived(job.model);
      else this.dispatcher.arrived(job.model, job.rows);
    }
    this.#world.hints.waiting(this, again);
    this.#turn.schedule();
  }

  /** The process ends in order: it claims nothing more, and when it has heard of every claim it lets its workers go. */
  leave(then: () => void): void {
    this.dispatcher.stopClaiming();
    if (this.#turn.claiming) {
      this.#world.timeline.after(LEAVE_LOOK_MS, () => this.leave(then));
      return;
    }
    this.isServing = false;
    for (const { connection } of this.sessions.values()) this.#world.network.close(connection, 'gateway', true);
    this.sessions.clear();
    then();
  }
}
