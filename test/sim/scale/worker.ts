/**
 * One worker: its links, what it runs, and how its rows are shared out among its links. Owner of the accounts: of one model on all links
 * together, in flight + granted never exceed what it takes. Rows move from one gateway to another only after the first has
 * said what it still had.
 */
import type { Timer } from '../../../src/clock.ts';
import type { Fence, Outcome } from '../../../src/dispatch/job.ts';
import { shareRows } from '../../../src/worker/links/share.ts';
import type { Random } from '../../support/random.ts';
import type { Account } from './books.ts';
import { VERSION, type MemberList } from './gateway.ts';
import type { Installation } from './installation.ts';
import { SimLink } from './link.ts';
import type { Place } from './network.ts';

export interface ServedModel {
  readonly name: string;
  readonly rows: number;
  /** Rows of its largest jobs. */
  readonly largestRows: number;
}

interface Held {
  readonly served: ServedModel;
  readonly account: Account;
  /** By link. */
  readonly granted: Map<SimLink, number>;
  readonly inFlight: Map<SimLink, number>;
  readonly target: Map<SimLink, number>;
  /** Somebody has less than its share, and nothing is free. */
  isShort: boolean;
}

/** Links come and go together: their shares are reckoned once for all that change within this. */
const RESHARE_MS = 200;
/** Without any link for so long, whoever answers at the first address is asked for the list. */
const SEED_MS = 5_000;

export interface WorkerOptions {
  readonly name: string;
  readonly region: number;
  readonly oneWayMs: number;
  readonly internetAddress: string;
  readonly models: readonly ServedModel[];
  readonly random: Random;
}

export class SimWorker implements Place {
  readonly name: string;
  readonly region: number;
  readonly oneWayMs: number;
  readonly internetAddress: string;
  readonly random: Random;
  readonly modelNames: readonly string[];
  readonly links = new Map<string, SimLink>();
  readonly #retired = new Set<SimLink>();
  readonly #world: Installation;
  readonly #held = new Map<string, Held>();
  isUp = true;
  #isDead = false;
  #listKey = '';
  #listAtMs = -1;
  /** Dialled beside the list, for want of any link. */
  #seedAddress: string | null = null;
  #made = 0;
  #resharing: Timer | null = null;

  constructor(world: Installation, options: WorkerOptions) {
    this.#world = world;
    this.name = options.name;
    this.region = options.region;
    this.oneWayMs = options.oneWayMs;
    this.internetAddress = options.internetAddress;
    this.random = options.random;
    this.modelNames = options.models.map(({ name }) => name);
    for (const served of options.models) {
      const account = world.books.account(`${served.name} at ${this.name}`, served.rows);
      this.#held.set(served.name, {
        served,
        account,
        granted: new Map(),
        inFlight: new Map(),
        target: new Map(),
        isShort: false,
      });
    }
  }

  get connectedLinks(): number {
    let count = 0;
    for (const { connection } of this.links.values()) if (connection?.isAlive) count += 1;
    return count;
  }

  get inFlightRows(): number {
    let rows = 0;
    for (const { account } of this.#held.values()) rows += account.runningRows;
    return rows;
  }

  /** Its machine is off, for good. */
  kill(): void {
    this.isUp = false;
    this.#isDead = true;
    this.#resharing?.cancel();
    for (const link of [...this.links.values(), ...this.#retired]) link.kill();
    this.links.clear();
    for (const { account } of this.#held.values()) this.#world.books.closed(account);
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
    this.#seed();
  }

  #dial(address: string): void {
    this.#made += 1;
    this.links.set(address, new SimLink(this.#world, this, address, `${this.name}/${address}/${this.#made}`));
  }

  /** A gateway says which there are: the links become those of the list, or so many of them as a worker may have. */
  listed({ addresses, key }: MemberList, atMs: number): void {
    // Gateways read the table at different times: an older list than the one that was followed says nothing new.
    if (atMs < this.#listAtMs && this.#world.options.bugs?.followsOldLists !== true) return;
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
    this.linksChanged();
  }

  /** The first ones in this worker's rendezvous order. */
  #choose(gateways: readonly string[], count: number): string[] {
    const places = shareRows({ rows: count, minRows: 1, worker: this.name, offer: 'links', gateways });
    return gateways.filter((_, index) => places[index]! > 0);
  }

  linksChanged(): void {
    if (this.#isDead) return;
    this.#resharing ??= this.#world.timeline.after(RESHARE_MS, () => {
      this.#resharing = null;
      this.#reshare();
    });
  }

  // ---- rows ------------------------------------------------------------------------------------------------------------

  #reshare(): void {
    const up = [...this.links.values()].filter(({ connection }) => connection !== null);
    for (const link of this.#retired) {
      if (link.running.size + link.kept.size === 0) this.#retired.delete(link);
      else if (link.connection === null && up[0]) link.tellElsewhere(up[0]);
    }
    const gateways = up.map(({ address }) => address);
    for (const [model, held] of this.#held) {
      const { rows, largestRows } = held.served;
      const minRows = this.#world.options.isWholeShares ? largestRows : 1;
      const shares = shareRows({ rows, minRows, worker: this.name, offer: model, gateways });
      held.target.clear();
      up.forEach((link, index) => held.target.set(link, shares[index]!));
      for (const link of [...up, ...this.#retired]) this.#askBack(model, held, link);
      this.#topUp(model, held, up);
    }
  }

  #askBack(model: string, held: Held, link: SimLink): void {
    if (link.connection === null || link.asked.has(model)) return;
    const granted = held.granted.get(link) ?? 0;
    const tooMany = granted + (held.inFlight.get(link) ?? 0) - (held.target.get(link) ?? 0);
    if (tooMany <= 0 || granted === 0) return;
    link.withdraw(model, Math.min(tooMany, granted));
    if (this.#world.options.bugs?.believesWithdrawals === true) this.withdrawn(link, model, Math.min(tooMany, granted));
  }

  /** Grants what is free to whoever has less than its share. */
  #topUp(model: string, held: Held, links: readonly SimLink[]): void {
    const ignoresOthers = this.#world.options.bugs?.ignoresOtherLinks === true;
    let freeRows = held.served.rows;
    for (const rows of held.granted.values()) freeRows -= rows;
    for (const rows of held.inFlight.values()) freeRows -= rows;
    held.isShort = false;
    for (const link of links) {
      if (link.connection === null) continue;
      const inFlight = held.inFlight.get(link) ?? 0;
      const granted = held.granted.get(link) ?? 0;
      const target = ignoresOthers ? held.served.rows : (held.target.get(link) ?? 0);
      const wanted = Math.max(0, target - inFlight - granted);
      const rows = ignoresOthers ? wanted : Math.min(wanted, Math.max(0, freeRows));
      if (rows < wanted) held.isShort = true;
      freeRows -= rows;
      link.ledger.setCapacity(model, VERSION, inFlight + granted + rows);
    }
    for (const link of links) {
      if (link.connection === null) continue;
      for (const grant of link.ledger.due()) {
        // Another model of this link is due at its own step.
        if (grant.model !== model) throw new Error(`${link.session} grants ${grant.model} out of turn`);
        held.granted.set(link, (held.granted.get(link) ?? 0) + grant.rows);
        this.#world.books.granted(held.account, link.session, grant.rows);
        link.grant(model, grant.rows);
      }
    }
  }

  took(link: SimLink, model: string, rows: number): void {
    const held = this.#held.get(model)!;
    held.granted.set(link, (held.granted.get(link) ?? 0) - rows);
    held.inFlight.set(link, (held.inFlight.get(link) ?? 0) + rows);
    this.#world.books.taken(held.account, link.session, rows);
  }

  freed(link: SimLink, model: string, rows: number): void {
    const held = this.#held.get(model)!;
    held.inFlight.set(link, (held.inFlight.get(link) ?? 0) - rows);
    this.#world.books.ended(held.account, rows);
    this.#askBack(model, held, link);
    this.#topUp(
      model,
      held,
      held.isShort || link.connection === null || link.isRetired ? [...this.links.values()] : [link],
    );
    link.leaveWhenDone();
  }

  withdrawn(link: SimLink, model: string, rows: number): void {
    const held = this.#held.get(model)!;
    if (rows > 0) {
      held.granted.set(link, (held.granted.get(link) ?? 0) - rows);
      this.#world.books.withdrawn(held.account, link.session, rows);
      // The ledger has no word for it yet: rows that were taken and are free again are the same to it.
      link.ledger.take(model, VERSION, rows);
      link.ledger.release(model, VERSION, rows);
    }
    this.#topUp(model, held, [...this.links.values()]);
  }

  /** The link's connection is gone, and with it whatever was granted on it. */
  voided(link: SimLink): void {
    for (const { account, granted } of this.#held.values()) {
      granted.delete(link);
      this.#world.books.voided(account, link.session);
    }
  }

  /** A new connection: nothing is granted on it yet. */
  restarted(link: SimLink): void {
    link.ledger.restart();
    for (const [model, { inFlight }] of this.#held) link.ledger.setCapacity(model, VERSION, inFlight.get(link) ?? 0);
  }

  endElsewhere(link: SimLink, { fence, outcome }: { readonly fence: Fence; readonly outcome: Outcome }): void {
    for (const other of this.links.values()) {
      if (other.connection === null) continue;
      link.tellOneElsewhere(other, fence, outcome);
      return;
    }
  }
}
