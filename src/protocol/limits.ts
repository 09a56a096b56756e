/** Every limit of `postern/1`, in one place. The numbers are the design's (section 3) unless the comment says why. */

export const ALPN = 'postern/1';
/** For one question and its answer, without a session: a first certificate, or the next one when the last has ended. */
export const ENROL_ALPN = 'postern-enrol/1';
export const PROTOCOL_VERSION = 1;

/** length u32, type u8, flags u8, stream id u32; big-endian. */
export const HEADER_BYTES = 10;
/** A DATA frame's body. Small enough that a control frame waits behind at most 64 KiB, about 5 ms at 100 Mbit/s. */
export const MAX_CHUNK_BYTES = 65_536;
/** The JSON part of a message. The largest is a `resume` of 16,384 attempts with UUIDs: 45 bytes each, 720 KiB. */
export const MAX_MESSAGE_BYTES = 1_048_576;
/** A payload up to this size travels in its message's own frame; a larger one as DATA frames behind it. */
export const MAX_INLINE_BYTES = 16_384;
/** json length u32 + JSON + inline payload: the largest body any frame may announce. */
export const MAX_BODY_BYTES = 4 + MAX_MESSAGE_BYTES + MAX_INLINE_BYTES;
/** Before the hello was accepted nothing larger is read. */
export const MAX_HELLO_BYTES = 4_096;
export const HELLO_TIMEOUT_MS = 5_000;

/** Attempts that a `resume` or `keep` lists. */
export const MAX_HELD = 16_384;

export const STREAM_WINDOW_BYTES = 4 * 1024 * 1024;
export const CONNECTION_WINDOW_BYTES = 32 * 1024 * 1024;
export const MAX_STREAMS = 256;
/** Rows that one worker may grant in all; credit arithmetic beyond it is an error, not an overflow. */
export const MAX_CREDIT_ROWS = 1_000_000;
/** That a worker is told of: it has a session with each. */
export const MAX_GATEWAYS = 256;
/** A whole payload, input or output. */
export const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;

/** A part of an output: twice a large photo. */
export const MAX_PARTIAL_BYTES = 8 * 1024 * 1024;
/** Partials of one attempt that the gateway has not acked yet: 1 MiB at a round trip of 100 ms are 10 MB/s. One part may go
 * beyond, so that a large one can go at all. */
export const PARTIAL_WINDOW_BYTES = 1024 * 1024;
export const PARTIAL_WINDOW_COUNT = 1_024;
/** Of one body of an HTTP exchange, sent and not taken: at a round trip of 50 ms 10 MB/s. Of 100 exchanges that stand still on
 * one connection this is 50 MiB, below what may wait there (`MAX_QUEUED_MESSAGE_BYTES`). */
export const EXCHANGE_WINDOW_BYTES = 512 * 1024;

export const PING_MS = 5_000;
export const DEAD_MS = 15_000;
export const WRITE_STALL_MS = 10_000;
/** An orderly close flushes what is queued for at most this long. */
export const CLOSE_FLUSH_MS = 1_000;
/** Messages that wait for a peer which does not read. 64 MiB: what the stall limit lets through at 50 Mbit/s. */
export const MAX_QUEUED_MESSAGE_BYTES = 64 * 1024 * 1024;
export const DRAIN_MS = 30_000;
export const DATA_CONNECTIONS = 3;
export const MAX_CONNECTIONS_PER_SESSION = 8;

export interface Limits {
  readonly maxPayloadBytes: number;
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  readonly maxStreams: number;
}

export const DEFAULT_LIMITS: Limits = {
  maxPayloadBytes: MAX_PAYLOAD_BYTES,
  streamWindowBytes: STREAM_WINDOW_BYTES,
  connectionWindowBytes: CONNECTION_WINDOW_BYTES,
  maxStreams: MAX_STREAMS,
};
