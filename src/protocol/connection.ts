/**
 * One connection of `postern/1`, over any byte stream: frames in and out, payloads assembled, windows kept. It knows
 * nothing of sessions, jobs or sockets; the owner gives it a Duplex whose peer is already authenticated.
 *
 * State: open → closing → closed. `closing` is after the owner's `close`: nothing more is delivered, what is queued is
 * flushed, and a `close` message ends it. Every other end goes straight to closed, where a last `close` message is
 * tried when the peer is at fault. After that nothing is sent or delivered.
 *
 * Who is who: the side that speaks first (`hello`; `join` or `renew` to enrol) is the worker. It opens odd streams, the gateway even ones, and a message
 * that the other side may not send is an error.
 *
 * Owner of: the decoder, `Outbound` (the queue), `Inbound` (incomplete payloads, receive windows), `Watch` (deadlines).
 */
import type { Duplex } from 'node:stream';
import { isErrorCode, PosternError, toPosternError } from '../errors.ts';
import type { Clock, Timer } from '../clock.ts';
import { createByteBudget } from './budget.ts';
import type { ByteBudget } from './budget.ts';
import { keepPayload, readEnvelope } from './envelope.ts';
import { FLAG_INLINE, FLAG_STREAMED, FRAME_MESSAGE, FrameDecoder, windowFrame, writeHeader } from './frames.ts';
import type { FrameSink } from './frames.ts';
import { minLimits } from './hello.ts';
import { Inbound } from './inbound.ts';
import { CLOSE_FLUSH_MS, HEADER_BYTES, HELLO_TIMEOUT_MS } from './limits.ts';
import type { Limits } from './limits.ts';
import type { Message } from './messages.ts';
import { Outbound } from './outbound.ts';
import { DIRECTIONS, payloadBytes } from './parse.ts';
import { Watch } from './watch.ts';

export type { ByteBudget } from './budget.ts';

export interface ConnectionHandlers {
  /**
   * A whole message; `payload` is complete (and empty for a message without one) and is not touched again; it may be a view
   * into a larger buffer that it shares with others, so copy it before transferring it to a thread. Pings,
   * pongs and closes are the connection's own and are not shown. A message may overtake an earlier one whose large
   * payload is still on its way. Never called after onClose. A throw closes the connection with `internal`.
   */
  onMessage(message: Message, payload: Buffer): void;
  /** Called once, whoever closed and however. `error` is null after an orderly close by the owner. */
  onClose(error: PosternError | null): void;
}

export interface ConnectionOptions {
  readonly clock: Clock;
  /** What this side accepts. */
  readonly limits: Limits;
  readonly handlers: ConnectionHandlers;
  /** Shared by all connections of the process; without one this connection has its own. */
  readonly budget?: ByteBudget;
}

export interface Connection {
  /**
   * Queues a message; written together with everything else of this turn of the event loop. After close: no-op. The
   * payload must not be changed afterwards. Throws frame_too_large when the JSON is over MAX_MESSAGE_BYTES.
   */
  send(message: Message, payload?: Uint8Array): void;
  /**
   * Up to now one message of 4 KiB was accepted, within 5 s; from now on frames up to the limits, windows, and pings.
   * Both directions use the smaller of both sides' limits. A worker calls it inside the onMessage that brings the
   * welcome, because more may follow in the same chunk; a gateway may take its time, the worker waits for the welcome.
   */
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
  /** When the latest byte came, on the monotonic clock. */
  readonly heardAt: number;
}

export type OpenConnection = (stream: Duplex, options: ConnectionOptions) => Connection;

export const openConnection: OpenConnection = (stream, options) => new WireConnection(stream, options);

const NO_BYTES = Buffer.alloc(0);
/** Of the flush time, the last part is kept for the `close` message itself when payloads are stuck in a window. */
const CLOSE_WORD_MS = 250;
const RESET_BY_CLOSE = 1;
const EARLY_FLUSH_BYTES = 32_768;

class WireConnection implements Connection, FrameSink {
  readonly #stream: Duplex;
  readonly #options: ConnectionOptions;
  readonly #decoder: FrameDecoder;
  readonly #outbound = new Outbound();
  readonly #watch: Watch;
  readonly #helloTimer: Timer;
  #inbound: Inbound | null = null;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #side: 'worker' | 'gateway' = 'gateway';
  #greeted = false;
  #flushing = false;
  /** The `close` message of an orderly close, until it is queued behind everything else. */
  #lastWord: string | null = null;
  #lingerTimer: Timer | null = null;

  constructor(stream: Duplex, options: ConnectionOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#decoder = new FrameDecoder(this);
    this.#watch = new Watch({
      clock: options.clock,
      ping: (nonce) => this.send({ type: 'ping', nonce }),
      onTick: () => this.#inbound?.checkTurn(),
      fail: (error) => this.#fail(error),
    });
    this.#helloTimer = options.clock.after(HELLO_TIMEOUT_MS, () =>
      this.#fail(new PosternError('handshake_timeout', `no session was established within ${HELLO_TIMEOUT_MS} ms`)),
    );
    stream.on('data', this.#onChunk);
    stream.on('drain', this.#pump);
    stream.on('end', this.#onEnd);
    stream.on('error', this.#onError);
    stream.on('close', this.#onEnd);
    stream.once('close', () => this.#lingerTimer?.cancel());
  }

  get closed(): boolean {
    return this.#state !== 'open';
  }

  get queuedBytes(): number {
    return this.#outbound.queuedBytes + this.#stream.writableLength;
  }

  get roundTripMs(): number | null {
    return this.#watch.roundTripMs;
  }

  get heardAt(): number {
    return this.#watch.heardAt;
  }

  send(message: Message, payload?: Uint8Array): void {
    if (this.#state !== 'open') return;
    const expected = payloadBytes(message);
    if (expected !== (payload?.length ?? 0)) {
      throw new PosternError(
        'internal',
        `${message.type} says ${expected} bytes, its payload has ${payload?.length ?? 0}`,
      );
    }
    if (this.#inbound === null && DIRECTIONS[message.type] === 'worker') this.#side = 'worker';
    this.#outbound.pushMessage(JSON.stringify(message), expected === 0 ? null : payload!);
    this.#flushSoon();
  }

  establish(peer: Limits, timers: { pingMs: number; deadMs: number }): void {
    if (this.#state !== 'open' || this.#inbound !== null) return;
    this.#helloTimer.cancel();
    const limits = minLimits(this.#options.limits, peer);
    this.#inbound = new Inbound({
      limits,
      budget: this.#options.budget ?? createByteBudget(),
      peerIsOdd: this.#side === 'gateway',
      grant: (stream, increment) => {
        this.#outbound.pushFrame(windowFrame(stream, increment));
        this.#flushSoon();
      },
      deliver: (message, payload) => this.#deliver(message, payload),
    });
    this.#outbound.establish(limits, this.#side === 'worker');
    this.#decoder.establish();
    this.#watch.start(timers.pingMs, timers.deadMs);
  }

  close(code: string, reason: string): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#lastWord = closeMessage(code, reason);
    this.#helloTimer.cancel();
    this.#lingerTimer = this.#options.clock.after(CLOSE_FLUSH_MS - CLOSE_WORD_MS, () => {
      // What is stuck in a window stays behind, so that the word gets out.
      this.#outbound.dropPayloads(RESET_BY_CLOSE);
      this.#lingerTimer = this.#options.clock.after(CLOSE_WORD_MS, () => this.#stream.destroy());
      this.#pump();
    });
    this.#flushSoon();
  }

  destroy(error?: PosternError): void {
    this.#end(error ?? null);
    this.#stream.destroy();
  }

  // ---- outbound ---------------------------------------------------------------------------------------------------

  /** One write per turn: after all that is ready was read, so that the answers to it leave together. But two full
   * TLS records leave at once: waiting would gain little, and the peer would idle while this side works. */
  #flushSoon(): void {
    if (this.#outbound.messageBytes >= EARLY_FLUSH_BYTES) this.#pump();
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    this.#flushing = false;
    this.#pump();
  };

  readonly #pump = (): void => {
    if (this.#state === 'closed') return;
    const stream = this.#stream;
    try {
      while (!stream.writableNeedDrain && !stream.destroyed) {
        const batch = this.#outbound.nextBatch();
        if (batch === null) break;
        this.#watch.writeBegun();
        this.#write(batch);
      }
    } catch (error) {
      this.#fail(toPosternError(error));
      return;
    }
    if (this.#lastWord !== null && this.#outbound.queuedBytes === 0) {
      this.#outbound.pushMessage(this.#lastWord, null);
      this.#lastWord = null;
      this.#pump();
    } else if (this.#state === 'closing' && this.#lastWord === null && this.#outbound.queuedBytes === 0) {
      stream.end();
    }
  };

  /** Several pieces leave as one write of the socket. */
  #write(pieces: readonly Uint8Array[]): void {
    const stream = this.#stream;
    const last = pieces.length - 1;
    if (last > 0) stream.cork();
    for (let index = 0; index < last; index++) stream.write(pieces[index]);
    stream.write(pieces[last], this.#onWritten);
    if (last > 0) stream.uncork();
  }

  readonly #onWritten = (): void => {
    this.#watch.writeDone();
  };

  // ---- inbound ----------------------------------------------------------------------------------------------------

  readonly #onChunk = (chunk: Buffer): void => {
    if (this.#state === 'closed') return;
    this.#watch.heard();
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      this.#fail(toPosternError(error));
    }
  };

  onMessageFrame(flags: number, stream: number, buffer: Buffer, start: number, end: number): void {
    const { message, payloadStart } = readEnvelope(flags, buffer, start, end, this.#options.limits.maxPayloadBytes);
    if (DIRECTIONS[message.type] === this.#side) {
      throw new PosternError('protocol_error', `a ${message.type} is not for the ${this.#side} to receive`);
    }
    if (flags === FLAG_STREAMED) this.#inbound!.open(stream, message, payloadBytes(message));
    else if (flags === FLAG_INLINE) this.#deliver(message, keepPayload(buffer, payloadStart, end));
    else this.#handle(message);
  }

  onData(stream: number, buffer: Buffer, start: number, end: number, last: boolean): void {
    this.#inbound!.data(stream, buffer, start, end, last);
  }

  onReset(stream: number): void {
    this.#inbound!.reset(stream);
  }

  onWindow(stream: number, increment: number): void {
    this.#outbound.addWindow(stream, increment);
    this.#flushSoon();
  }

  #handle(message: Message): void {
    if (this.#inbound === null) {
      if (this.#greeted && message.type !== 'close') {
        throw new PosternError(
          'protocol_error',
          `expected nothing before the session is established, got ${message.type}`,
        );
      }
      this.#greeted = true;
    }
    if (message.type === 'ping') this.send({ type: 'pong', nonce: message.nonce });
    else if (message.type === 'pong') this.#watch.pong(message.nonce);
    else if (message.type === 'close') this.#peerClosed(message.code, message.message);
    else this.#deliver(message, NO_BYTES);
  }

  #deliver(message: Message, payload: Buffer): void {
    // While closing, windows are still kept, but the owner hears nothing more.
    if (this.#state === 'open') this.#options.handlers.onMessage(message, payload);
  }

  #peerClosed(code: string, reason: string): void {
    const known = isErrorCode(code) ? code : 'connection_lost';
    // Having said why first, the owner's own close is the orderly one.
    this.#end(this.#state === 'closing' ? null : new PosternError(known, `closed by the peer (${code}): ${reason}`));
    this.#stream.destroy();
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  readonly #onEnd = (): void => {
    this.#end(this.#state === 'closing' ? null : new PosternError('connection_lost', 'the peer closed without a word'));
    this.#stream.destroy();
  };

  readonly #onError = (error: Error): void => {
    this.#end(this.#state === 'closing' ? null : new PosternError('connection_lost', error.message, { cause: error }));
    this.#stream.destroy();
  };

  /** Our own verdict on the peer: it is told why, without waiting for anything else. */
  #fail(error: PosternError): void {
    if (this.#state === 'closed') return;
    const stream = this.#stream;
    const tell = !stream.destroyed && !stream.writableNeedDrain;
    this.#end(error);
    if (!tell) {
      stream.destroy();
      return;
    }
    // What went wrong inside is for the log here, not for the peer.
    const reason = error.code === 'internal' ? error.title : error.message;
    this.#outbound.pushMessage(closeMessage(error.code, reason), null);
    for (const piece of this.#outbound.nextBatch() ?? []) stream.write(piece);
    stream.end();
    this.#lingerTimer = this.#options.clock.after(CLOSE_FLUSH_MS, () => stream.destroy());
  }

  #end(error: PosternError | null): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#lingerTimer?.cancel();
    this.#helloTimer.cancel();
    this.#watch.stop();
    this.#decoder.stop();
    this.#outbound.clear();
    this.#inbound?.close();
    this.#options.handlers.onClose(error);
  }
}

/** The bytes of a `close` message, for a peer that is turned away before there is a connection. */
export function closeFrame(code: string, reason: string): Uint8Array {
  const body = Buffer.from(closeMessage(code, reason));
  const frame = Buffer.alloc(HEADER_BYTES + body.byteLength);
  frame.set(body, writeHeader(frame, 0, body.byteLength, FRAME_MESSAGE, 0, 0));
  return frame;
}

function closeMessage(code: string, reason: string): string {
  return JSON.stringify({ type: 'close', code: code.slice(0, 64), message: reason.slice(0, 2_000) });
}
