/**
 * The receiving half of a connection's streams: puts payloads together, and keeps the windows that the peer may use.
 *
 * Owner of: the incomplete payloads, what is left of each window, and this connection's share of the byte budget.
 * A window is reopened when half of it is used, unless the budget is full: then it is this connection's turn or it
 * waits (see `budget.ts`). Room for a payload grows with what arrives: an announced size alone allocates nothing.
 */
import { PosternError } from '../errors.ts';
import type { ByteBudget, BudgetWaiter } from './budget.ts';
import { MAX_CHUNK_BYTES } from './limits.ts';
import type { Limits } from './limits.ts';
import type { Message } from './messages.ts';

export interface InboundOptions {
  readonly limits: Limits;
  readonly budget: ByteBudget;
  /** True when the peer's stream ids are odd: it is the worker. */
  readonly peerIsOdd: boolean;
  /** Tells the peer that it may send more. */
  grant(stream: number, increment: number): void;
  deliver(message: Message, payload: Buffer): void;
}

interface IncomingStream {
  readonly id: number;
  readonly message: Message;
  readonly bytes: number;
  buffer: Buffer;
  fill: number;
  window: number;
}

/** Up to here a payload gets its whole room at its first byte: one copy. Beyond, the room doubles as it fills. */
const FIRST_ROOM_BYTES = 262_144;
const NO_BYTES = Buffer.alloc(0);

export class Inbound implements BudgetWaiter {
  readonly #options: InboundOptions;
  readonly #budget: ByteBudget;
  /** In the order of their opening: the first is the oldest. */
  readonly #streams = new Map<number, IncomingStream>();
  #lastId = 0;
  #window: number;
  #held = 0;
  #progressMark = 0;
  #received = 0;
  /** Credit may be due that a full budget held back. */
  #withheld = false;
  #closed = false;

  constructor(options: InboundOptions) {
    this.#options = options;
    this.#budget = options.budget;
    this.#window = options.limits.connectionWindowBytes;
  }

  open(id: number, message: Message, bytes: number): void {
    if ((id % 2 === 1) !== this.#options.peerIsOdd) {
      throw new PosternError('protocol_error', `stream ${id} is not one of the peer's`);
    }
    if (id <= this.#lastId) {
      throw new PosternError('protocol_error', `expected a stream id above ${this.#lastId}, got ${id}`);
    }
    if (this.#streams.size >= this.#options.limits.maxStreams) {
      throw new PosternError('flow_control', `more than ${this.#options.limits.maxStreams} streams at once`);
    }
    this.#lastId = id;
    const window = this.#options.limits.streamWindowBytes;
    this.#streams.set(id, { id, message, bytes, buffer: NO_BYTES, fill: 0, window });
    this.#advance(null);
  }

  data(id: number, chunk: Buffer, start: number, end: number, last: boolean): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) throw new PosternError('protocol_error', `data for stream ${id}, which is not open`);
    const bytes = end - start;
    stream.window -= bytes;
    this.#window -= bytes;
    if (stream.window < 0 || this.#window < 0) {
      throw new PosternError('flow_control', `stream ${id} was sent beyond its window`);
    }
    if (stream.fill + bytes > stream.bytes) {
      throw new PosternError('protocol_error', `expected ${stream.bytes} bytes on stream ${id}, got more`);
    }
    append(stream, chunk, start, end);
    this.#received += bytes;
    this.#held += bytes;
    this.#budget.take(bytes);
    if (last !== (stream.fill === stream.bytes)) {
      throw new PosternError(
        'protocol_error',
        `expected ${stream.bytes} bytes on stream ${id}, ended at ${stream.fill}`,
      );
    }
    if (last) this.#complete(stream);
    else this.#advance(stream);
  }

  reset(id: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) throw new PosternError('protocol_error', `reset of stream ${id}, which is not open`);
    const wasOldest = this.#oldest() === stream;
    this.#streams.delete(id);
    this.#giveBack(stream, wasOldest);
  }

  /** There is room again, or it is this connection's turn. */
  onRoom(): void {
    if (this.#closed) return;
    if (this.#budget.full) {
      this.#turn();
      return;
    }
    this.#withheld = false;
    this.#reopenConnection();
    for (const stream of this.#streams.values()) this.#reopenStream(stream);
  }

  /** Called now and then: gives up a turn that brought nothing since the last call. */
  checkTurn(): void {
    if (this.#budget.holds(this) && this.#progressMark === this.#received) {
      this.#budget.leave(this);
      this.#budget.wait(this);
    }
    this.#progressMark = this.#received;
  }

  /** Forgets the incomplete payloads and gives their bytes back. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#streams.clear();
    this.#budget.leave(this);
    this.#budget.release(this.#held);
  }

  #oldest(): IncomingStream | undefined {
    const [oldest] = this.#streams.values();
    return oldest;
  }

  #complete(stream: IncomingStream): void {
    const wasOldest = this.#oldest() === stream;
    this.#streams.delete(stream.id);
    // Given back after delivery, so that an owner that goes on counting these bytes takes them first.
    this.#options.deliver(stream.message, stream.buffer);
    this.#giveBack(stream, wasOldest);
  }

  #giveBack(stream: IncomingStream, wasOldest: boolean): void {
    if (this.#closed) return;
    this.#held -= stream.fill;
    if (wasOldest) this.#budget.leave(this);
    this.#budget.release(stream.fill);
    this.#advance(null);
  }

  /** Reopens what is due after something happened to `stream`, or waits for the budget. */
  #advance(stream: IncomingStream | null): void {
    if (!this.#budget.full) {
      if (this.#withheld) {
        // The holder is not among those whom the budget tells about room: it finds out here.
        this.onRoom();
        return;
      }
      this.#reopenConnection();
      if (stream !== null) this.#reopenStream(stream);
      return;
    }
    this.#withheld = true;
    if (this.#budget.holds(this)) {
      this.#turn();
    } else if (this.#streams.size > 0 || this.#window <= this.#options.limits.connectionWindowBytes / 2) {
      this.#budget.wait(this);
    }
  }

  #reopenConnection(): void {
    const most = this.#options.limits.connectionWindowBytes;
    if (this.#window <= most / 2) this.#grantConnection(most);
  }

  #reopenStream(stream: IncomingStream): void {
    const most = this.#options.limits.streamWindowBytes;
    if (stream.window > most / 2 || stream.bytes - stream.fill <= stream.window) return;
    const increment = most - stream.window;
    stream.window = most;
    this.#options.grant(stream.id, increment);
  }

  #grantConnection(upTo: number): void {
    const increment = upTo - this.#window;
    this.#window = upTo;
    this.#options.grant(0, increment);
  }

  /** The budget is full and it is our turn: just what the oldest stream needs. Other streams may use up what the
   * connection was granted for it; then it is granted again, and they end at their own windows. */
  #turn(): void {
    const stream = this.#oldest();
    if (stream === undefined) {
      // Nothing to finish. Enough for the peer to open a stream, which then waits its turn like any other.
      if (this.#window < MAX_CHUNK_BYTES) this.#grantConnection(MAX_CHUNK_BYTES);
      this.#budget.leave(this);
      return;
    }
    const needed = Math.min(stream.bytes - stream.fill, this.#options.limits.streamWindowBytes);
    if (this.#window <= needed / 2) this.#grantConnection(needed);
    this.#reopenStream(stream);
  }
}

function append(stream: IncomingStream, chunk: Buffer, start: number, end: number): void {
  const fill = stream.fill + (end - start);
  if (stream.buffer.length < fill) {
    const room = Math.min(stream.bytes, Math.max(FIRST_ROOM_BYTES, 2 * fill));
    const grown = Buffer.allocUnsafeSlow(room);
    stream.buffer.copy(grown, 0, 0, stream.fill);
    stream.buffer = grown;
  }
  chunk.copy(stream.buffer, stream.fill, start, end);
  stream.fill = fill;
}
