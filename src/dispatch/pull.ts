/**
 * Where demand meets credit: which sessions ask the store for how many rows, and what its answers change. The store alone
 * decides which jobs these are.
 */
import { deal } from './choose.ts';
import { answerRows, reserveRows } from './credits.ts';
import type { Demands } from './demand.ts';
import { roomByVersion } from './seats.ts';
import type { Fence, Job } from './job.ts';
import type { Ask, Demand, Flight, Offer } from './session.ts';
import type { Limits } from './limits.ts';
import { createSolo } from './solo.ts';

/** What is asked of the dispatcher's surroundings here. */
export interface PullEffects {
  /** Ask the store; answer with `answered` or `claimFailed`. */
  claim(ask: Ask): void;
  assign(flight: Flight, job: Job): void;
  /** A claimed job that could not be sent: settle it as interrupted, without cost. */
  giveBack(fence: Fence): void;
}

export interface PullOptions {
  readonly demands: Demands;
  readonly effects: PullEffects;
  readonly limits: Limits;
  readonly random: () => number;
  /** The session holds this attempt from now on. */
  readonly takeOff: (offer: Offer, fence: Fence, job: Job) => Flight;
}

/** One claim takes no more than this, so that one answer never holds up the others for long. */
const MAX_ASK_ROWS = 1024;

export function createPull({ demands, effects, limits, random, takeOff }: PullOptions) {
  let claiming = true;
  const solo = createSolo({
    demandOf: (model) => demands.of(model),
    touch: (demand) => demands.touch(demand),
    claim: (asked) => effects.claim(asked),
    roomRows: (demand) => limits.modelRoom(demand.model),
    maxAskRows: MAX_ASK_ROWS,
  });

  /** Asks for work wherever demand and credit meet. Cheap when nothing changed: call it at the end of every turn. */
  function pump(): void {
    if (!claiming) return;
    const touched = demands.takeTouched();
    for (const demand of touched) {
      if (demand.named.size > 0) askNamed(demand);
      if (demand.rows > 0) ask(demand);
    }
    for (const demand of touched) solo.step(demand);
  }

  const mayAsk = ({ session, credit, exhaustedAt }: Offer, { generation }: Demand): boolean =>
    session.state === 'connected' && session.solo === null && credit.freeRows > 0 && exhaustedAt !== generation;

  /** Versions that serve only those who name them are asked for only where somebody did. */
  function askNamed(demand: Demand): void {
    for (const offer of demand.offers) {
      const namedRows = demand.named.get(offer.version) ?? 0;
      if (offer.servesFor !== null || namedRows === 0 || !mayAsk(offer, demand)) continue;
      const wantedRows = offer.asksAll ? offer.credit.freeRows : namedRows;
      const roomRows = limits.modelRoom(demand.model) - (demand.soloSession === null ? 0 : 1);
      const rows = Math.min(wantedRows, limits.offerRoom(offer), roomRows, MAX_ASK_ROWS);
      if (rows <= 0) continue;
      if (rows < namedRows) demand.named.set(offer.version, namedRows - rows);
      else demand.named.delete(offer.version);
      claim(offer, demand, rows, true);
    }
  }

  function claim(offer: Offer, demand: Demand, rows: number, namedOnly: boolean): void {
    offer.asksAll = false;
    reserveRows(offer.credit, rows);
    effects.claim({
      offer,
      epoch: offer.session.epoch,
      generation: demand.generation,
      maxRows: rows,
      capacityRows: limits.capacityRows(offer, MAX_ASK_ROWS),
      solo: false,
      namedOnly,
    });
  }

  /** Deals rows that name no version: by the shares of the versions, and within one to whoever is freest. Returns what is left. */
  function dealAll(demand: Demand, able: readonly Offer[], rows: number): number {
    const { shares } = demand;
    if (shares === null) return deal(able, rows, random);
    let left = rows;
    const parts = shares.split(rows, roomByVersion(demand.offers, able));
    for (const [version, part] of parts) {
      if (part === 0) continue;
      const of = able.filter(({ servesFor }) => servesFor === version);
      left -= part - deal(of, part, random);
    }
    return left;
  }

  function ask(demand: Demand): void {
    // Looked at for every hint of another gateway, mostly in vain: no copy of what may be two thousand offers.
    const able: Offer[] = [];
    for (const offer of demand.offers) {
      if (offer.servesFor === null || !mayAsk(offer, demand)) continue;
      offer.askRows = 0;
      offer.roomRows = limits.offerRoom(offer);
      able.push(offer);
    }
    if (able.length === 0) return;
    // A suspect that is on its way keeps its row: it would wait for ever beside a model that always runs as much as it may.
    let roomRows = limits.modelRoom(demand.model) - (demand.soloSession === null ? 0 : 1);
    const allowedRows = Math.max(0, Math.min(demand.rows, roomRows));
    demand.rows += dealAll(demand, able, allowedRows) - allowedRows;
    for (const offer of able) {
      if (offer.askRows === 0) continue;
      // A job may be larger than what was dealt: then ask with all that is free. Two versions on one worker share its room.
      const wantedRows = offer.asksAll ? offer.credit.freeRows : offer.askRows;
      const rows = Math.min(wantedRows, limits.offerRoom(offer), roomRows, MAX_ASK_ROWS);
      demand.rows += Math.max(0, offer.askRows - rows);
      if (rows === 0) continue;
      roomRows -= rows;
      demand.shares?.count(offer.servesFor ?? '', rows);
      claim(offer, demand, rows, false);
    }
    if (demand.rows > 0) demands.touch(demand);
  }

  /** What the store gave for an ask. */
  function answered(asked: Ask, jobs: readonly Job[], leftRows: number, soloJobs = 0): void {
    const { offer } = asked;
    const { session } = offer;
    const valid = asked.epoch === session.epoch && session.state === 'connected';
    let sentRows = 0;
    let unnamedRows = 0;
    for (const job of jobs) {
      const fence: Fence = { job: job.id, attempt: job.attempt, session: session.id };
      if (!valid) {
        effects.giveBack(fence);
        continue;
      }
      sentRows += job.rows;
      if (job.version === null) unnamedRows += job.rows;
      effects.assign(takeOff(offer, fence, job), job);
    }
    if (asked.epoch === session.epoch) {
      answerRows(offer.credit, asked.maxRows, sentRows);
      session.creditRows -= sentRows;
    }
    const demand = demands.of(offer.model);
    if (asked.solo) {
      solo.answered(asked, valid ? jobs.length : 0, soloJobs);
      return;
    }
    solo.landed(session);
    roomChanged(offer);
    if (asked.namedOnly) {
      answeredNamed(asked, demand, jobs.length, leftRows);
      return;
    }
    demand.shares?.count(offer.servesFor ?? '', unnamedRows - asked.maxRows);
    if (soloJobs > 0 && demand.soloJobs === 0) demands.soloArrived(offer.model, soloJobs);
    const unmetRows = asked.maxRows - sentRows;
    if (leftRows === 0) {
      offer.exhaustedAt = asked.generation;
      demand.named.delete(offer.version);
      // Somebody else may be able to run what this one could not: its version may be another.
      demand.rows = demands.allExhausted(demand) ? 0 : demand.rows + unmetRows;
    } else {
      demand.rows = Math.max(demand.rows, leftRows);
      if (jobs.length === 0) nothingFits(asked);
    }
    demands.touch(demand);
  }

  function answeredNamed(asked: Ask, demand: Demand, jobs: number, leftRows: number): void {
    const { version } = asked.offer;
    // What came meanwhile was added to what was believed before; the store knows better what was there.
    if (leftRows === 0) return;
    demand.named.set(version, Math.max(leftRows, demand.named.get(version) ?? 0));
    if (jobs === 0) nothingFits(asked);
    demands.touch(demand);
  }

  /** Work waits, and its first job is larger than what was asked for. */
  function nothingFits({ offer, generation, maxRows, capacityRows }: Ask): void {
    const { credit } = offer;
    if (maxRows < Math.min(credit.freeRows, MAX_ASK_ROWS)) {
      offer.asksAll = true;
      return;
    }
    if (credit.inFlightRows + credit.reservedRows === 0 && capacityRows > credit.freeRows) {
      // All that this worker takes is free, and it is less than it once was: no grant will come. Step over what is larger.
      credit.capacityRows = credit.freeRows;
      return;
    }
    offer.exhaustedAt = generation;
    offer.waitsForCredit = true;
  }

  /** The store could not answer. The reservation comes back; the next arrival or poll asks again. */
  function claimFailed({ offer, epoch, maxRows, solo: isSolo, namedOnly }: Ask): void {
    if (epoch === offer.session.epoch) answerRows(offer.credit, maxRows, 0);
    if (!isSolo && !namedOnly) demands.of(offer.model).shares?.count(offer.servesFor ?? '', -maxRows);
    if (isSolo) solo.failed(offer.session);
    else solo.landed(offer.session);
  }

  /**
   * After `pump`: is more believed to wait than the sessions here have room for? `version`: what a job names; null: none. What was
   * asked for counts as taken until the answer says otherwise.
   */
  function isShort(model: string, version: string | null): boolean {
    if (!claiming) return true;
    const demand = demands.of(model);
    if (version === null) return demand.rows > 0;
    for (const offer of demand.offers) {
      if (offer.version === version && offer.servesFor !== null) return demand.rows > 0;
    }
    return (demand.named.get(version) ?? 0) > 0;
  }

  /** Rows of this offer are free again: whoever was limited by them may ask. */
  function roomChanged({ session, model }: Offer): void {
    if (!limits.isLimited(model)) return;
    demands.touch(demands.of(model));
    if (!limits.sharesWorkers) return;
    for (const offer of session.offers) demands.touch(demands.of(offer.model));
  }

  return {
    solo,
    roomChanged,
    pump,
    isShort,
    answered,
    claimFailed,
    /** From now on nothing is asked for; what is in flight goes on. */
    stop(): void {
      claiming = false;
    },
  };
}
