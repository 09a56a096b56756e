/**
 * The parts that running attempts have put out: what of them is sent, and what must be sent again. All of a stream is kept
 * until its attempt ends, because a gateway that was restarted has none of it. Owner of the windows, and of who waits.
 *
 * A stream is told, or untold: after a reconnect nothing of it is sent until the gateway has said how far it has it.
 */
import { PosternError } from '../errors.ts';
import type { Connection } from '../protocol/connection.ts';
import { PARTIAL_WINDOW_BYTES, PARTIAL_WINDOW_COUNT } from '../protocol/limits.ts';
import type { Message } from '../protocol/messages.ts';
import type { Attempt } from './ports.ts';

/** Of all running streams together; as much as results may wait for their acks. */
const MAX_HELD_BYTES = 256 * 1024 * 1024;
/** Beside its bytes a part costs about this much: so many empty parts are bounded too. */
const PART_OVERHEAD_BYTES = 200;

interface SentPart {
  readonly contentType: string;
  readonly bytes: Uint8Array;
  /** The data connection that carries it; null: the control connection, or not sent yet. */
  via: Connection | null;
}

interface Stream {
  readonly attempt: Attempt;
  readonly parts: SentPart[];
  /** The next one to send. */
  next: number;
  /** The gateway has all up to this one. */
  acked: number;
  unackedBytes: number;
  heldBytes: number;
  told: boolean;
  behind: PromiseWithResolvers<void> | null;
}

export interface PartSenderOptions {
  /** Sends on the connection of its choice. Not called before `restart` and after `stop`. */
  readonly send: (message: Message, payload: Uint8Array) => Connection | null;
}

export interface PartSender {
  /** A promise: not all of the stream could be sent; it resolves when it was, or when the attempt ends. */
  add(attempt: Attempt, seq: number, contentType: string, bytes: Uint8Array): Promise<void> | undefined;
  /** The gateway has all up to `seq`; after a reconnect: and wants what follows it. */
  acked(attempt: Attempt, seq: number): void;
  /** Attempts that run and have put something out. */
  streams(): Attempt[];
  /** A new control connection: streams that exist wait to be told; new ones begin at once. */
  restart(): void;
  /** There is no connection. */
  stop(): void;
  /** A data connection died: what it carried is sent again. */
  lost(connection: Connection): void;
  /** The attempt is over: its parts are in its result, or of no use. */
  end(attempt: Attempt): void;
}

export function createPartSender({ send }: PartSenderOptions): PartSender {
  const streams = new Map<string, Stream>();
  let heldBytes = 0;
  let connected = false;

  function sendOne(stream: Stream, seq: number): void {
    const part = stream.parts[seq]!;
    const { job, attempt } = stream.attempt;
    const { contentType, bytes } = part;
    part.via = send({ type: 'partial', job, attempt, seq, contentType, bytes: bytes.byteLength }, bytes);
  }

  function pump(stream: Stream): void {
    while (
      connected &&
      stream.told &&
      stream.next < stream.parts.length &&
      stream.next - stream.acked <= PARTIAL_WINDOW_COUNT &&
      stream.unackedBytes < PARTIAL_WINDOW_BYTES
    ) {
      sendOne(stream, stream.next);
      stream.unackedBytes += stream.parts[stream.next]!.bytes.byteLength;
      stream.next += 1;
    }
    if (stream.behind && stream.next === stream.parts.length) {
      stream.behind.resolve();
      stream.behind = null;
    }
  }

  return {
    streams: () => [...streams.values()].map(({ attempt }) => attempt),
    add(attempt, seq, contentType, bytes) {
      const size = bytes.byteLength + PART_OVERHEAD_BYTES;
      if (heldBytes + size > MAX_HELD_BYTES) {
        // Waiting instead could make all of them wait for each other. Later, or elsewhere, there is room.
        const reason = `the streams that run on this worker hold ${MAX_HELD_BYTES} bytes already`;
        throw new PosternError('model_unavailable', reason);
      }
      const key = keyOf(attempt);
      let stream = streams.get(key);
      if (!stream) {
        stream = { attempt, parts: [], next: 0, acked: -1, unackedBytes: 0, heldBytes: 0, told: true, behind: null };
        streams.set(key, stream);
      }
      if (seq !== stream.parts.length) throw new Error(`part ${seq} was put out as number ${stream.parts.length}`);
      stream.parts.push({ contentType, bytes, via: null });
      stream.heldBytes += size;
      heldBytes += size;
      pump(stream);
      if (stream.next === stream.parts.length) return undefined;
      stream.behind ??= Promise.withResolvers<void>();
      return stream.behind.promise;
    },
    acked(attempt, seq) {
      const stream = streams.get(keyOf(attempt));
      if (!stream) return;
      const highest = Math.min(seq, stream.parts.length - 1);
      if (stream.told) {
        // An ack beyond what was sent on this connection would make the sum negative; a gateway gains nothing by it.
        for (let at = stream.acked + 1; at <= highest && at < stream.next; at++) {
          stream.unackedBytes -= stream.parts[at]!.bytes.byteLength;
        }
        stream.acked = Math.max(stream.acked, Math.min(highest, stream.next - 1));
      } else {
        stream.told = true;
        stream.acked = highest;
        stream.next = highest + 1;
      }
      pump(stream);
    },
    restart() {
      connected = true;
      for (const stream of streams.values()) {
        stream.told = false;
        stream.unackedBytes = 0;
        for (const part of stream.parts) part.via = null;
      }
    },
    stop() {
      connected = false;
    },
    lost(connection) {
      for (const stream of streams.values()) {
        for (let seq = stream.acked + 1; seq < stream.next; seq++) {
          if (stream.parts[seq]!.via === connection) sendOne(stream, seq);
        }
      }
    },
    end(attempt) {
      const key = keyOf(attempt);
      const stream = streams.get(key);
      if (!stream) return;
      streams.delete(key);
      heldBytes -= stream.heldBytes;
      stream.behind?.resolve();
    },
  };
}

function keyOf({ job, attempt }: Attempt): string {
  return `${job}/${attempt}`;
}
