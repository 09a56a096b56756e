/**
 * The BlobStore port: payloads too large for a row of the store. A blob is named by the SHA-256 of its content, so putting
 * the same bytes twice keeps them once, and what comes back can be checked against its name. The store's rows say which
 * blobs are in use; `collect.ts` removes the others. Drivers: `directory.ts`, `s3.ts`; `blobs.suite.ts` is the contract.
 */
import type { Service } from '../service.ts';
import { PosternError } from '../errors.ts';

/** SHA-256 as 64 lower-case hexadecimal digits. */
export type BlobKey = string;

export interface BlobInfo {
  readonly key: BlobKey;
  readonly bytes: number;
  /** Epoch ms of the latest put. */
  readonly putAt: number;
}

export interface RemoveOptions {
  /** Epoch ms. A blob that was put later stays: the row that will name it may not be committed yet. */
  readonly putBefore: number;
  /** Asked after the blob was set aside: whoever puts it again meanwhile makes a new one. */
  readonly isUsed: (key: BlobKey) => Promise<boolean>;
}

export interface BlobStore extends Service {
  /** Resolves when the content survives a power cut. Rejects with storage_full or storage_failed, and keeps nothing then. */
  put(content: Uint8Array | AsyncIterable<Uint8Array>): Promise<BlobKey>;
  /** The whole content, checked against its name; null: no such blob. Content that differs is `storage_failed`. */
  get(key: BlobKey): Promise<Uint8Array | null>;
  /** The content in pieces, not checked; null: no such blob. The pieces must be read to the end or returned early. */
  stream(key: BlobKey): Promise<AsyncIterable<Uint8Array> | null>;
  has(key: BlobKey): Promise<boolean>;
  /** Removes at once, used or not. False when it was not there. */
  delete(key: BlobKey): Promise<boolean>;
  /** Removes a blob that nobody uses. False when it stays or was not there. */
  removeUnused(key: BlobKey, options: RemoveOptions): Promise<boolean>;
  /** In the order of their keys, after `after` (null: from the start), at most `limit`. */
  list(after: BlobKey | null, limit: number): Promise<BlobInfo[]>;
  /** What a caller may do without the gateway between; null: this driver has no such way. */
  readonly direct: DirectAccess | null;
}

export interface UploadOffer {
  /** The one media type that the place will accept, such as `image/jpeg`. */
  readonly contentType: string;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly expiresS: number;
}

/** A form (`multipart/form-data`, the field `file` last) with which anybody who holds it may send one file, until it expires. */
export interface UploadForm {
  readonly url: string;
  readonly fields: Readonly<Record<string, string>>;
  /** Under which the gateway reads what was sent. It is not a blob yet: put what is to be kept. */
  readonly upload: UploadName;
}

/** Made by `offerUpload`: 32 lower-case hexadecimal digits. */
export type UploadName = string;

export interface LinkOptions {
  readonly expiresS: number;
  /** What the place says that it is; by default nothing in particular. */
  readonly contentType?: string;
}

export interface DirectAccess {
  /** The place itself refuses another type, another size, another name, and everything after the expiry. */
  offerUpload(offer: UploadOffer): Promise<UploadForm>;
  /** What was sent, in pieces; null: nothing (yet). Its size is bounded by the offer, its content by nobody: look at it. */
  readUpload(upload: UploadName): Promise<AsyncIterable<Uint8Array> | null>;
  /** False when there was none. */
  removeUpload(upload: UploadName): Promise<boolean>;
  /** An address under which anybody who has it may read the blob until it expires; null: no such blob. */
  linkTo(key: BlobKey, options: LinkOptions): Promise<string | null>;
}

const KEY = /^[0-9a-f]{64}$/;

/** Throws unless `key` has the one shape that a key can have: nothing else ever becomes part of a path. */
export function checkBlobKey(key: BlobKey): BlobKey {
  if (!KEY.test(key)) {
    throw new PosternError('bad_parameter', 'a blob key must be 64 lower-case hexadecimal digits');
  }
  return key;
}

const UPLOAD = /^[0-9a-f]{32}$/;

export function checkUploadName(upload: UploadName): UploadName {
  if (!UPLOAD.test(upload)) {
    throw new PosternError('bad_parameter', 'the name of an upload must be 32 lower-case hexadecimal digits');
  }
  return upload;
}
