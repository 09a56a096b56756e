/**
 * One worker: its links, and what it runs. How its rows are shared out among the links is the real pool's to say (`worker/links/pool.ts`); the
 * books are told of every grant, and reckon by themselves. Owner of: which gateways are dialled, and how many.
 */
import type { Timer } from '../../../src/clock.ts';
import { planKeep } from '../../../src/worker/links/keeping.ts';
import { createCreditPool, type CreditPool, type LinkCredit } from '../../../src/worker/links/pool.ts';
import { shareRows } from '../../../src/worker/links/share.ts';
import type { Random } from '../../support/random.ts';
import type { Account } from './books.ts';
import { SimLink, type LinkOwner } from './link.ts';
import {
  VERSION,
  type MemberList,
  type ServedModel,
  type WorkerOptions,
  type World,
  type WorkerPart,
} from './shape.ts';

/** As the worker's links look again for rows that a gateway could not give back. */
const REVIEW_MS = 1_000;
/** As the worker's links have it. */
const KEEP_MS = 3_000;
/** Without any link for so long, whoever answers at the first address is asked for the list. */
const SEED_MS = 5_000;

export class SimWorker implements WorkerPart, LinkOwner {
  readonly name: string;
  readonly region: number;
  readonly oneWayMs: number;
  readonly internetAddress: string;
  readonly random: Random;
  readonly modelNames: readonly string[];
  readonly links = new Map<string, SimLink>();
  readonly #retired = new Set<SimLink>();
  readonly #world: World;
  readonly #accounts = new Map<string, Account>();
  readonly #served: readonly ServedModel[];
  readonly #pool: CreditPool;
  isUp = true;
  #isDead = false;
  #listKey = '';
  #listAtMs = -1;
  /** Dialled beside the list, for want of any link. */
  #seedAddress: string | null = null;
  #made = 0;
  #reviewing: Timer | null = null;
  #keeping: Timer | null = null;

  constructor(world: World, options: WorkerOptions) {
    this.#world = world;
    this.name = options.name;
    this.region = options.region;
    this.oneWayMs = options.oneWayMs;
    this.internetAddress = options.internetAddress;
    this.random = options.random;
    this.modelNames = options.models.map(({ name }) => name);
    this.#served = options.models;
    for (const { name, rows } of options.models) {
      this.#accounts.set(name, world.books.account(`${name} at ${this.name}`, rows));
    }
    this.#pool = this.#newPool();
  }

  #newPool(): CreditPool {
    const pool = createCreditPool({ worker: () => this.name });
    const { isWholeShares } = this.#world.options;
    for (const { name, rows, largestRows } of this.#served) {
      pool.setCapacity(name, VERSION, rows, isWholeShares ? largestRows : 1);
    }
    return pool;
  }

  openCredit(wake: () => void): LinkCredit {
    const pool = this.#world.options.bugs?.ignoresOtherLinks === true ? this.#newPool() : this.#pool;
    return pool.open(wake);
  }

  get connectedLinks(): number {
    let count = 0;
    for (const { connection } of this.links.values()) if (connection?.isAlive) count += 1;
    return count;
  }

  get inFlightRows(): number {
    let rows = 0;
    for (const { runningRows } of this.#accounts.values()) rows += runningRows;
    return rows;
  }

  /** Its machine is off, for good. */
  kill(): void {
    this.isUp = false;
    this.#isDead = true;
    this.#reviewing?.cancel();
    this.#keeping?.cancel();
    for (const link of [...this.links.values(), ...this.#retired]) link.kill();
    this.links.clear();
    for (const account of this.#accounts.values()) this.#world.books.closed(account);
  }

  // ---- which gateways --------------------------------------------------------------------------------------------------

  /** The load balancer behind the first address hands out some gateway. */
  #seed(): void {
    if (this.#isDead) return;
    this.#world.timeline.after(SEED_MS, () => this.#seed());
    if (!this.isUp || this.connectedLinks > 0) return;
    const addresses = this.#world.serving().filter((address) => !this.links.has(address));
    if (addresses.length === 0) return;
    if (this.#seedAddress !== null) this.#leave(this.#seedAddress);
    this.#seedAddress = this.random.pick(addresses);
    this.#dial(this.#seedAddress);
  }

  #leave(address: string): void {
    const link = this.links.get(address);
    if (!link) return;
    this.links.delete(address);
    this.#retired.add(link);
    link.retire();
  }

  /** It is switched on. */
  start(): void {
    const { clock } = this.#world.timeline;
    this.#reviewing = clock.every(REVIEW_MS, () => this.#review());
    if (this.#world.options.bugs?.keeps !== 'once') this.#keeping = clock.every(KEEP_MS, () => this.keepAway());
    this.#seed();
  }

  #dial(address: string): void {
    this.#made += 1;
    this.links.set(address, new SimLink(this.#world, this, address, `${this.name}/${address}/${this.#made}`));
  }

  /** A gateway says which there are: the links become those of the list, or so many of them as a worker may have. */
  listed({ addresses, key }: MemberList, atMs: number): void {
    // Gateways read the table at different times: an older list than the one that was followed says nothing new.
    if (atMs < this.#listAtMs) return;
    this.#listAtMs = atMs;
    if (key === this.#listKey && this.#seedAddress === null) return;
    this.#listKey = key;
    const most = this.#world.options.linksPerWorker;
    const dialsAll = this.#world.options.bugs?.dialsAll === true;
    const chosen = new Set(dialsAll || addresses.length <= most ? addresses : this.#choose(addresses, most));
    for (const address of chosen) if (!this.links.has(address)) this.#dial(address);
    for (const address of [...this.links.keys()]) {
      if (!chosen.has(address)) this.#leave(address);
    }
    this.#seedAddress = null;
  }

  /** The first ones in this worker's rendezvous order. */
  #choose(gateways: readonly string[], count: number): string[] {
    const places = shareRows({ rows: count, minRows: 1, worker: this.name, offer: 'links', gateways });
    return gateways.filter((_, index) => places[index]! > 0);
  }

  #review(): void {
    this.#pool.review();
    for (const link of this.#retired) {
      if (link.running.size + link.kept.size > 0) this.tellElsewhere(link);
      else if (link.connection === null) this.#retired.delete(link);
    }
  }

  /** Ends of a link whose gateway is gone go by another one: the fence says whose they are. */
  tellElsewhere(link: SimLink): void {
    if (link.connection !== null) return;
    for (const other of this.links.values()) {
      if (other.connection === null) continue;
      link.tellBy(other);
      return;
    }
  }

  /** Sessions that hold something, and have no connection: a hello names them, or their gateway takes them for lost. */
  get heldAway(): readonly string[] {
    const links = [...this.#retired, ...this.links.values()];
    return links.filter(({ connection, worksOn }) => connection === null && worksOn).map(({ session }) => session);
  }

  /** What runs for gateways that are out of reach goes on: two others keep its leases. */
  keepAway(): void {
    if (this.#world.options.bugs?.keeps === 'never') return;
    const links = [...this.#retired, ...this.links.values()];
    const { away, keepers } = planKeep(links, this.#world.timeline.nowMs);
    for (const other of away) for (const link of keepers) link.keep(other.session, other.held());
  }

  /** Could it have had its leases kept? A gateway is there that it has told at least once by now. */
  get isHeard(): boolean {
    const since = this.#world.timeline.nowMs - 2 * KEEP_MS;
    for (const { connection, connectedAtMs } of this.links.values())
      if (connection?.isAlive && connectedAtMs <= since) return true;
    return false;
  }

  // ---- rows, as the books see them ---------------------------------------------------------------------------------------

  granted(link: SimLink, model: string, rows: number): void {
    this.#world.books.granted(this.#accounts.get(model)!, link.session, rows);
  }

  took(link: SimLink, model: string, rows: number): void {
    this.#world.books.taken(this.#accounts.get(model)!, link.session, rows);
  }

  freed(model: string, rows: number): void {
    this.#world.books.ended(this.#accounts.get(model)!, rows);
  }

  withdrawn(link: SimLink, model: string, rows: number): void {
    this.#world.books.withdrawn(this.#accounts.get(model)!, link.session, rows);
  }

  /** The link's connection is gone, and with it whatever was granted on it. */
  voided(link: SimLink): void {
    for (const account of this.#accounts.values()) this.#world.books.voided(account, link.session);
  }
}
