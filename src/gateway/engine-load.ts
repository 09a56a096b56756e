/** What sessions take and have taken, by model: gone over once a second for who scales. */
import type { Session } from '../dispatch/session.ts';

export interface ModelSeats {
  /** Names of those that have it ready and are not draining. One without its link counts until its lease has run out: it comes back. */
  readonly workers: Set<string>;
  /** Rows that they would take on top of what they have. */
  freeRows: number;
  /** Rows that they take at once. */
  capacityRows: number;
  /** Rows that workers have, also those that are draining. */
  inFlightRows: number;
}

export const NO_SEATS = (): ModelSeats => ({ workers: new Set(), freeRows: 0, capacityRows: 0, inFlightRows: 0 });

export function seatsByModel(sessions: Iterable<Session>): Map<string, ModelSeats> {
  const models = new Map<string, ModelSeats>();
  for (const { worker, state, wasDraining, offers } of sessions) {
    for (const { model, credit, report, servesFor } of offers) {
      let seats = models.get(model);
      if (seats === undefined) models.set(model, (seats = NO_SEATS()));
      seats.inFlightRows += credit.inFlightRows;
      // A version that serves nobody but who names it is no room for the others.
      if (report?.state !== 'ready' || servesFor === null) continue;
      if (state === 'draining' || (state === 'away' && wasDraining)) continue;
      seats.workers.add(worker);
      if (state !== 'connected') continue;
      seats.freeRows += credit.freeRows;
      seats.capacityRows += credit.freeRows + credit.reservedRows + credit.inFlightRows;
    }
  }
  return models;
}
