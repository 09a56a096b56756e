/**
 * How much work probably waits, per model: an estimate that decides how much is asked for, never whether a job runs. Too
 * high costs a useless question; too low is mended by the store's answer, which says what is left.
 */
import type { Demand, Offer } from './session.ts';

export type Demands = ReturnType<typeof createDemands>;

export function createDemands() {
  const demands = new Map<string, Demand>();
  let touched = new Set<Demand>();
  /** Shared, so that a demand which is forgotten and made anew cannot meet an offer's old stamp. */
  let generation = 0;

  function of(model: string): Demand {
    let demand = demands.get(model);
    if (!demand) {
      demand = {
        model,
        rows: 0,
        soloJobs: 0,
        soloSession: null,
        named: new Map(),
        shares: null,
        generation,
        offers: new Set(),
      };
      demands.set(model, demand);
    }
    return demand;
  }

  return {
    of,
    /** `version`: the one that it names, if any. */
    arrived(model: string, rows: number, version: string | null = null): void {
      const demand = of(model);
      demand.rows += rows;
      if (version !== null) demand.named.set(version, (demand.named.get(version) ?? 0) + rows);
      demand.generation = ++generation;
      touched.add(demand);
    },
    /** Jobs that must run alone: so many more, or as many as somebody counted. */
    soloArrived(model: string, jobs: number): void {
      const demand = of(model);
      demand.soloJobs = jobs;
      demand.generation = ++generation;
      touched.add(demand);
    },
    /** The offer's session is gone. */
    withdraw(offer: Offer): void {
      const demand = of(offer.model);
      demand.offers.delete(offer);
      if (demand.offers.size + demand.rows + demand.soloJobs + demand.named.size === 0) demands.delete(demand.model);
    },
    /** Something changed: look at this demand in the next pump. */
    touch(demand: Demand): void {
      const { rows, named, soloJobs, soloSession } = demand;
      if (rows > 0 || named.size > 0 || soloJobs > 0 || soloSession !== null) touched.add(demand);
    },
    takeTouched(): Iterable<Demand> {
      if (touched.size === 0) return [];
      const taken = touched;
      touched = new Set();
      return taken;
    },
    allExhausted(demand: Demand): boolean {
      for (const { exhaustedAt, servesFor } of demand.offers) {
        if (servesFor !== null && exhaustedAt !== demand.generation) return false;
      }
      return true;
    },
  };
}
