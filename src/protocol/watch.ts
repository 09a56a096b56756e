/**
 * The deadlines of a connection: a ping every `pingMs`, the end after `deadMs` without a byte from the peer, and after
 * WRITE_STALL_MS in which the socket took nothing of what was written. Three timers in all, whatever the traffic: a
 * timer that fires too early looks at the time of the last progress and sets itself anew.
 *
 * A process that was itself held up (stopped, swapped out, asleep) finds its timers due before it has read what was
 * waiting in the socket; so a verdict is spoken only one turn of the event loop later, after a look into the socket.
 */
import { PosternError } from '../errors.ts';
import type { Clock, Timer } from '../clock.ts';
import { WRITE_STALL_MS } from './limits.ts';

export interface WatchOptions {
  readonly clock: Clock;
  /** Sends a ping with this nonce. */
  ping(nonce: number): void;
  /** Every `pingMs`, besides the ping. */
  onTick(): void;
  fail(error: PosternError): void;
}

export class Watch {
  readonly #options: WatchOptions;
  readonly #clock: Clock;
  #pings: Timer | null = null;
  #deadTimer: Timer | null = null;
  #stallTimer: Timer | null = null;
  #heardAt: number;
  #progressAt = 0;
  #writes = 0;
  #nonce = 0;
  #pingedAt = 0;
  #stopped = false;
  roundTripMs: number | null = null;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#heardAt = this.#clock.monotonic();
  }

  get heardAt(): number {
    return this.#heardAt;
  }

  /** Starts the pings; the first goes out at once, so that a round trip is known early. */
  start(pingMs: number, deadMs: number): void {
    if (this.#stopped) return;
    this.#pings = this.#clock.every(pingMs, () => {
      this.#ping();
      this.#options.onTick();
    });
    this.#watchDead(deadMs, deadMs);
    this.#ping();
  }

  /** A chunk came. */
  heard(): void {
    this.#heardAt = this.#clock.monotonic();
  }

  pong(nonce: number): void {
    if (nonce === this.#nonce && this.#pingedAt > 0) this.roundTripMs = this.#clock.monotonic() - this.#pingedAt;
  }

  writeBegun(): void {
    if (this.#writes++ === 0) this.#progressAt = this.#clock.monotonic();
    if (this.#stallTimer === null && !this.#stopped) this.#watchStall(WRITE_STALL_MS);
  }

  writeDone(): void {
    this.#writes--;
    this.#progressAt = this.#clock.monotonic();
  }

  stop(): void {
    this.#stopped = true;
    this.#pings?.cancel();
    this.#deadTimer?.cancel();
    this.#stallTimer?.cancel();
  }

  #ping(): void {
    this.#nonce++;
    this.#pingedAt = this.#clock.monotonic();
    this.#options.ping(this.#nonce);
  }

  #watchDead(deadMs: number, delayMs: number): void {
    this.#deadTimer = this.#clock.after(delayMs, () => {
      if (this.#silentMs() < deadMs) {
        this.#watchDead(deadMs, deadMs - this.#silentMs());
        return;
      }
      setImmediate(() => {
        if (this.#stopped) return;
        if (this.#silentMs() < deadMs) this.#watchDead(deadMs, deadMs - this.#silentMs());
        else this.#options.fail(new PosternError('peer_dead', `heard nothing for ${deadMs} ms`));
      });
    });
  }

  #watchStall(delayMs: number): void {
    this.#stallTimer = this.#clock.after(delayMs, () => {
      setImmediate(() => {
        this.#stallTimer = null;
        if (this.#stopped || this.#writes === 0) return;
        const left = WRITE_STALL_MS - (this.#clock.monotonic() - this.#progressAt);
        if (left > 0) this.#watchStall(left);
        else this.#options.fail(new PosternError('write_stalled', `the peer took nothing for ${WRITE_STALL_MS} ms`));
      });
    });
  }

  #silentMs(): number {
    return this.#clock.monotonic() - this.#heardAt;
  }
}
