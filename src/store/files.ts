/**
 * What is known of the files that callers uploaded; their bytes are blobs in a place of their own. Drivers: `sqlite/files.ts` for one machine,
 * `postgres/files.ts` for several gateways; `suite/files.suite.ts` is the contract.
 *
 * A file names its blob before the blob is put (`arrive`), and is a file when it was (`keep`). So whoever removes blobs, in this process or in
 * another one, never takes for unused what an upload is about to name, and no clocks are compared for that. Its room counts from the arrival on.
 */
import { PosternError } from '../errors.ts';
import type { Service } from '../service.ts';
import type { NamedBlobs } from './collect.ts';

export interface StoredFile {
  readonly id: string;
  readonly caller: string;
  readonly name: string;
  readonly contentType: string;
  readonly bytes: number;
  /** The name of its blob. */
  readonly sha256: string;
  readonly md5: string;
  /** JSON, as the caller gave it. */
  readonly metadata: string;
  /** Epoch ms of the book's clock, like `expiresAt`. */
  readonly createdAt: number;
  readonly expiresAt: number;
}

export type ArrivingFile = Omit<StoredFile, 'createdAt' | 'expiresAt'>;

export interface FileLimits {
  /** Of all files together. */
  readonly maxBytes: number;
  /** Of one caller's files. */
  readonly maxCallerBytes: number;
  readonly maxCallerFiles: number;
}

export interface FileListRequest {
  /** undefined: everybody's. */
  readonly caller: string | undefined;
  readonly limit: number;
  /** Those behind this id; null: from the newest on. */
  readonly after: string | null;
}

export interface FileBook extends Service, NamedBlobs {
  /** Takes the room. Throws file_quota_exceeded or storage_full. What is not kept within {@link ARRIVAL_MS} ends. */
  arrive(file: ArrivingFile, limits: FileLimits): Promise<void>;
  /** Its blob is there. null: it took too long, and its room was given away. */
  keep(id: string, ttlMs: number): Promise<StoredFile | null>;
  /** null: there is none, or its time is over. */
  get(id: string): Promise<StoredFile | null>;
  /** By their ids, the newest first. */
  list(request: FileListRequest): Promise<StoredFile[]>;
  /** Its blob may have lost its last name, and is among the unnamed ones then. False: there was none. */
  remove(id: string): Promise<boolean>;
  /** Removes those whose time is over, at most `limit`. Returns how many. */
  expire(limit: number): Promise<number>;
}

/** No upload takes this long, and none that was cut off holds its room for longer. */
export const ARRIVAL_MS = 3_600_000;

export const callerIsFull = ({ maxCallerBytes, maxCallerFiles }: FileLimits): PosternError =>
  new PosternError(
    'file_quota_exceeded',
    `Your files may take ${maxCallerBytes} bytes, and be ${maxCallerFiles}. Delete some, or wait until they end.`,
  );

/** Somebody's time is over within a minute. */
const FULL_RETRY_S = 60;

export const placeIsFull = ({ maxBytes }: FileLimits): PosternError =>
  new PosternError('storage_full', `The place for uploaded files (${maxBytes} bytes) is full.`, {
    retryAfterS: FULL_RETRY_S,
  });
