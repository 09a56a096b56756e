/**
 * One link of a worker to one address: the real dialling loop with the real back-off, and the real ledger of its credit. What is on the way
 * is a {@link Connection}. Owner of: the attempts that came by it, until they are acked.
 */
import type { Timer } from '../../../src/clock.ts';
import type { Fence, Job, Outcome } from '../../../src/dispatch/job.ts';
import { PosternError } from '../../../src/errors.ts';
import { addressKey } from '../../../src/gateway/admission.ts';
import { LINK_DEFAULTS } from '../../../src/worker/link-config.ts';
import type { Held, KeptLink } from '../../../src/worker/links/keeping.ts';
import type { LinkCredit } from '../../../src/worker/links/pool.ts';
import { createRedial, type Redial } from '../../../src/worker/redial.ts';
import type { Random } from '../../support/random.ts';
import type { Holder } from './books.ts';
import type { Connection, Place } from './network.ts';
import { VERSION, type GatewayPart, type MemberList, type WorkerEnd, type World } from './shape.ts';

interface Running {
  readonly fence: Fence;
  readonly model: string;
  readonly rows: number;
  readonly timer: Timer;
}

interface Kept {
  readonly fence: Fence;
  readonly outcome: Outcome;
}

interface Gone {
  readonly error: PosternError | null;
  readonly connectedMs: number;
}

const keyOf = ({ job, attempt }: Fence): string => `${job} ${attempt}`;
const TIMINGS = { queueMs: 0, linkMs: 0, workerQueueMs: 0, decodeMs: 0, batchMs: 0, computeMs: 0 };
const SUCCEEDED: Outcome = {
  type: 'succeeded',
  output: { contentType: 'x', bytes: new Uint8Array(0) },
  timings: TIMINGS,
};
/** As the gateway lets a connection wait for its place. */
const WAIT_MS = 12_000;

/** The worker, as its links see it. */
export interface LinkOwner extends Place, Holder {
  readonly oneWayMs: number;
  readonly internetAddress: string;
  readonly random: Random;
  readonly modelNames: readonly string[];
  openCredit(wake: () => void): LinkCredit;
  listed(list: MemberList, atMs: number): void;
  granted(link: SimLink, model: string, rows: number): void;
  took(link: SimLink, model: string, rows: number): void;
  freed(model: string, rows: number): void;
  withdrawn(link: SimLink, model: string, rows: number): void;
  voided(link: SimLink): void;
  keepAway(): void;
  readonly heldAway: readonly string[];
  tellElsewhere(link: SimLink): void;
}

export class SimLink implements WorkerEnd, KeptLink {
  readonly worker: string;
  readonly address: string;
  readonly session: string;
  readonly #credit: LinkCredit;
  readonly running = new Map<string, Running>();
  readonly kept = new Map<string, Kept>();
  readonly #world: World;
  readonly #owner: LinkOwner;
  readonly #redial: Redial;
  connection: Connection | null = null;
  connectedAtMs = 0;
  isRetired = false;
  #wasConnected = false;
  #isWoken = false;

  constructor(world: World, owner: LinkOwner, address: string, session: string) {
    this.#world = world;
    this.#owner = owner;
    this.worker = owner.name;
    this.address = address;
    this.session = session;
    const { timeline } = world;
    this.#credit = owner.openCredit(() => this.#wake());
    this.#redial = createRedial({
      random: world.options.backoffRandom ?? owner.random.next,
      clock: {
        ...timeline.clock,
        after: (delayMs, fn) =>
          timeline.after(delayMs, () => {
            timeline.promised();
            fn();
          }),
      },
      connect: () => this.#connect(),
      onGone: () => undefined,
    });
    timeline.promised();
    void this.#redial.run();
  }

  // ---- dialling ------------------------------------------------------------------------------------------------------

  #connect(): Promise<Gone> {
    const { timeline, network, sent } = this.#world;
    const { promise, resolve } = Promise.withResolvers<Gone>();
    const gone = (code: PosternError['code'] | null, connectedMs = 0): void => {
      timeline.promised();
      resolve({ error: code === null ? null : new PosternError(code, 'gone'), connectedMs });
    };
    sent.add('dials');
    const { oneWayMs } = this.#owner;
    const gateway = this.#world.at(this.address);
    const isReachable = (): boolean => this.#owner.isUp && gateway?.isUp === true;
    if (gateway?.isServing !== true) {
      if (this.#world.machineIsUp(this.address) && this.#owner.isUp)
        timeline.after(2 * oneWayMs, () => gone('unreachable'));
      else timeline.after(LINK_DEFAULTS.dialTimeoutMs, () => gone('unreachable'));
      return promise;
    }
    let isOver = false;
    const onTimeout = timeline.after(LINK_DEFAULTS.dialTimeoutMs, () => {
      isOver = true;
      gone('unreachable');
    });
    // SYN, SYN-ACK, and the acknowledgement that comes with TLS's first message.
    timeline.after(3 * oneWayMs, () => {
      if (isOver || !isReachable()) return;
      this.#shakeHands(gateway, (connected) => {
        if (isOver || !isReachable()) return;
        isOver = true;
        onTimeout.cancel();
        if (!connected) {
          timeline.after(oneWayMs, () => gone('unreachable'));
          return;
        }
        let connectedAt = 0;
        const connection = network.connect(this.#owner, gateway, oneWayMs, {
          gateway: (orderly) => gateway.lost(this.session, connection, orderly),
          worker: (orderly) => {
            this.#detach(connection);
            gone(orderly ? null : 'connection_lost', timeline.nowMs - connectedAt);
          },
        });
        network.send(connection, 'welcome', () => {
          connectedAt = timeline.nowMs;
          this.#attach(connection);
        });
        gateway.open(this, connection);
      });
    });
    return promise;
  }

  /** From the accepted connection to the accepted hello. */
  #shakeHands(gateway: GatewayPart, then: (connected: boolean) => void): void {
    const { timeline, measures } = this.#world;
    const { oneWayMs } = this.#owner;
    let isLate = false;
    const late = timeline.after(WAIT_MS, () => {
      isLate = true;
      place?.leave();
    });
    const place = gateway.admission.admit(addressKey(this.#owner.internetAddress), () => {
      late.cancel();
      gateway.thread.handshake(() => {
        measures.handshake(gateway);
        // The worker's certificate and its hello come together.
        timeline.after(2 * oneWayMs, () => {
          place?.leave();
          if (!isLate && gateway.isServing) then(true);
        });
      });
    });
    gateway.peakWaiting = Math.max(gateway.peakWaiting, gateway.admission.waitingCount);
    measures.admission(gateway);
    if (place === null) {
      late.cancel();
      measures.refused(gateway);
      then(false);
    }
  }

  #attach(connection: Connection): void {
    if (this.isRetired) {
      this.#world.network.close(connection, 'worker', true);
      return;
    }
    this.connection = connection;
    this.connectedAtMs = this.#world.timeline.nowMs;
    if (this.#wasConnected) {
      const attempts = this.#attempts();
      this.#send('resume', (to) => void to.resumed(this.session, attempts).catch(() => undefined));
      for (const end of this.kept.values()) this.#sendEnd(end);
    }
    this.#wasConnected = true;
    this.#send('models', (to) => to.models(this.session, this.#owner.modelNames));
    this.#credit.connected(this.address, true);
  }

  #detach(connection: Connection): void {
    if (this.connection !== connection) return;
    this.connection = null;
    this.#void();
    this.#owner.keepAway();
  }

  #void(): void {
    this.#owner.voided(this);
    this.#credit.lost();
    this.#closeWhenDone();
  }

  /** A retired link counts in the pool until nothing of it runs any more. */
  #closeWhenDone(): void {
    if (this.isRetired && this.connection === null && this.running.size === 0) this.#credit.close();
  }

  /** For good: it dials no more, and ends when everything is told, or at once when it has no connection. */
  retire(): void {
    this.isRetired = true;
    this.#redial.stop();
    if (this.connection !== null) this.#credit.draining();
    this.leaveWhenDone();
    this.#closeWhenDone();
  }

  /** Its process is dead. */
  kill(): void {
    this.#redial.stop();
    for (const { timer } of this.running.values()) timer.cancel();
    for (const { fence } of [...this.running.values(), ...this.kept.values()]) this.#world.books.letGo(fence);
    this.connection = null;
  }

  leaveWhenDone(): void {
    if (!this.isRetired || this.running.size + this.kept.size > 0) return;
    const { connection } = this;
    this.connection = null;
    if (connection === null) return;
    this.#void();
    this.#world.network.close(connection, 'worker', true);
  }

  // ---- messages ------------------------------------------------------------------------------------------------------

  #send(kind: string, step: (gateway: GatewayPart) => void): boolean {
    const { connection } = this;
    if (connection === null) return false;
    const gateway = connection.gateway as GatewayPart;
    this.#world.network.send(connection, kind, () => gateway.receive(this.session, connection, () => step(gateway)));
    return true;
  }

  /** Grants and withdrawals go out once for everything that one moment brought. */
  #wake(): void {
    if (this.#isWoken) return;
    this.#isWoken = true;
    this.#world.timeline.defer(() => this.#flush());
  }

  #flush(): void {
    this.#isWoken = false;
    if (this.connection === null) return;
    for (const { model, rows } of this.#credit.due()) {
      this.#owner.granted(this, model, rows);
      this.#send('grant', (to) => to.granted(this.session, model, rows));
    }
    for (const { model, rows } of this.#credit.withdrawals()) {
      this.#send('withdraw', (to) => to.withdraw(this.session, model, rows));
      if (this.#world.options.bugs?.believesWithdrawals === true) this.#believe(model, rows);
    }
  }

  #believe(model: string, rows: number): void {
    this.#credit.withdrawn(model, VERSION, rows);
    this.#owner.withdrawn(this, model, rows);
  }

  onWithdrawn(connection: Connection, model: string, rows: number): void {
    if (this.connection !== connection || this.#world.options.bugs?.believesWithdrawals === true) return;
    this.#believe(model, rows);
    this.#wake();
  }

  onGateways(connection: Connection, list: MemberList, atMs: number): void {
    if (this.connection === connection) this.#owner.listed(list, atMs);
  }

  onAssign(connection: Connection, fence: Fence, job: Job): void {
    if (this.connection !== connection || !this.#owner.isUp) return;
    const { model, rows } = job;
    if (!this.#credit.take(model, VERSION, rows)) {
      this.#world.books.violation(`${this.session} was sent ${rows} rows of ${model} beyond its credit`);
      return;
    }
    this.#owner.took(this, model, rows);
    this.#world.books.begun(fence, this.#owner);
    const workMs = job.parameters.ms as number;
    const timer = this.#world.timeline.after(workMs, () => this.#end(fence, SUCCEEDED));
    this.running.set(keyOf(fence), { fence, model, rows, timer });
    this.#openData(connection);
  }

  /** Photos are large: the first one opens the data connections, each with a handshake of its own. */
  #openData(connection: Connection): void {
    if (connection.tlsCount > 1 || this.#world.options.dataConnections === 0) return;
    const gateway = connection.gateway as GatewayPart;
    const openNext = (): void => {
      if (!connection.isAlive || connection.tlsCount > this.#world.options.dataConnections) return;
      this.#world.timeline.after(3 * this.#owner.oneWayMs, () => {
        if (!connection.isAlive) return;
        this.#shakeHands(gateway, (connected) => {
          if (!connected || !connection.isAlive) return;
          connection.tlsCount += 1;
          openNext();
        });
      });
    };
    openNext();
  }

  onCancel(connection: Connection, fence: Fence): void {
    if (this.connection !== connection || !this.running.has(keyOf(fence))) return;
    this.#end(fence, { type: 'canceled' });
  }

  onAck(fences: readonly Fence[]): void {
    for (const fence of fences) {
      this.kept.delete(keyOf(fence));
      this.#world.books.letGo(fence);
    }
    this.leaveWhenDone();
  }

  #end(fence: Fence, outcome: Outcome): void {
    const run = this.running.get(keyOf(fence));
    if (!run) return;
    run.timer.cancel();
    this.running.delete(keyOf(fence));
    const end = { fence, outcome };
    this.kept.set(keyOf(fence), end);
    this.#sendEnd(end);
    this.#owner.freed(run.model, run.rows);
    this.#credit.release(run.model, VERSION, run.rows);
    this.#wake();
    this.#closeWhenDone();
  }

  /** By itself, or, when its gateway is gone, by another link: the fence says whose it is. */
  #sendEnd(end: Kept): void {
    const { fence, outcome } = end;
    if (this.#send('end', (to) => to.ended(this.session, fence, outcome))) return;
    if (this.isRetired) this.#owner.tellElsewhere(this);
  }

  get previous(): readonly string[] {
    return this.#owner.heldAway.filter((session) => session !== this.session);
  }

  get worksOn(): boolean {
    return this.running.size + this.kept.size > 0;
  }

  get mayKeep(): boolean {
    return this.connection !== null;
  }

  heardAt(): number {
    if (this.connection === null) return -Infinity;
    const isHeard = this.connection.isAlive || this.#world.options.bugs?.keeps === 'when lost';
    return isHeard ? this.#world.timeline.nowMs : this.connection.heardAtMs;
  }

  held(): Held | null {
    return this.connection === null ? this.#attempts() : null;
  }

  /** Has its gateway keep the lease of that session. */
  keep(other: string, held: Held | null): void {
    this.#send('keep', (to) => to.keep(this.session, other, held));
  }

  #attempts(): Held {
    return [...this.running.values(), ...this.kept.values()].map(({ fence }): [string, number] => [
      fence.job,
      fence.attempt,
    ]);
  }

  tellBy(by: SimLink): void {
    for (const { fence, outcome } of this.kept.values()) {
      by.#send('end', (to) => to.endedElsewhere(by.session, fence, outcome, () => this.onAck([fence])));
    }
  }
}
