/**
 * A worker as the protocol allows it, and no better: it runs what it is sent, keeps what it ended until that is acked, says
 * on every new connection what it holds, and may be slow, stand still, die, or send things twice. It checks the gateway:
 * more rows than granted, another model than announced, or an attempt twice are violations.
 */
import type { Fence, Job } from '../../src/dispatch/job.ts';
import type { WantedVersions } from '../../src/protocol/messages.ts';
import { DEAD_MS, PING_MS } from '../../src/protocol/limits.ts';
import type { Random } from '../support/random.ts';
import type { Engine } from '../../src/gateway/engine.ts';
import type { SimPeer, SimSession } from './gateway.ts';
import type { Site } from './site.ts';
import { SimVersions, type ServedModel } from './versions.ts';
import { createLink, type Link, type WireConditions } from './wire.ts';
import type { World } from './world.ts';

/** What a job's input tells the worker to do. */
export type Nature = 'good' | 'slow' | 'flaky' | 'bad' | 'poison';

export interface SimWorkerOptions {
  readonly world: World;
  readonly random: Random;
  readonly site: Site;
  readonly name: string;
  readonly models: readonly ServedModel[];
  readonly isVersioned: (model: string) => boolean;
  readonly conditions: () => WireConditions & { readonly duplicate: number };
  /** The faults are over: slow jobs take no longer than others. */
  readonly calm: () => boolean;
  readonly violation: (what: string) => void;
  readonly onStart: (job: Job, session: string) => void;
}

interface Running {
  readonly job: Job;
  readonly version: string;
  readonly rows: number;
}

interface Ended {
  readonly fence: Fence;
  readonly send: (session: SimSession) => void;
}

const TIMINGS = { queueMs: 0, decodeMs: 0, batchMs: 0, computeMs: 1 };
const key = (job: string, attempt: number): string => `${job} ${attempt}`;

export class SimWorker implements SimPeer {
  readonly name: string;
  readonly #o: SimWorkerOptions;
  #life = 0;
  #sessionId = '';
  #epoch = 0;
  #wasConnected = false;
  #up = false;
  #awakeAt = 0;
  #link: Link | null = null;
  #session: SimSession | null = null;
  #draining = false;
  #gatewayDrains = false;
  #heardAt = 0;
  #granted = new Map<string, number>();
  #running = new Map<string, Running>();
  #ended = new Map<string, Ended>();

  readonly #versions: SimVersions;

  constructor(options: SimWorkerOptions) {
    this.#o = options;
    this.name = options.name;
    this.#versions = new SimVersions({
      models: options.models,
      isVersioned: options.isVersioned,
      random: options.random,
      after: (delayMs, fn) => this.#after(delayMs, () => this.whenAwake(fn), this.#life),
      calm: options.calm,
      busyRows: (name, version) => this.#busyRows(name, version),
      changed: () => this.#announce(),
    });
  }

  get has(): readonly ServedModel[] {
    return this.#o.models;
  }

  /** What is ready now. */
  get serves(): readonly ServedModel[] {
    return this.#o.models.filter((one) => this.#versions.capacityRows(one) > 0);
  }

  get holdsNothing(): boolean {
    return this.#running.size === 0 && this.#ended.size === 0;
  }

  get connected(): boolean {
    return this.#session !== null && !this.#draining;
  }

  /** A new process. */
  start(): void {
    if (this.#up) return;
    this.#up = true;
    this.#life += 1;
    this.#sessionId = `${this.name}-run-${this.#life}`;
    this.#epoch = 0;
    this.#wasConnected = false;
    this.#draining = false;
    this.#o.world.trace(`worker ${this.name} starts, run ${this.#life}`);
    this.#versions.start();
    this.#dial();
  }

  /** kill -9: everything in memory is gone. */
  die(restartAfterMs: number): void {
    if (!this.#up) return;
    this.#o.world.trace(`worker ${this.name} dies`);
    this.#up = false;
    this.#life += 1;
    this.#running.clear();
    this.#ended.clear();
    this.#drop();
    this.#after(restartAfterMs, () => this.start(), this.#life);
  }

  /** The process stands still: it hears and says nothing, and then goes on as if nothing had been. */
  pause(ms: number): void {
    this.#awakeAt = Math.max(this.#awakeAt, this.#o.world.clock.monotonic() + ms);
  }

  whenAwake(fn: () => void): void {
    const waitMs = this.#awakeAt - this.#o.world.clock.monotonic();
    if (waitMs <= 0) fn();
    else this.#o.world.after(waitMs, () => this.whenAwake(fn));
  }

  /** The link breaks; the process does not know yet. */
  cutLink(): void {
    this.#link?.cut();
  }

  /** Finishes what it has and goes; comes back as a new process. */
  drain(deadlineMs: number, restartAfterMs: number): void {
    if (!this.#up || this.#draining) return;
    this.#o.world.trace(`worker ${this.name} drains`);
    this.#draining = true;
    this.#say('control', (session, engine) => engine.onDraining(session));
    const life = this.#life;
    const leave = (): void => {
      if (life !== this.#life) return;
      this.#up = false;
      this.#life += 1;
      this.#running.clear();
      this.#ended.clear();
      this.#link?.close('worker', true);
      this.#link = null;
      this.#session = null;
      this.#after(restartAfterMs, () => this.start(), this.#life);
    };
    const check = (): void => {
      if (life !== this.#life) return;
      if (this.holdsNothing && this.#session) leave();
      else this.#o.world.after(50, check);
    };
    check();
    this.#o.world.after(deadlineMs, leave);
  }

  // ---- the link ----------------------------------------------------------------------------------------------------

  #dial(): void {
    const { world, random, site, conditions } = this.#o;
    const link = createLink(world, conditions);
    const life = this.#life;
    const epoch = ++this.#epoch;
    const sessionId = this.#sessionId;
    link.onLost('worker', () => this.whenAwake(() => this.#lost(link, life)));
    this.#link = link;
    const hello = (): void =>
      site.accept(this, link, epoch, sessionId, (session) => {
        if (!session) link.close('gateway', false);
        else link.send('gateway', 'control', () => this.whenAwake(() => this.#welcome(link, session, life)));
      });
    // The handshakes of TCP and TLS go both ways before a hello can.
    link.send('worker', 'control', () =>
      link.send('gateway', 'control', () => this.whenAwake(() => link.send('worker', 'control', hello))),
    );
    // A dial that is never answered is given up.
    world.after(5_000 + random.next() * 100, () => {
      if (life === this.#life && this.#link === link && !this.#session) {
        link.cut();
        this.#lost(link, life);
      }
    });
  }

  #lost(link: Link, life: number): void {
    if (life !== this.#life || this.#link !== link) return;
    this.#drop();
    this.#after(100 + this.#o.random.next() * 900, () => this.#dial(), life);
  }

  #drop(): void {
    this.#link?.cut();
    this.#link = null;
    this.#session = null;
  }

  #welcome(link: Link, session: SimSession, life: number): void {
    if (life !== this.#life || this.#link !== link) return;
    this.#session = session;
    this.#heardAt = this.#o.world.clock.monotonic();
    this.#gatewayDrains = false;
    this.#granted = new Map();
    if (this.#wasConnected) {
      const held: [string, number][] = [...this.#running.values()].map(({ job }) => [job.id, job.attempt]);
      for (const { fence } of this.#ended.values()) held.push([fence.job, fence.attempt]);
      this.#say('control', (to, engine) => engine.onResume(to, held));
    }
    this.#wasConnected = true;
    for (const ended of this.#ended.values()) this.#transmit(ended);
    this.#announce();
    if (this.#draining) this.#say('control', (to, engine) => engine.onDraining(to));
    this.#grantAll();
    this.#ping(link, life);
  }

  #ping(link: Link, life: number): void {
    if (life !== this.#life || this.#link !== link) return;
    if (this.#o.world.clock.monotonic() - this.#heardAt > DEAD_MS) {
      this.whenAwake(() => this.#lost(link, life));
      return;
    }
    this.whenAwake(() => this.#say('control', (session) => session.pong()));
    this.#after(PING_MS, () => this.#ping(link, life), life);
  }

  #say(lane: 'control' | 'data', deliver: (session: SimSession, engine: Engine) => void): void {
    const session = this.#session;
    session?.link.send('worker', lane, () => session.hear(deliver));
  }

  /** Something came from the gateway: is it still the one that counts? */
  #hears(link: Link): boolean {
    if (this.#link !== link) return false;
    this.#heardAt = this.#o.world.clock.monotonic();
    return true;
  }

  #after(delayMs: number, fn: () => void, life: number): void {
    this.#o.world.after(delayMs, () => {
      if (life === this.#life) fn();
    });
  }

  // ---- credit ------------------------------------------------------------------------------------------------------

  /** First the states, then credit for what is ready. */
  #announce(): void {
    const [reports, stored] = [this.#versions.reports(), this.#versions.stored()];
    this.#say('control', (to, engine) => engine.onModels(to, reports, stored));
    this.#grantAll();
  }

  #busyRows(name: string, version: string): number {
    let busy = 0;
    for (const one of this.#running.values()) if (one.job.model === name && one.version === version) busy += one.rows;
    return busy;
  }

  onDeploy(link: Link, models: readonly WantedVersions[]): void {
    if (this.#hears(link)) this.#versions.want(models);
  }

  /** Something ended: rows are free, and what drains may be idle. */
  #freed(): void {
    const before = JSON.stringify(this.#versions.reports());
    this.#versions.step();
    if (JSON.stringify(this.#versions.reports()) === before) this.#grantAll();
    else this.#announce();
  }

  #grantAll(): void {
    if (this.#draining || this.#gatewayDrains || !this.#session) return;
    for (const one of this.#o.models) {
      const { name, version } = one;
      const of = `${name}@${version}`;
      const due = this.#versions.capacityRows(one) - this.#busyRows(name, version) - (this.#granted.get(of) ?? 0);
      if (due <= 0) continue;
      this.#granted.set(of, (this.#granted.get(of) ?? 0) + due);
      this.#say('control', (to, engine) => engine.onGrant(to, name, version, due));
    }
  }

  // ---- work --------------------------------------------------------------------------------------------------------

  onAssign(link: Link, job: Job, version: string): void {
    if (!this.#hears(link)) return;
    const { violation, world, random } = this.#o;
    const of = `${job.model}@${version}`;
    const granted = this.#granted.get(of) ?? 0;
    if (granted < job.rows) violation(`${this.name} was sent ${job.rows} rows of ${of} with ${granted} granted`);
    if (job.version !== null && job.version !== version) violation(`${job.id} wants ${job.version}, ran on ${version}`);
    if (job.status !== 'processing' || job.session !== this.#sessionId) violation(`${job.id} was sent to another's`);
    const id = key(job.id, job.attempt);
    if (this.#running.has(id) || this.#ended.has(id)) violation(`${id} was sent twice`);
    this.#granted.set(of, granted - job.rows);
    if (!this.#versions.isLoaded(job.model, version)) {
      // It was on its way while the version was unloaded: it goes back.
      const fence = this.#fence(job);
      this.#ended.set(id, {
        fence,
        send: () => this.#say('control', (to, engine) => engine.onFailure(to, fence, 'draining', 'not loaded', true)),
      });
      this.#transmit(this.#ended.get(id)!);
      return;
    }
    this.#running.set(id, { job, version, rows: job.rows });
    this.#o.onStart(job, this.#sessionId);
    const nature = Buffer.from(job.input.bytes).toString() as Nature;
    const ms = nature === 'slow' && !this.#o.calm() ? 2_000 + random.next() * 20_000 : random.next() * 200;
    if (random.chance(0.1)) this.#say('control', (to, engine) => engine.onProgress(to, this.#fence(job), 0.5, null));
    const life = this.#life;
    world.after(ms, () => {
      if (life === this.#life) this.whenAwake(() => this.#finish(id, nature, life));
    });
  }

  #fence(job: Job): Fence {
    return { job: job.id, attempt: job.attempt, session: this.#sessionId };
  }

  #finish(id: string, nature: Nature, life: number): void {
    const run = this.#running.get(id);
    if (!run || life !== this.#life) return;
    if (nature === 'poison') {
      this.die(500 + this.#o.random.next() * 2_000);
      return;
    }
    const fence = this.#fence(run.job);
    const fails = nature === 'bad' || (nature === 'flaky' && this.#o.random.chance(0.5));
    const output = {
      contentType: 'text/plain',
      bytes: Buffer.from(`${fence.job}|${fence.attempt}|${fence.session}|${this.#o.random.int(0, 1e9)}`),
    };
    this.#end(id, {
      fence,
      send: fails
        ? () =>
            this.#say('control', (to, engine) =>
              engine.onFailure(to, fence, 'model_failed', 'it did', nature !== 'bad'),
            )
        : () => this.#say('data', (to, engine) => engine.onResult(to, fence, output, TIMINGS)),
    });
  }

  #end(id: string, ended: Ended): void {
    this.#running.delete(id);
    this.#ended.set(id, ended);
    this.#transmit(ended);
    this.#freed();
  }

  #transmit(ended: Ended): void {
    if (!this.#session) return;
    ended.send(this.#session);
    if (this.#o.random.chance(this.#o.conditions().duplicate)) ended.send(this.#session);
  }

  onCancel(link: Link, fence: Fence, _reason: string): void {
    if (!this.#hears(link)) return;
    const id = key(fence.job, fence.attempt);
    const life = this.#life;
    // The runner stops when it can, not when it is told.
    this.#after(
      this.#o.random.next() * 300,
      () => {
        if (!this.#running.delete(id)) return;
        this.#o.world.trace(`canceled ${id}`);
        this.#say('control', (to, engine) => engine.onCanceled(to, fence));
        this.#freed();
      },
      life,
    );
  }

  onAck(link: Link, fences: readonly Fence[]): void {
    if (!this.#hears(link)) return;
    for (const fence of fences) this.#ended.delete(key(fence.job, fence.attempt));
  }

  onPong(link: Link): void {
    this.#hears(link);
  }

  /** Takes nothing more, goes when all that it holds is acked, and dials again; the gateway does not wait for ever. */
  onGatewayDrain(link: Link): void {
    if (!this.#hears(link)) return;
    this.#gatewayDrains = true;
    const life = this.#life;
    const look = (): void => {
      if (this.#link !== link) return;
      if (!this.holdsNothing) {
        this.#after(100, look, life);
        return;
      }
      link.close('worker', true);
      link.onLost('worker', () => undefined);
      this.#link = null;
      this.#session = null;
      this.#after(200, () => this.#dial(), life);
    };
    look();
  }
}
