/**
 * Where models are stored, as pull and push see it: a tree of files that can be read from the middle on. Paths are made by
 * `manifest.ts` out of checked names; nothing that came from outside becomes part of one.
 */
import type { S3Place } from '../blobs/s3-client.ts';
import { parseS3Url } from '../blobs/s3-client.ts';
import type { Clock } from '../clock.ts';
import { PosternError } from '../errors.ts';

export interface ModelPlace {
  /** As it was given, for people. */
  readonly address: string;
  /** The whole of a small file; null: there is none. A larger one is refused. */
  readSmall(path: string, maxBytes: number): Promise<Buffer | null>;
  /** From byte `from` on, or from an earlier one where the place cannot do that; null: there is no such file. */
  read(path: string, from: number, signal: AbortSignal): Promise<Reading | null>;
  /** Names of the folders in a folder (`''`: the place itself); null: this place cannot tell. */
  folders(path: string): Promise<string[] | null>;
  /** null: this place can only be read. */
  readonly write: WritablePlace | null;
  close(): void;
}

export interface Reading {
  readonly from: number;
  readonly content: AsyncIterable<Uint8Array>;
}

/** A file of this machine, whose content is known. */
export interface LocalFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface WritablePlace {
  /** null: there is no such file. */
  sizeOf(path: string): Promise<number | null>;
  /**
   * Whole or not at all; goes on where an earlier try of the same content was cut off. `onBytes` hears of bytes that are there,
   * those of the earlier try too. Resolves to the bytes that were sent now.
   */
  sendFile(path: string, file: LocalFile, onBytes: (bytes: number) => void): Promise<number>;
  /** False when there is one already; it is left as it is. */
  create(path: string, content: Buffer): Promise<boolean>;
}

export interface PlaceOptions {
  readonly s3: Pick<S3Place, 'endpoint' | 'region' | 'pathStyle'>;
  readonly clock: Clock;
}

/** `s3://…`, `https://…` (`http://` on loopback only), or a folder. Throws config_invalid for anything else. */
export async function openPlace(address: string, { s3, clock }: PlaceOptions): Promise<ModelPlace> {
  if (address.startsWith('s3://')) {
    const at = parseS3Url(address);
    if (at === null)
      throw new PosternError(
        'config_invalid',
        `${address}: expected a bucket and perhaps a prefix, like s3://models/prod`,
      );
    return (await import('./places/s3.ts')).openS3Models(address, { ...at, ...s3 });
  }
  if (/^https?:\/\//.test(address)) return (await import('./places/web.ts')).openWebModels(address, clock);
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(address)) {
    throw new PosternError('config_invalid', `${address}: models are stored under s3://, https:// or in a folder`);
  }
  return (await import('./places/folder.ts')).openFolderModels(address);
}

/** What a place said, in the words of the one table of codes. */
export function placeError(thrown: unknown, doing: string, address: string): PosternError {
  if (thrown instanceof PosternError) return thrown;
  const { code, message } = (thrown ?? {}) as { code?: string; message?: string };
  const cause = (thrown as { cause?: { message?: string } } | null)?.cause?.message;
  const reason = [message ?? String(thrown), cause].filter((part) => part !== undefined).join(': ');
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return new PosternError(full ? 'storage_full' : 'model_store_failed', `${doing} (${address}): ${reason}`, {
    cause: thrown,
  });
}
