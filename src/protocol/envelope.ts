/** The body of a MESSAGE frame: the JSON, and how its payload comes: not at all, in the same body, or as a stream behind it. */
import { PosternError } from '../errors.ts';
import { FLAG_INLINE, FLAG_STREAMED, readUint32 } from './frames.ts';
import { MAX_INLINE_BYTES, MAX_MESSAGE_BYTES } from './limits.ts';
import type { Message } from './messages.ts';
import { parseMessage, payloadBytes } from './parse.ts';

export interface Envelope {
  readonly message: Message;
  /** Where the inline payload begins; the end of the body when there is none. */
  readonly payloadStart: number;
}

/** Reads the body in `buffer[start, end)`. Throws when the message and the way of its payload do not fit each other. */
export function readEnvelope(
  flags: number,
  buffer: Buffer,
  start: number,
  end: number,
  maxPayloadBytes: number,
): Envelope {
  const jsonStart = flags === FLAG_INLINE ? start + 4 : start;
  const payloadStart = flags === FLAG_INLINE ? endOfJson(buffer, start, end) : end;
  const message = parseMessage(buffer, jsonStart, payloadStart);
  checkPayload(message, flags, end - payloadStart, maxPayloadBytes);
  return { message, payloadStart };
}

function endOfJson(buffer: Buffer, start: number, end: number): number {
  const jsonBytes = end - start < 4 ? 0 : readUint32(buffer, start);
  if (jsonBytes < 2 || jsonBytes > MAX_MESSAGE_BYTES || jsonBytes > end - start - 4) {
    throw new PosternError('protocol_error', `JSON of ${jsonBytes} bytes in a frame of ${end - start}`);
  }
  return start + 4 + jsonBytes;
}

function checkPayload(message: Message, flags: number, inlineBytes: number, maxPayloadBytes: number): void {
  const expected = payloadBytes(message);
  if (flags === FLAG_STREAMED) {
    if (expected === 0) {
      throw new PosternError('protocol_error', `a stream for ${message.type}, which has no payload`);
    }
  } else if (expected !== inlineBytes || (flags === FLAG_INLINE && inlineBytes === 0)) {
    // A payload of zero bytes has no frame of its own: the message is plain.
    throw new PosternError('protocol_error', `${message.type} says ${expected} bytes, its frame has ${inlineBytes}`);
  }
  if (inlineBytes > MAX_INLINE_BYTES) {
    throw new PosternError('frame_too_large', `expected at most ${MAX_INLINE_BYTES} bytes inline, got ${inlineBytes}`);
  }
  if (expected > maxPayloadBytes) {
    throw new PosternError(
      'frame_too_large',
      `expected a payload of at most ${maxPayloadBytes} bytes, got ${expected}`,
    );
  }
}

/** A payload of 1 KiB in a TLS record of 16 KiB is still a view. */
const MOST_PINNED = 16;

/** The payload in `buffer[start, end)`: a view where that holds back little else, a copy where it would pin a large chunk. */
export function keepPayload(buffer: Buffer, start: number, end: number): Buffer {
  if ((end - start) * MOST_PINNED >= buffer.buffer.byteLength) return buffer.subarray(start, end);
  const copy = Buffer.allocUnsafe(end - start);
  buffer.copy(copy, 0, start, end);
  return copy;
}
