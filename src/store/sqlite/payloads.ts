/** Large payloads go to blobs before the row that names them is committed, and are read back when the row is. */
import { PosternError } from '../../errors.ts';
import type { Payload } from '../../dispatch/job.ts';
import type { StoredPayload } from './calls.ts';
import { MAX_INLINE_BYTES, type PayloadBlobs } from '../payload-blobs.ts';
import { outputOf, payloadBlob, payloadBytes, toJob, type JobRow } from './rows.ts';

export type Payloads = ReturnType<typeof createPayloads>;

export function createPayloads(blobs: PayloadBlobs) {
  async function read(row: JobRow): Promise<Uint8Array | null> {
    const key = payloadBlob(row);
    if (key === null) return null;
    const bytes = await blobs.get(key);
    if (bytes === null) throw new PosternError('storage_failed', `the blob ${key} of a job is gone from the disk`);
    return bytes;
  }

  return {
    /** How to put it into a blob, or null: small enough for its row. */
    keep: ({ bytes }: Payload): (() => Promise<string>) | null =>
      bytes.byteLength > MAX_INLINE_BYTES ? () => blobs.put(bytes) : null,
    /** The job with its output. Its input is left out: only a worker needs it. */
    async withOutput(row: JobRow) {
      return toJob(row, NO_BYTES, outputOf(row, await read(row)));
    },
    /** The job with its input, for a worker. */
    async withInput(row: JobRow) {
      return toJob(row, (await read(row)) ?? payloadBytes(row), null);
    },
    /** The same for a row without a blob. */
    inline: (row: JobRow) => toJob(row, payloadBytes(row), null),
    hasBlob: (row: JobRow): boolean => payloadBlob(row) !== null,
  };
}

export const NO_BYTES = new Uint8Array(0);

/** How a payload travels: in the message, or as the name of its blob. */
export function stored(bytes: Uint8Array, blob: string | null, attach: (bytes: Uint8Array) => number): StoredPayload {
  if (blob !== null) return { type: 'blob', key: blob, bytes: bytes.byteLength };
  return { type: 'inline', at: attach(bytes), bytes: bytes.byteLength };
}
