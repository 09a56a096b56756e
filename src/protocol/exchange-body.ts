/**
 * One body of an HTTP exchange, in the direction that this side sends, and one in the direction that it receives: cut into
 * pieces, within windows. What an end of an exchange needs beside its messages; whose body it is, is its owner's affair.
 *
 * What is written beyond the window is held until there is room. The writer is told, and stops: so at most one chunk of its
 * source is held.
 */
import { PosternError } from '../errors.ts';
import type { Connection } from './connection.ts';
import { EXCHANGE_WINDOW_BYTES, MAX_INLINE_BYTES } from './limits.ts';

const NO_BYTES = new Uint8Array(0);

export class SentBody {
  readonly #connection: Connection;
  readonly #exchange: number;
  #roomBytes = EXCHANGE_WINDOW_BYTES;
  #held: Uint8Array[] = [];
  #ending = false;
  #ended = false;
  /** Called when everything that was written has left, after a `write` that returned false. */
  onRoom: (() => void) | null = null;

  constructor(connection: Connection, exchange: number) {
    this.#connection = connection;
    this.#exchange = exchange;
  }

  /** Everything is sent, its end too. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The piece that travels with the message which begins the exchange, or answers it. */
  first(bytes: Uint8Array): Uint8Array {
    const piece = bytes.byteLength <= MAX_INLINE_BYTES ? bytes : bytes.subarray(0, MAX_INLINE_BYTES);
    this.#roomBytes -= piece.byteLength;
    return piece;
  }

  /** False: stop writing until `onRoom`. The bytes must not be changed afterwards. */
  write(bytes: Uint8Array): boolean {
    if (bytes.byteLength > 0) this.#held.push(bytes);
    return this.#pump();
  }

  end(): void {
    this.#ending = true;
    this.#pump();
  }

  /** The peer took so many bytes. Throws flow_control when it was never sent so many. */
  taken(count: number): void {
    this.#roomBytes += count;
    if (this.#roomBytes > EXCHANGE_WINDOW_BYTES) {
      throw new PosternError('flow_control', `exchange ${this.#exchange}: more bytes were taken than were sent`);
    }
    if (this.#held.length === 0) return;
    if (this.#pump()) this.onRoom?.();
  }

  #pump(): boolean {
    while (this.#held.length > 0) {
      const head = this.#held[0]!;
      const size = Math.min(head.byteLength, MAX_INLINE_BYTES, this.#roomBytes);
      if (size === 0) return false;
      const isAll = size === head.byteLength;
      if (isAll) this.#held.shift();
      else this.#held[0] = head.subarray(size);
      this.#roomBytes -= size;
      const more = !(this.#ending && this.#held.length === 0);
      this.#send(isAll ? head : head.subarray(0, size), more);
      if (!more) return true;
    }
    if (this.#ending && !this.#ended) this.#send(NO_BYTES, false);
    return true;
  }

  #send(bytes: Uint8Array, more: boolean): void {
    if (this.#ended) return;
    this.#ended = !more;
    this.#connection.send({ type: 'body', exchange: this.#exchange, more, bytes: bytes.byteLength }, bytes);
  }
}

export class ReceivedBody {
  readonly #connection: Connection;
  readonly #exchange: number;
  /** Arrived, and not said to be taken. */
  #openBytes = 0;
  /** Taken by the reader, and not yet said so. */
  #takenBytes = 0;
  #ended = false;

  constructor(connection: Connection, exchange: number) {
    this.#connection = connection;
    this.#exchange = exchange;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Throws when the peer sends beyond the window, or beyond the end. */
  arrived(bytes: number, more: boolean): void {
    if (this.#ended)
      throw new PosternError('protocol_error', `exchange ${this.#exchange}: a body goes on after its end`);
    this.#openBytes += bytes;
    if (this.#openBytes > EXCHANGE_WINDOW_BYTES) {
      throw new PosternError('flow_control', `exchange ${this.#exchange}: a body was sent beyond its window`);
    }
    this.#ended = !more;
  }

  /** The reader has done with so many bytes. Told to the peer when half of the window waits. */
  take(count: number): void {
    this.#takenBytes += count;
    if (this.#ended || this.#takenBytes < EXCHANGE_WINDOW_BYTES / 2) return;
    this.#openBytes -= this.#takenBytes;
    this.#connection.send({ type: 'taken', exchange: this.#exchange, count: this.#takenBytes });
    this.#takenBytes = 0;
  }
}
