/**
 * Rows of credit for HTTP exchanges. They are no jobs: nobody records them, no store is asked, and they have no flight; but
 * they take their row from the same credit, so that a worker is never sent more than it granted.
 */
import { endFlight, startFlight } from './credits.ts';
import type { Offer } from './session.ts';

/** Takes a row where most is free; null: none is. `allows` has the last word on a worker. */
export function takeSeat(offers: Iterable<Offer>, allows: (worker: string) => boolean): Offer | null {
  let best: Offer | null = null;
  let bestShare = 0;
  for (const offer of offers) {
    const { session, credit } = offer;
    if (session.state !== 'connected' || session.solo !== null || credit.freeRows === 0) continue;
    const share = credit.freeRows / credit.capacityRows;
    if (share <= bestShare || !allows(session.worker)) continue;
    best = offer;
    bestShare = share;
  }
  if (best === null) return null;
  best.credit.freeRows -= 1;
  best.session.creditRows -= 1;
  startFlight(best.credit, 1);
  return best;
}

/** The worker grants the row anew by itself. */
export function leaveSeat(offer: Offer): void {
  endFlight(offer.credit, 1);
}

/** It was never sent: its row is free as before, unless the connection that it was granted on is gone. */
export function returnSeat(offer: Offer, epoch: number): void {
  endFlight(offer.credit, 1);
  if (offer.session.epoch !== epoch) return;
  offer.credit.freeRows += 1;
  offer.session.creditRows += 1;
}
