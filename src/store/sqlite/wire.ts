/** The messages between the driver and its threads, and how an error crosses. */
import { isErrorCode, PosternError, type ErrorCode } from '../../errors.ts';
import type { Moment } from './calls.ts';

/** One call: its number, its name, its argument. */
export type CallMessage = readonly [number: number, name: string, argument: unknown];
/** Its reply: the number, and a value or an error. */
export type ReplyMessage = readonly [number: number, value: unknown, error?: ErrorMessage];

export interface ErrorMessage {
  readonly code: ErrorCode;
  readonly message: string;
}

/** All calls of one turn of the driver's event loop. */
export type ToThread =
  | {
      readonly type: 'calls';
      readonly calls: readonly CallMessage[];
      readonly moment: Moment;
      readonly bytes: Uint8Array;
    }
  | { readonly type: 'stop' };

export type FromThread =
  | { readonly type: 'ready' }
  | { readonly type: 'refused'; readonly error: ErrorMessage }
  | { readonly type: 'replies'; readonly replies: readonly ReplyMessage[]; readonly log: LogState };

/** The write-ahead log after a commit. */
export interface LogState {
  /** So much was committed that it should be copied into the file. */
  readonly wantsCheckpoint: boolean;
  /** A checkpoint failed: nothing is lost, but the log grows. */
  readonly trouble: string | null;
}

export const QUIET_LOG: LogState = { wantsCheckpoint: false, trouble: null };

const SQLITE_FULL = 13;
/** What the disk, the file or another process did: BUSY, LOCKED, NOMEM, READONLY, IOERR, CORRUPT, CANTOPEN, PROTOCOL, NOTADB. */
const SQLITE_STORAGE: ReadonlySet<number> = new Set([5, 6, 7, 8, 10, 11, 14, 15, 26]);

export function toErrorMessage(thrown: unknown): ErrorMessage {
  if (thrown instanceof PosternError) return { code: thrown.code, message: thrown.message };
  const { errcode, message = String(thrown) } = thrown as { errcode?: number; message?: string };
  // The low byte is the kind, the rest says which call failed.
  const kind = (errcode ?? 0) % 256;
  if (kind === SQLITE_FULL) {
    return { code: 'storage_full', message: 'the disk of the store is full: free some space' };
  }
  if (!SQLITE_STORAGE.has(kind)) return { code: 'internal', message };
  return { code: 'storage_failed', message: `the store could not write or read: ${message} (SQLite ${errcode})` };
}

export function toError({ code, message }: ErrorMessage): PosternError {
  return new PosternError(isErrorCode(code) ? code : 'internal', message);
}
