/**
 * Photos that a browser sends to S3 itself, with a signed form, and the gateway fetches from there. What was sent lies there as it came, with
 * everything that a camera wrote into it, until it is fetched, which is moments later; what nobody asks for ends by the bucket's lifecycle rule.
 */
import type { BlobStore } from '../../blobs/blobs.ts';
import { PosternError } from '../../errors.ts';

export interface OfferedUpload {
  readonly upload: string;
  readonly url: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly expiresS: number;
}

export interface Incoming {
  /** Where browsers send to; null: nowhere, they send forms to the gateway. */
  readonly origin: string | null;
  /** Learns the origin. */
  start(): Promise<void>;
  offer(contentType: string, bytes: number): Promise<OfferedUpload>;
  /** `count` is told of the bytes before they are kept in memory, and may throw. Throws missing_input for what never came. */
  fetch(uploads: readonly string[], count: (bytes: number) => void): Promise<Buffer[]>;
  forget(uploads: readonly string[]): Promise<void>;
}

/** A slow phone sends five photos in a minute or two. */
const EXPIRES_S = 600;

export function createIncoming({ direct }: Pick<BlobStore, 'direct'>, maxBytes: () => number): Incoming {
  let origin: string | null = null;

  function access(): NonNullable<BlobStore['direct']> {
    if (direct !== null) return direct;
    throw new PosternError(
      'bad_request',
      'Photos are sent to the gateway here, as a form: upload.mode of the status says so.',
    );
  }

  async function offer(contentType: string, bytes: number): Promise<OfferedUpload> {
    const form = await access().offerUpload({ contentType, minBytes: 1, maxBytes: bytes, expiresS: EXPIRES_S });
    return { ...form, expiresS: EXPIRES_S };
  }

  return {
    get origin() {
      return origin;
    },
    async start() {
      if (direct !== null) origin = new URL((await offer('image/jpeg', 1)).url).origin;
    },
    offer,
    async fetch(uploads, count) {
      const files: Buffer[] = [];
      for (const [index, upload] of uploads.entries()) {
        const pieces = await access().readUpload(upload);
        if (pieces === null) {
          throw new PosternError('missing_input', `photo ${index + 1}: it has not arrived, or its time is over.`);
        }
        const chunks: Uint8Array[] = [];
        let bytes = 0;
        for await (const piece of pieces) {
          bytes += piece.byteLength;
          // The signature bounds it too; this bounds whoever could write to the bucket without one.
          if (bytes > maxBytes())
            throw new PosternError('body_too_large', `photo ${index + 1}: more than ${maxBytes()} bytes.`);
          count(piece.byteLength);
          chunks.push(piece);
        }
        files.push(Buffer.concat(chunks));
      }
      return files;
    },
    async forget(uploads) {
      if (direct === null) return;
      for (const upload of uploads) await direct.removeUpload(upload).catch(() => false);
    },
  };
}
