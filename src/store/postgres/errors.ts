/** What PostgreSQL, or the way to it, said, as one of our own errors. */
import { isErrorCode, PosternError } from '../../errors.ts';

/** A call whose connection broke under it: what it was to do may have been done, or not. */
export class InDoubt extends PosternError {
  constructor(message: string) {
    super('storage_failed', message);
  }
}

const DISK_FULL = '53100';
const DEADLOCK = '40P01';
const SERIALIZATION = '40001';
const TAKEN = '23505';
/** `RAISE` in `claim_2`: this writer was fenced off, by its own next connection. */
const STALE_WRITER = 'P0002';
/** After the first error of a transaction everything else in it fails with this. */
const ABORTED = '25P02';

/** Classes of SQLSTATE for which the database, and not the call, is to blame: connection, resources, operator, system. */
const BLAMELESS = /^(08|53|57|58|25006|XX|55P03)/;

const sqlStateOf = (error: unknown): string | null => {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : null;
};

/** Another transaction was in the way: the same again will do. */
export const isConflict = (error: unknown): boolean => [DEADLOCK, SERIALIZATION].includes(sqlStateOf(error) ?? '');
/** A unique name was used before. */
export const isTaken = (error: unknown): boolean => sqlStateOf(error) === TAKEN;
export const isStaleWriter = (error: unknown): boolean => sqlStateOf(error) === STALE_WRITER;
export const isAftermath = (error: unknown): boolean => sqlStateOf(error) === ABORTED;

export function toStorageError(thrown: unknown): PosternError {
  if (thrown instanceof PosternError) return thrown;
  const { message = String(thrown) } = thrown as { message?: string };
  const state = sqlStateOf(thrown);
  if (state === DISK_FULL) return new PosternError('storage_full', 'the disk of the database is full: free some space');
  if (state === null || BLAMELESS.test(state) || isConflict(thrown)) {
    const cause = state ?? (thrown as { code?: string }).code;
    const suffix = cause === undefined || isErrorCode(cause) ? '' : ` (${cause})`;
    return new PosternError('storage_failed', `the database could not write or read: ${message}${suffix}`);
  }
  return new PosternError('internal', `the database refused a statement: ${message} (${state})`);
}
