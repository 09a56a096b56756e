/**
 * How much may run at once, as an operator limits it: rows of a model over all workers (`max`), rows of one worker over all
 * its models (`workerMaxRows`), and of these the rows that are kept for a model (`reserved`), whatever else waits.
 */
import type { Offer, Session } from './session.ts';

export interface ModelConcurrency {
  /** Of each worker that serves the model: other models never take these. Only of meaning beside `workerMaxRows`. */
  readonly reservedRows: number;
  /** Over all workers; null: as many as they grant. */
  readonly maxRows: number | null;
}

export interface ConcurrencyLimits {
  readonly workerMaxRows: number | null;
  readonly models: ReadonlyMap<string, ModelConcurrency>;
}

export const NO_LIMITS: ConcurrencyLimits = { workerMaxRows: null, models: new Map() };

const busyOf = ({ credit }: Offer): number => credit.inFlightRows + credit.reservedRows;

export function createLimits({ workerMaxRows, models }: ConcurrencyLimits, sessions: () => Iterable<Session>) {
  const ofModel = (session: Session, model: string): number =>
    session.offers.reduce((rows, offer) => rows + (offer.model === model ? busyOf(offer) : 0), 0);

  return {
    /** Does the end of an attempt of this model make room that was short? */
    isLimited: (model: string): boolean => workerMaxRows !== null || (models.get(model)?.maxRows ?? null) !== null,
    /** Is the end of an attempt felt by the worker's other models? */
    sharesWorkers: workerMaxRows !== null,
    /** Rows of the model that may still be sent, to any worker. */
    modelRoom(model: string): number {
      const maxRows = models.get(model)?.maxRows ?? null;
      if (maxRows === null) return Infinity;
      let busy = 0;
      for (const session of sessions()) busy += ofModel(session, model);
      return Math.max(0, maxRows - busy);
    },
    /** The largest job that this offer could ever be sent: a larger one is passed over. */
    capacityRows({ model, credit }: Offer, mostRows: number): number {
      return Math.min(credit.capacityRows, workerMaxRows ?? mostRows, models.get(model)?.maxRows ?? mostRows, mostRows);
    },
    /** Rows that this offer may still be sent: its credit, and what the worker's other models leave it. */
    offerRoom({ session, model, credit }: Offer): number {
      if (workerMaxRows === null) return credit.freeRows;
      let room = workerMaxRows;
      for (const offer of session.offers) room -= busyOf(offer);
      const others = new Set(session.offers.filter(({ report }) => report?.state === 'ready').map((one) => one.model));
      others.delete(model);
      for (const other of others) {
        room -= Math.max(0, (models.get(other)?.reservedRows ?? 0) - ofModel(session, other));
      }
      return Math.max(0, Math.min(credit.freeRows, room));
    },
  };
}

export type Limits = ReturnType<typeof createLimits>;
