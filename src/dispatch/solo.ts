/**
 * Jobs that must run alone, because one of them may be what their worker died of. One such job at a time for each model, on a
 * session that holds nothing else: whatever it does there, it takes nothing with it. Owner of: which session is kept for
 * which model's suspects.
 *
 * A session on its way to a suspect takes no new work (clearing) until it is idle; then it asks the store for one such job
 * (asking), runs it (running), and is an ordinary session again. Ordinary work is asked for first in every pump, so a suspect
 * and a wave of other work take turns, and neither starves. Costs: while a session clears for a suspect it idles as long
 * as the longest of its attempts takes, so the session that holds least is chosen.
 */
import { reserveRows } from './credits.ts';
import type { Ask, Demand, Offer, Session } from './session.ts';

export interface SoloOptions {
  readonly demandOf: (model: string) => Demand;
  readonly touch: (demand: Demand) => void;
  readonly claim: (ask: Ask) => void;
  /** Rows of the model that may be sent now. */
  readonly roomRows: (demand: Demand) => number;
  readonly maxAskRows: number;
}

export function createSolo({ demandOf, touch, claim, roomRows, maxAskRows }: SoloOptions) {
  const canTake = (offer: Offer, demand: Demand): boolean =>
    offer.session.state === 'connected' && offer.soloExhaustedAt !== demand.generation;

  function isIdle({ flights, offers }: Session): boolean {
    return flights.size === 0 && offers.every(({ credit }) => credit.reservedRows === 0);
  }

  function best(demand: Demand): Offer | null {
    let found: Offer | null = null;
    for (const offer of demand.offers) {
      const { session, credit } = offer;
      if (session.solo !== null || !canTake(offer, demand)) continue;
      if (credit.freeRows + credit.reservedRows + credit.inFlightRows === 0) continue;
      if (found === null || session.flights.size < found.session.flights.size) found = offer;
    }
    return found;
  }

  /** Brings the next suspect of this model a step further; call it after ordinary work was asked for. */
  function step(demand: Demand): void {
    if (demand.soloJobs === 0 && demand.soloSession === null) return;
    if (demand.soloSession === null) {
      const offer = best(demand);
      if (offer === null) return;
      demand.soloSession = offer.session;
      offer.session.solo = { demand, state: 'clearing' };
    }
    const session = demand.soloSession;
    if (session.solo?.state !== 'clearing') return;
    if (demand.soloJobs === 0) {
      free(session);
      return;
    }
    if (!isIdle(session) || roomRows(demand) <= 0) return;
    const able = session.offers.filter((one) => demand.offers.has(one) && canTake(one, demand));
    if (able.length === 0) {
      free(session);
      return;
    }
    const offer = able.find(({ credit }) => credit.freeRows > 0);
    // What ended just now is granted again in a moment: whoever gave way here would never have a turn beside other work.
    if (offer === undefined) return;
    session.solo = { demand, state: 'asking' };
    const maxRows = Math.min(offer.credit.freeRows, maxAskRows);
    const capacityRows = Math.min(offer.credit.capacityRows, maxAskRows);
    reserveRows(offer.credit, maxRows);
    const { generation } = demand;
    const namedOnly = offer.servesFor === null;
    claim({ offer, epoch: session.epoch, generation, maxRows, capacityRows, solo: true, namedOnly });
  }

  /** The session takes ordinary work again, and the next suspect may look for one. */
  function free(session: Session): void {
    const { solo } = session;
    if (solo === null) return;
    session.solo = null;
    solo.demand.soloSession = null;
    touch(solo.demand);
    for (const offer of session.offers) touch(demandOf(offer.model));
  }

  return {
    step,
    free,
    /** What the store gave for the question of a suspect. */
    answered({ offer, generation }: Ask, jobs: number, soloJobs: number): void {
      const demand = demandOf(offer.model);
      const { session } = offer;
      if (soloJobs > 0 || jobs > 0) demand.soloJobs = soloJobs;
      if (jobs > 0 && session.solo !== null) session.solo = { demand: session.solo.demand, state: 'running' };
      // Another version may be able to run what this one could not; one that is too large for now is asked for again later.
      if (jobs === 0) {
        offer.soloExhaustedAt = generation;
        if ([...demand.offers].every(({ soloExhaustedAt }) => soloExhaustedAt === generation)) demand.soloJobs = 0;
      }
      landed(session);
    },
    landed,
    /** The store could not answer. The next count asks again: at once would be a loop for as long as the store is broken. */
    failed(session: Session): void {
      if (session.solo !== null) session.solo.demand.soloJobs = 0;
      free(session);
    },
    /** The session can take nothing now. What runs alone on it goes on. */
    left(session: Session): void {
      if (session.solo?.state !== 'running') free(session);
    },
    /** An attempt of an earlier life of the gateway: its session is not to take more beside it. */
    adopted(session: Session, demand: Demand): void {
      if (session.solo !== null || demand.soloSession !== null) return;
      session.solo = { demand, state: 'running' };
      demand.soloSession = session;
    },
  };

  /** Something of the session ended. */
  function landed(session: Session): void {
    if (session.solo === null || !isIdle(session)) return;
    if (session.solo.state === 'clearing') touch(session.solo.demand);
    else free(session);
  }
}
