/**
 * Credits: the rows that a session will still take of one version of a model. The worker grants, a claim reserves, an
 * assignment spends, what a claim did not find comes back, and the worker may take back what is free. Nothing else changes
 * them, so at every moment
 *
 *   granted since the connection opened = free + reserved + sent + withdrawn
 *
 * and free is never below zero. A new connection starts from nothing: the worker grants again what is really free.
 */
import { PosternError } from '../errors.ts';
import { MAX_CREDIT_ROWS } from '../protocol/limits.ts';

/** Versions that one session may hold credit for: twice the 256 models of a `models` message, for a change of all. */
const MAX_OFFERS = 512;

export interface Credit {
  freeRows: number;
  /** In claims that have not been answered yet. */
  reservedRows: number;
  /** The most that this session ever took at once: no claim of it can be larger. */
  capacityRows: number;
  inFlightRows: number;
  inFlightJobs: number;
}

export function newCredit(): Credit {
  return { freeRows: 0, reservedRows: 0, capacityRows: 0, inFlightRows: 0, inFlightJobs: 0 };
}

/** Adds a grant, or throws flow_control: the caller ends the session. `sessionRows` is free + reserved of all its versions. */
export function grantRows(credit: Credit, rows: number, sessionRows: number): void {
  if (!Number.isSafeInteger(rows) || rows < 1 || rows > MAX_CREDIT_ROWS - sessionRows) {
    throw new PosternError(
      'flow_control',
      `a grant of ${rows} rows on top of ${sessionRows} exceeds ${MAX_CREDIT_ROWS}: grant what is free, once`,
    );
  }
  credit.freeRows += rows;
  credit.capacityRows = Math.max(credit.capacityRows, credit.freeRows + credit.reservedRows + credit.inFlightRows);
}

/** The worker wants rows back, to give them to another gateway: as many as are free. */
export function withdrawRows(credit: Credit, rows: number): number {
  const given = Math.min(rows, credit.freeRows);
  credit.freeRows -= given;
  credit.capacityRows -= given;
  return given;
}

export function checkOfferCount(count: number): void {
  if (count < MAX_OFFERS) return;
  throw new PosternError('flow_control', `credit for more than ${MAX_OFFERS} versions: announce fewer models`);
}

export function reserveRows(credit: Credit, rows: number): void {
  if (rows > credit.freeRows) throw new Error(`reserving ${rows} of ${credit.freeRows} free rows`);
  credit.freeRows -= rows;
  credit.reservedRows += rows;
}

/** A claim was answered: `sentRows` of the reservation are spent, the rest is free again. */
export function answerRows(credit: Credit, reservedRows: number, sentRows: number): void {
  if (sentRows > reservedRows || reservedRows > credit.reservedRows) {
    throw new Error(`${sentRows} of ${reservedRows} reserved rows sent, ${credit.reservedRows} reserved in all`);
  }
  credit.reservedRows -= reservedRows;
  credit.freeRows += reservedRows - sentRows;
}

export function resetRows(credit: Credit): void {
  credit.freeRows = 0;
  credit.reservedRows = 0;
}

export function startFlight(credit: Credit, rows: number): void {
  credit.inFlightRows += rows;
  credit.inFlightJobs += 1;
}

export function endFlight(credit: Credit, rows: number): void {
  credit.inFlightRows -= rows;
  credit.inFlightJobs -= 1;
}
