/** A request's body, counted while it arrives: nothing over the limit is ever buffered. */
import type { IncomingMessage } from 'node:http';
import { PosternError } from '../../errors.ts';
import { MAX_INLINE_BYTES } from '../../protocol/limits.ts';
import type { Share } from './budget.ts';

export interface BodyLimits {
  readonly maxBytes: number;
  readonly share: Share;
}

/** The caller went away before its request was complete: there is nobody to answer. */
export class CallerGone extends Error {
  override readonly name = 'CallerGone';
}

export function tooLarge(maxBytes: number): PosternError {
  return new PosternError(
    'body_too_large',
    `The body is larger than the limit of ${maxBytes} bytes. Send a smaller one.`,
  );
}

/** Content-Length, when there is one. Node's parser has refused anything but digits. */
export function announcedBytes(request: IncomingMessage): number | null {
  const header = request.headers['content-length'];
  return header === undefined ? null : Number(header);
}

export function hasBody(request: IncomingMessage): boolean {
  const length = request.headers['content-length'];
  return length !== undefined ? length !== '0' : request.headers['transfer-encoding'] !== undefined;
}

/** Nothing is unpacked here: a kilobyte that becomes a gigabyte is no attack on who does not unpack it. */
export function refuseEncoding({ headers }: IncomingMessage): void {
  const encoding = headers['content-encoding'];
  if (encoding === undefined || encoding.toLowerCase() === 'identity') return;
  throw new PosternError(
    'unsupported_media_type',
    'The body is compressed (Content-Encoding), which is not supported here: send it as it is.',
  );
}

/** Refuses by Content-Length before a byte is read, and sets the bytes aside; without one they are counted as they come. */
export function admit(request: IncomingMessage, { maxBytes, share }: BodyLimits): void {
  const announced = announcedBytes(request);
  if (announced === null) return;
  if (announced > maxBytes) throw tooLarge(maxBytes);
  share.take(announced);
}

/** Counts one chunk against the limit, and against the budget where `admit` could not. Throws when it is too much. */
export function countChunk(receivedBytes: number, chunkBytes: number, { maxBytes, share }: BodyLimits): number {
  const total = receivedBytes + chunkBytes;
  if (total > maxBytes) throw tooLarge(maxBytes);
  if (total > share.takenBytes) share.take(total - share.takenBytes);
  return total;
}

/** A body that fits into one message of the wire, or none, is read before; null: it is larger or of unknown length, and not read. */
export async function readSmallBody(request: IncomingMessage, share: Share): Promise<Uint8Array | null> {
  if (!hasBody(request)) return NO_BYTES;
  const bytes = announcedBytes(request);
  if (bytes === null || bytes > MAX_INLINE_BYTES) return null;
  share.take(bytes);
  return readBody(request, { maxBytes: MAX_INLINE_BYTES, share });
}

const NO_BYTES = new Uint8Array(0);

export function readBody(request: IncomingMessage, limits: BodyLimits): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let first: Buffer | null = null;
    let chunks: Buffer[] | null = null;
    let receivedBytes = 0;
    let settled = false;

    const fail = (error: Error): void => {
      if (settled) return;
      settled = true;
      reject(error);
    };
    request.on('data', (chunk: Buffer) => {
      if (settled) return;
      try {
        receivedBytes = countChunk(receivedBytes, chunk.length, limits);
      } catch (error) {
        fail(error as Error);
        return;
      }
      if (first === null) first = chunk;
      else if (chunks === null) chunks = [first, chunk];
      else chunks.push(chunk);
    });
    request.on('end', () => {
      if (settled) return;
      settled = true;
      // The usual body of a kilobyte arrives in one piece, which is used as it is.
      resolve(chunks !== null ? Buffer.concat(chunks, receivedBytes) : (first ?? Buffer.alloc(0)));
    });
    // `close` comes after every request: an error, with its stack, is made only for one that is not complete.
    const gone = (): void => {
      if (!settled) fail(new CallerGone('the connection closed while the body arrived'));
    };
    request.on('error', gone);
    request.on('close', gone);
  });
}
