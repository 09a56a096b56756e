/** Where payloads are: in the database, or, where there is a blob store that every gateway reaches, the large ones there. */
import { PosternError } from '../../errors.ts';
import { MAX_INLINE_BYTES, type PayloadBlobs } from '../payload-blobs.ts';

export type Payloads = ReturnType<typeof createPayloads>;

const NO_BYTES = new Uint8Array(0);

export function createPayloads(blobs: PayloadBlobs | null) {
  return {
    /** How to put it into a blob, or null: it goes into the database. */
    keep: (bytes: Uint8Array): (() => Promise<string>) | null =>
      blobs === null || bytes.byteLength <= MAX_INLINE_BYTES ? null : () => blobs.put(bytes),
    async read(inline: Uint8Array | null, blob: string | null): Promise<Uint8Array> {
      if (blob === null) return inline ?? NO_BYTES;
      const bytes = (await blobs?.get(blob)) ?? null;
      if (bytes !== null) return bytes;
      const why = blobs === null ? 'no blob store is set (BLOB_URL)' : 'it is gone';
      throw new PosternError('storage_failed', `the blob ${blob} of a job cannot be read: ${why}`);
    },
    /** Null: there is none any more. */
    find: async (inline: Uint8Array | null, blob: string | null): Promise<Uint8Array | null> =>
      blob === null ? inline : ((await blobs?.get(blob)) ?? null),
  };
}
