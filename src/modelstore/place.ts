/**
 * Where models are stored, as pull and push see it: a tree of files that can be read from the middle on. Paths are made by
 * `manifest.ts` out of checked names; nothing that came from outside becomes part of one.
 */
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
