/**
 * The HTTP exchanges that the gateway has passed to this worker: each is bound to the connection that brought it, and ends
 * with it. Owner of: which are open, and of the row of credit that each of them takes.
 */
import { PosternError } from '../errors.ts';
import type { Connection } from '../protocol/connection.ts';
import { ReceivedBody, SentBody } from '../protocol/exchange-body.ts';
import { responseHeaders } from '../protocol/http-headers.ts';
import type { Message, MessageOf } from '../protocol/messages.ts';
import type { IncomingExchange } from './ports.ts';
import type { CallerEvents } from './runner.ts';

export interface ExchangesOptions {
  /** One row of credit; false: it was not granted. */
  readonly take: (model: string, version: string) => boolean;
  /** It is free again. */
  readonly release: (model: string, version: string) => void;
  readonly onRequest: (exchange: IncomingExchange) => void;
}

export interface Exchanges {
  readonly count: number;
  /** False: the message is none of an exchange. Throws what the gateway did wrong. */
  onMessage(connection: Connection, message: Message, payload: Buffer): boolean;
  /** The connection is gone, and its exchanges with it; null: all are. */
  lost(connection: Connection | null): void;
}

type Request = MessageOf<'request'>;

export function createExchanges(options: ExchangesOptions): Exchanges {
  const open = new Map<number, OpenExchange>();

  function begin(connection: Connection, message: Request, payload: Buffer): void {
    const { model, version } = message;
    if (!options.take(model, version)) {
      throw new PosternError('flow_control', `a request for ${model}@${version} came beyond the granted credit`);
    }
    const exchange = new OpenExchange(connection, message, payload, () => {
      open.delete(message.exchange);
      options.release(model, version);
    });
    open.set(message.exchange, exchange);
    options.onRequest(exchange);
  }

  return {
    get count() {
      return open.size;
    },
    onMessage(connection, message, payload) {
      switch (message.type) {
        case 'request':
          begin(connection, message, payload);
          return true;
        case 'body':
          open.get(message.exchange)?.onBody(payload, message.more);
          return true;
        case 'taken':
          open.get(message.exchange)?.onTaken(message.count);
          return true;
        case 'abort':
          open.get(message.exchange)?.aborted();
          return true;
        default:
          return false;
      }
    },
    lost(connection) {
      for (const exchange of open.values()) {
        if (connection === null || exchange.connection === connection) exchange.aborted();
      }
    },
  };
}

class OpenExchange implements IncomingExchange {
  readonly connection: Connection;
  readonly model: string;
  readonly version: string;
  readonly method: string;
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: Uint8Array;
  readonly more: boolean;
  readonly #number: number;
  readonly #received: ReceivedBody;
  readonly #sent: SentBody;
  readonly #onOver: () => void;
  #events: CallerEvents | null = null;
  #isOver = false;

  constructor(connection: Connection, message: Request, payload: Buffer, onOver: () => void) {
    this.connection = connection;
    this.model = message.model;
    this.version = message.version;
    this.method = message.method;
    this.path = message.path;
    this.headers = message.headers;
    this.body = payload;
    this.more = message.more;
    this.#number = message.exchange;
    this.#onOver = onOver;
    this.#received = new ReceivedBody(connection, message.exchange);
    this.#received.arrived(payload.byteLength, message.more);
    this.#sent = new SentBody(connection, message.exchange);
    this.#sent.onRoom = () => {
      this.#events?.onRoom();
      this.#checkEnd();
    };
  }

  listen(events: CallerEvents): void {
    this.#events = events;
  }

  took(bytes: number): void {
    if (!this.#isOver) this.#received.take(bytes);
  }

  respond(status: number, headers: readonly string[], body: Uint8Array, more: boolean): void {
    if (this.#isOver) return;
    const first = this.#sent.first(body);
    const isAll = first.byteLength === body.byteLength;
    this.connection.send(
      {
        type: 'response',
        exchange: this.#number,
        status,
        headers: responseHeaders(headers),
        more: more || !isAll,
        bytes: first.byteLength,
      },
      first,
    );
    if (isAll && !more) {
      this.#over();
      return;
    }
    if (!isAll) this.#sent.write(body.subarray(first.byteLength));
    if (!more) this.end();
  }

  write(bytes: Uint8Array): boolean {
    return this.#isOver || this.#sent.write(bytes);
  }

  end(): void {
    if (this.#isOver) return;
    this.#sent.end();
    this.#checkEnd();
  }

  fail(error: PosternError, unsent: boolean): void {
    if (this.#isOver) return;
    const { code, message } = error;
    this.connection.send({
      type: 'abort',
      exchange: this.#number,
      code,
      message: message.slice(0, 2_000),
      ...(unsent ? { unsent } : {}),
    });
    this.#over();
  }

  // ---- what the gateway says ---------------------------------------------------------------------------------------

  onBody(bytes: Buffer, more: boolean): void {
    this.#received.arrived(bytes.byteLength, more);
    if (bytes.byteLength > 0) this.#events?.onPiece(bytes);
    if (!more) this.#events?.onEnd();
  }

  onTaken(count: number): void {
    this.#sent.taken(count);
    this.#checkEnd();
  }

  aborted(): void {
    if (this.#isOver) return;
    this.#over();
    this.#events?.onAbort();
  }

  #checkEnd(): void {
    if (this.#sent.ended) this.#over();
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onOver();
  }
}
