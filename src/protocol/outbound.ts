/**
 * The sending half of a connection: what is queued, and in which order it becomes bytes.
 *
 * Two lanes. Messages (with small payloads inside) go first, in the order of their sending. Large payloads follow
 * behind their message as DATA, round robin by stream, within the peer's windows. `nextBatch` cuts one write: messages
 * up to BATCH_BYTES, then data up to the same, but always one chunk of data when data may go, so that neither lane
 * starves the other and a message waits behind at most one batch.
 */
import { PosternError } from '../errors.ts';
import {
  FLAG_FIN,
  FLAG_INLINE,
  FLAG_STREAMED,
  FRAME_DATA,
  FRAME_MESSAGE,
  MAX_STREAM_ID,
  MAX_WINDOW_BYTES,
  resetFrame,
  writeHeader,
  writeUint32,
} from './frames.ts';
import {
  HEADER_BYTES,
  MAX_CHUNK_BYTES,
  MAX_INLINE_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_QUEUED_MESSAGE_BYTES,
} from './limits.ts';
import type { Limits } from './limits.ts';

/** One write. Four full TLS records, so that a batch of data wastes no record. */
const BATCH_BYTES = 65_536;
/** Less of a chunk than this is not worth its header. */
const LEAST_CHUNK_BYTES = 4_096;
/** Consumed entries at the front of a queue are cut off in blocks, never one by one. */
const COMPACT_AT = 1_024;

interface OutgoingStream {
  /** Given when it is announced, so that ids grow in the order of the wire; 0 before. */
  id: number;
  readonly json: string;
  readonly payload: Uint8Array;
  sent: number;
  window: number;
}

export class Outbound {
  /** A JSON text, or a whole frame. */
  readonly #entries: (string | Uint8Array)[] = [];
  readonly #payloads: (Uint8Array | null)[] = [];
  readonly #sizes: number[] = [];
  #head = 0;
  #messageBytes = 0;
  /** Announced to the peer, or about to be: at most the peer's maxStreams. */
  readonly #active: OutgoingStream[] = [];
  #turn = 0;
  /** No slot yet. */
  readonly #waiting: OutgoingStream[] = [];
  #payloadBytes = 0;
  #window = 0;
  #peer: Limits | null = null;
  #nextId = 0;

  /** `odd`: this side is the worker. */
  establish(peer: Limits, odd: boolean): void {
    this.#peer = peer;
    this.#window = peer.connectionWindowBytes;
    this.#nextId = odd ? 1 : 2;
    this.#admit();
  }

  get queuedBytes(): number {
    return this.#messageBytes + this.#payloadBytes;
  }

  get messageBytes(): number {
    return this.#messageBytes;
  }

  /** Payload bytes that a whole flush would still have to bring out. */
  get payloadBytes(): number {
    return this.#payloadBytes;
  }

  pushMessage(json: string, payload: Uint8Array | null): void {
    const jsonBytes = Buffer.byteLength(json);
    if (jsonBytes > MAX_MESSAGE_BYTES) {
      throw new PosternError(
        'frame_too_large',
        `expected a message of at most ${MAX_MESSAGE_BYTES} bytes, got ${jsonBytes}; put large things in the payload`,
      );
    }
    if (payload !== null && payload.length > MAX_INLINE_BYTES) {
      this.#payloadBytes += payload.length;
      this.#waiting.push({ id: 0, json, payload, sent: 0, window: 0 });
      this.#admit();
      return;
    }
    this.#push(json, payload, HEADER_BYTES + jsonBytes + (payload === null ? 0 : 4 + payload.length));
  }

  pushFrame(frame: Uint8Array): void {
    this.#push(frame, null, frame.length);
  }

  /** The peer reopened a window. Credit for a stream that has ended is late, not wrong. */
  addWindow(stream: number, increment: number): void {
    if (increment === 0) throw new PosternError('flow_control', 'a credit of 0 bytes');
    if (stream === 0) {
      this.#window = addCredit(this.#window, increment);
      return;
    }
    if (stream % 2 !== this.#nextId % 2 || stream >= this.#nextId) {
      throw new PosternError('protocol_error', `credit for stream ${stream}, which was never opened`);
    }
    const target = this.#active.find((each) => each.id === stream);
    if (target !== undefined) target.window = addCredit(target.window, increment);
  }

  /** Drops the payloads that are not out yet; the peer is told to forget the ones it has begun to receive. */
  dropPayloads(reason: number): void {
    for (const stream of this.#active) if (stream.id !== 0) this.pushFrame(resetFrame(stream.id, reason));
    this.#active.length = 0;
    this.#waiting.length = 0;
    this.#payloadBytes = 0;
  }

  /** Drops everything. */
  clear(): void {
    this.#entries.length = this.#payloads.length = this.#sizes.length = this.#head = this.#messageBytes = 0;
    this.#active.length = this.#waiting.length = this.#payloadBytes = 0;
  }

  /** The pieces of the next write, or null when nothing may go now. Payloads are in it as views: they are not copied here. */
  nextBatch(): readonly Uint8Array[] | null {
    const data = this.#active.length > 0 && this.#window > 0;
    const most = data ? BATCH_BYTES / 2 : BATCH_BYTES;
    let last = this.#head;
    let bytes = 0;
    while (last < this.#entries.length) {
      const size = this.#sizes[last]!;
      if (bytes > 0 && bytes + size > most) break;
      bytes += size;
      last++;
    }
    const pieces: Uint8Array[] = [];
    if (bytes > 0) {
      const batch = Buffer.allocUnsafe(bytes);
      this.#writeMessages(batch, last);
      pieces.push(batch);
    }
    if (data) this.#addData(pieces, bytes);
    return pieces.length === 0 ? null : pieces;
  }

  /** Adds chunks until the batch has BATCH_BYTES, which it may pass by the heads of the last one. */
  #addData(pieces: Uint8Array[], bytes: number): void {
    let room = BATCH_BYTES - bytes;
    while (room > 0) {
      const index = this.#pickStream();
      if (index < 0) return;
      const stream = this.#active[index]!;
      const left = stream.payload.length - stream.sent;
      const allowed = Math.min(left, stream.window, this.#window, MAX_CHUNK_BYTES);
      // A sliver of a chunk is not worth its header: it goes with the next batch.
      if (room < LEAST_CHUNK_BYTES && room < allowed && pieces.length > 0) return;
      const chunk = Math.min(allowed, Math.max(room, LEAST_CHUNK_BYTES));
      const announced = stream.id !== 0;
      const head = Buffer.allocUnsafe(HEADER_BYTES + (announced ? 0 : HEADER_BYTES + Buffer.byteLength(stream.json)));
      let at = 0;
      if (!announced) {
        stream.id = this.#takeId();
        at = writeMessage(head, 0, stream.json, FLAG_STREAMED, stream.id);
      }
      writeHeader(head, at, chunk, FRAME_DATA, chunk === left ? FLAG_FIN : 0, stream.id);
      pieces.push(head, stream.payload.subarray(stream.sent, stream.sent + chunk));
      room -= head.length + chunk;
      this.#consume(stream, index, chunk);
    }
  }

  #consume(stream: OutgoingStream, index: number, chunk: number): void {
    stream.sent += chunk;
    stream.window -= chunk;
    this.#window -= chunk;
    this.#payloadBytes -= chunk;
    if (stream.sent === stream.payload.length) {
      this.#active.splice(index, 1);
      this.#turn = index;
      this.#admit();
    } else {
      this.#turn = index + 1;
    }
  }

  /** The next stream in turn that may send something; -1: none. */
  #pickStream(): number {
    if (this.#window === 0) return -1;
    const count = this.#active.length;
    for (let step = 0; step < count; step++) {
      const index = (this.#turn + step) % count;
      if (this.#active[index]!.window > 0) return index;
    }
    return -1;
  }

  #takeId(): number {
    const id = this.#nextId;
    if (id > MAX_STREAM_ID) {
      throw new PosternError('connection_lost', 'the stream ids of this connection are used up: dial again');
    }
    this.#nextId += 2;
    return id;
  }

  /** Gives waiting payloads their streams. */
  #admit(): void {
    const peer = this.#peer;
    if (peer === null) return;
    while (this.#waiting.length > 0 && this.#active.length < peer.maxStreams) {
      const { json, payload } = this.#waiting.shift()!;
      this.#active.push({ id: 0, json, payload, sent: 0, window: peer.streamWindowBytes });
    }
  }

  #push(entry: string | Uint8Array, payload: Uint8Array | null, size: number): void {
    if (this.#messageBytes + size > MAX_QUEUED_MESSAGE_BYTES) {
      throw new PosternError('write_stalled', `more than ${MAX_QUEUED_MESSAGE_BYTES} bytes of messages are waiting`);
    }
    this.#entries.push(entry);
    this.#payloads.push(payload);
    this.#sizes.push(size);
    this.#messageBytes += size;
  }

  #writeMessages(batch: Buffer, last: number): number {
    let at = 0;
    for (let index = this.#head; index < last; index++) {
      const entry = this.#entries[index]!;
      const payload = this.#payloads[index]!;
      if (typeof entry !== 'string') {
        batch.set(entry, at);
        at += entry.length;
      } else if (payload === null) {
        at = writeMessage(batch, at, entry, 0, 0);
      } else {
        const body = this.#sizes[index]! - HEADER_BYTES;
        at = writeHeader(batch, at, body, FRAME_MESSAGE, FLAG_INLINE, 0);
        at = writeUint32(batch, at, body - 4 - payload.length);
        at += batch.write(entry, at);
        batch.set(payload, at);
        at += payload.length;
      }
    }
    this.#messageBytes -= at;
    this.#head = last;
    if (last === this.#entries.length) {
      this.#entries.length = this.#payloads.length = this.#sizes.length = this.#head = 0;
    } else if (last >= COMPACT_AT) {
      this.#entries.splice(0, last);
      this.#payloads.splice(0, last);
      this.#sizes.splice(0, last);
      this.#head = 0;
    }
    return at;
  }
}

function writeMessage(target: Buffer, at: number, json: string, flags: number, stream: number): number {
  const body = target.write(json, at + HEADER_BYTES);
  writeHeader(target, at, body, FRAME_MESSAGE, flags, stream);
  return at + HEADER_BYTES + body;
}

function addCredit(window: number, increment: number): number {
  const sum = window + increment;
  if (sum > MAX_WINDOW_BYTES) {
    throw new PosternError('flow_control', `a credit of ${increment} bytes takes a window of ${window} over its limit`);
  }
  return sum;
}
