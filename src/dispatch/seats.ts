/**
 * Rows of credit for HTTP exchanges. They are no jobs: nobody records them, no store is asked, and they have no flight; but
 * they take their row from the same credit, so that a worker is never sent more than it granted.
 */
import { endFlight, startFlight } from './credits.ts';
import type { Demand, Offer } from './session.ts';

/** What each version that takes part could be sent now. One whose workers are only busy takes part with no room. */
export function roomByVersion(offers: Iterable<Offer>, able: readonly Offer[]): Map<string, number> {
  const room = new Map<string, number>();
  for (const { servesFor, session } of offers) {
    if (servesFor !== null && session.state === 'connected') room.set(servesFor, 0);
  }
  for (const { servesFor, credit } of able) {
    if (servesFor !== null) room.set(servesFor, (room.get(servesFor) ?? 0) + credit.freeRows);
  }
  return room;
}

/** A seat at a version that serves callers who name none, by the shares of the model's versions. */
export function takeSharedSeat({ offers, shares }: Demand, allows: (worker: string) => boolean): Offer | null {
  const serving = [...offers].filter(({ servesFor }) => servesFor !== null);
  if (shares === null) return takeSeat(serving, allows);
  const able = serving.filter(
    ({ session, credit }) => session.state === 'connected' && credit.freeRows > 0 && allows(session.worker),
  );
  for (const [version, seats] of shares.split(1, roomByVersion(serving, able))) {
    const offer =
      seats === 0
        ? null
        : takeSeat(
            able.filter((one) => one.servesFor === version),
            allows,
          );
    if (offer === null) continue;
    shares.count(version, 1);
    return offer;
  }
  return null;
}

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
