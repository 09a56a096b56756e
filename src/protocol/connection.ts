/**
 * One connection of `postern/1`, over any byte stream: frames in and out, payloads assembled, windows kept. It knows
 * nothing of sessions, jobs or sockets; the owner gives it a Duplex whose peer is already authenticated.
 *
 * State: open → closed. Whoever closes says why in a `close` message; after that nothing is sent or delivered.
 * Owner of: the decoder, the outbound queue (control before data, data round robin by stream in chunks of at most
 * 64 KiB), the receive windows, and the pings.
 */
import type { Duplex } from 'node:stream';
import type { PosternError } from '../errors.ts';
import type { Clock } from '../clock.ts';
import type { Limits } from './limits.ts';
import type { Message } from './messages.ts';

/** Bytes of payload held in memory by everything that shares the budget; beyond it windows are not reopened. */
export interface ByteBudget {
  readonly limitBytes: number;
  readonly usedBytes: number;
}

export interface ConnectionHandlers {
  /** A whole message; `payload` is complete (and empty for a message without one). Never called after onClose. */
  onMessage(message: Message, payload: Buffer): void;
  /** Called once, whoever closed and however. `error` is null after an orderly close by the owner. */
  onClose(error: PosternError | null): void;
}

export interface ConnectionOptions {
  readonly clock: Clock;
  /** What this side accepts. */
  readonly limits: Limits;
  readonly handlers: ConnectionHandlers;
  readonly budget?: ByteBudget;
}

export interface Connection {
  /** Queues a message; written together with everything else of this turn of the event loop. After close: no-op. */
  send(message: Message, payload?: Uint8Array): void;
  /** Up to now only a hello of 4 KiB was accepted; from now on frames up to the limits, the peer's windows, and pings. */
  establish(peer: Limits, timers: { pingMs: number; deadMs: number }): void;
  /** Says why, flushes what is queued (at most 1 s), and closes. */
  close(code: string, reason: string): void;
  /** Closes at once; onClose still runs, once. */
  destroy(error?: PosternError): void;
  readonly closed: boolean;
  /** Bytes queued and not yet taken by the socket: how an owner picks the least busy connection. */
  readonly queuedBytes: number;
  /** Round trip of the latest ping, milliseconds; null before the first pong. */
  readonly roundTripMs: number | null;
}

export type OpenConnection = (stream: Duplex, options: ConnectionOptions) => Connection;
