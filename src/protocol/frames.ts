/**
 * Frames: a header of 10 bytes (body length u32, type u8, flags u8, stream id u32; big-endian) and a body.
 *
 * The decoder owns the bytes between two chunks of the byte stream: at most one header and one incomplete body. Every
 * header is judged before a byte of its body is kept, the room for a body grows with what has arrived and never with
 * what was announced, and the body of a DATA frame is handed on as it comes, without waiting for the rest.
 */
import { PosternError } from '../errors.ts';
import { HEADER_BYTES, MAX_BODY_BYTES, MAX_CHUNK_BYTES, MAX_HELLO_BYTES, MAX_MESSAGE_BYTES } from './limits.ts';

export const FRAME_MESSAGE = 1;
export const FRAME_DATA = 2;
export const FRAME_WINDOW = 3;
export const FRAME_RESET = 4;

/** MESSAGE: the body is JSON length u32, JSON, payload. */
export const FLAG_INLINE = 0x01;
/** MESSAGE: a payload of the message's `bytes` follows as DATA frames with this stream id. */
export const FLAG_STREAMED = 0x02;
/** DATA: the last one of its stream. */
export const FLAG_FIN = 0x01;

export const WINDOW_BODY_BYTES = 4;
export const RESET_BODY_BYTES = 2;
/** Windows are kept below this, so that no sum of credits can overflow 32 bits or lose precision. */
export const MAX_WINDOW_BYTES = 0x7fff_ffff;
export const MAX_STREAM_ID = 0xffff_ffff;

/**
 * What the decoder tells. The decoder never writes into a buffer again that it has handed on, and nor may its owner into a
 * chunk: so a sink may keep views. A throw ends the decoding.
 */
export interface FrameSink {
  onMessageFrame(flags: number, stream: number, buffer: Buffer, start: number, end: number): void;
  /** A piece of a DATA frame's body, never empty; `last` with the final piece of the frame that carries FIN. */
  onData(stream: number, buffer: Buffer, start: number, end: number, last: boolean): void;
  onWindow(stream: number, increment: number): void;
  onReset(stream: number, reason: number): void;
}

/** Writes the header at `offset`; returns the offset behind it. */
export function writeHeader(
  target: Uint8Array,
  offset: number,
  bodyBytes: number,
  type: number,
  flags: number,
  stream: number,
): number {
  target[offset] = bodyBytes >>> 24;
  target[offset + 1] = bodyBytes >>> 16;
  target[offset + 2] = bodyBytes >>> 8;
  target[offset + 3] = bodyBytes;
  target[offset + 4] = type;
  target[offset + 5] = flags;
  target[offset + 6] = stream >>> 24;
  target[offset + 7] = stream >>> 16;
  target[offset + 8] = stream >>> 8;
  target[offset + 9] = stream;
  return offset + HEADER_BYTES;
}

export function writeUint32(target: Uint8Array, offset: number, value: number): number {
  target[offset] = value >>> 24;
  target[offset + 1] = value >>> 16;
  target[offset + 2] = value >>> 8;
  target[offset + 3] = value;
  return offset + 4;
}

export function readUint32(source: Uint8Array, offset: number): number {
  return (
    ((source[offset]! << 24) | (source[offset + 1]! << 16) | (source[offset + 2]! << 8) | source[offset + 3]!) >>> 0
  );
}

/** A WINDOW frame: `increment` more bytes may be sent on `stream`, or on the connection when it is 0. */
export function windowFrame(stream: number, increment: number): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + WINDOW_BODY_BYTES);
  writeUint32(frame, writeHeader(frame, 0, WINDOW_BODY_BYTES, FRAME_WINDOW, 0, stream), increment);
  return frame;
}

/** A RESET frame: the rest of this payload will not come, and its message is void. */
export function resetFrame(stream: number, reason: number): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + RESET_BODY_BYTES);
  const at = writeHeader(frame, 0, RESET_BODY_BYTES, FRAME_RESET, 0, stream);
  frame[at] = reason >>> 8;
  frame[at + 1] = reason;
  return frame;
}

/** The first room for an incomplete body, unless the body is smaller. */
const FIRST_ROOM_BYTES = 4_096;
const NO_BYTES = Buffer.alloc(0);

export class FrameDecoder {
  readonly #sink: FrameSink;
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerFill = 0;
  #type = 0;
  #flags = 0;
  #stream = 0;
  #length = 0;
  /** Bytes of the current body that have not come; 0 between frames (no legal body is empty). */
  #missing = 0;
  #body: Buffer = NO_BYTES;
  #established = false;
  #stopped = false;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** From now on every frame type is legal; before, only messages of MAX_HELLO_BYTES. */
  establish(): void {
    this.#established = true;
  }

  /** Nothing more is delivered, not even from the chunk in hand. */
  stop(): void {
    this.#stopped = true;
    this.#body = NO_BYTES;
  }

  /** Throws a PosternError at the first violation, and whatever the sink threw; after that the decoder is stopped. */
  push(chunk: Buffer): void {
    try {
      this.#decode(chunk);
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  #decode(chunk: Buffer): void {
    const end = chunk.length;
    let at = 0;
    while (at < end && !this.#stopped) {
      if (this.#missing === 0) {
        if (this.#headerFill === 0 && end - at >= HEADER_BYTES) {
          this.#readHeader(chunk, at);
          at += HEADER_BYTES;
        } else {
          while (at < end && this.#headerFill < HEADER_BYTES) this.#header[this.#headerFill++] = chunk[at++]!;
          if (this.#headerFill < HEADER_BYTES) return;
          this.#headerFill = 0;
          this.#readHeader(this.#header, 0);
        }
        if (at === end) return;
      }
      const available = end - at;
      const taken = available < this.#missing ? available : this.#missing;
      if (this.#type === FRAME_DATA) {
        this.#missing -= taken;
        const last = this.#missing === 0 && this.#flags === FLAG_FIN;
        this.#sink.onData(this.#stream, chunk, at, at + taken, last);
      } else if (taken === this.#length) {
        this.#missing = 0;
        this.#deliver(chunk, at, at + taken);
      } else {
        this.#keep(chunk, at, taken);
      }
      at += taken;
    }
  }

  #keep(chunk: Buffer, at: number, taken: number): void {
    const fill = this.#length - this.#missing;
    if (this.#body.length < fill + taken) {
      const room = Math.min(this.#length, Math.max(FIRST_ROOM_BYTES, 2 * (fill + taken)));
      const grown = Buffer.allocUnsafeSlow(room);
      this.#body.copy(grown, 0, 0, fill);
      this.#body = grown;
    }
    chunk.copy(this.#body, fill, at, at + taken);
    this.#missing -= taken;
    if (this.#missing > 0) return;
    const body = this.#body;
    this.#body = NO_BYTES;
    this.#deliver(body, 0, this.#length);
  }

  #deliver(buffer: Buffer, start: number, end: number): void {
    if (this.#type === FRAME_MESSAGE) {
      this.#sink.onMessageFrame(this.#flags, this.#stream, buffer, start, end);
    } else if (this.#type === FRAME_WINDOW) {
      this.#sink.onWindow(this.#stream, readUint32(buffer, start));
    } else {
      this.#sink.onReset(this.#stream, (buffer[start]! << 8) | buffer[start + 1]!);
    }
  }

  #readHeader(source: Uint8Array, at: number): void {
    const length = readUint32(source, at);
    const type = source[at + 4]!;
    const flags = source[at + 5]!;
    const stream = readUint32(source, at + 6);
    if (!this.#established) checkHelloHeader(length, type, flags);
    if (type === FRAME_MESSAGE) checkMessageHeader(length, flags, stream);
    else checkOtherHeader(length, type, flags, stream);
    this.#length = length;
    this.#missing = length;
    this.#type = type;
    this.#flags = flags;
    this.#stream = stream;
  }
}

function checkHelloHeader(length: number, type: number, flags: number): void {
  if (type !== FRAME_MESSAGE || flags !== 0) {
    throw new PosternError('protocol_error', `expected a plain message first, got frame type ${type} flags ${flags}`);
  }
  if (length > MAX_HELLO_BYTES) {
    throw new PosternError(
      'frame_too_large',
      `expected at most ${MAX_HELLO_BYTES} bytes before the session is established, got a frame of ${length}`,
    );
  }
}

function checkMessageHeader(length: number, flags: number, stream: number): void {
  if (flags > FLAG_STREAMED) throw new PosternError('protocol_error', `unknown flags ${flags} on a message`);
  const limit = flags === FLAG_INLINE ? MAX_BODY_BYTES : MAX_MESSAGE_BYTES;
  if (length > limit) {
    throw new PosternError('frame_too_large', `expected a message of at most ${limit} bytes, got ${length}`);
  }
  // `{}` is the shortest JSON object.
  if (length < 2) throw new PosternError('protocol_error', `a message of ${length} bytes cannot hold JSON`);
  if ((flags === FLAG_STREAMED) !== (stream !== 0)) {
    throw new PosternError('protocol_error', `stream ${stream} does not fit the flags ${flags} of a message`);
  }
}

function checkOtherHeader(length: number, type: number, flags: number, stream: number): void {
  if (type === FRAME_DATA) {
    if (length > MAX_CHUNK_BYTES) {
      throw new PosternError('frame_too_large', `expected data of at most ${MAX_CHUNK_BYTES} bytes, got ${length}`);
    }
    if (length === 0) throw new PosternError('protocol_error', 'a DATA frame without bytes');
    if (flags > FLAG_FIN) throw new PosternError('protocol_error', `unknown flags ${flags} on a DATA frame`);
  } else if (type === FRAME_WINDOW || type === FRAME_RESET) {
    const expected = type === FRAME_WINDOW ? WINDOW_BODY_BYTES : RESET_BODY_BYTES;
    if (length !== expected) {
      throw new PosternError('protocol_error', `expected ${expected} bytes in frame type ${type}, got ${length}`);
    }
    if (flags !== 0) throw new PosternError('protocol_error', `unknown flags ${flags} on frame type ${type}`);
  } else {
    throw new PosternError('protocol_error', `unknown frame type ${type}`);
  }
  if (stream === 0 && type !== FRAME_WINDOW) {
    throw new PosternError('protocol_error', `frame type ${type} needs a stream, got stream 0`);
  }
}
