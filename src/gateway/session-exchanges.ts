/**
 * The HTTP exchanges of one session, at the gateway's end. Each is bound to the connection that its request went out on, and
 * ends with it. Owner of their numbers and of which are open.
 */
import { isErrorCode, PosternError } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';
import type { Connection } from '../protocol/connection.ts';
import { ReceivedBody, SentBody } from '../protocol/exchange-body.ts';
import type { Message } from '../protocol/messages.ts';
import type { Exchange, ExchangeEvents, ExchangeTarget, ServiceRequest } from './ports.ts';

/** What a worker may say of an exchange. */
const WORKER_CODES: ReadonlySet<string> = new Set<ErrorCode>([
  'bad_request',
  'not_found',
  'method_not_allowed',
  'body_too_large',
  'model_unavailable',
  'model_timeout',
  'service_failed',
  'draining',
]);

export class SessionExchanges {
  readonly #open = new Map<number, OpenExchange>();
  #next = 1;

  get count(): number {
    return this.#open.size;
  }

  /** `onOver` is called once, at every end, before `events` learn of it. */
  open(
    connection: Connection,
    of: ExchangeTarget,
    request: ServiceRequest,
    events: ExchangeEvents,
    onOver: () => void,
  ): Exchange {
    const number = this.#next++;
    const exchange = new OpenExchange(connection, number, events, () => {
      this.#open.delete(number);
      onOver();
    });
    this.#open.set(number, exchange);
    exchange.begin(of, request);
    return exchange;
  }

  /** False: the message is none of an exchange. Throws what the worker did wrong. */
  onMessage(message: Message, payload: Buffer): boolean {
    switch (message.type) {
      case 'response':
        this.#open.get(message.exchange)?.onResponse(message.status, message.headers, payload, message.more);
        return true;
      case 'body':
        this.#open.get(message.exchange)?.onBody(payload, message.more);
        return true;
      case 'taken':
        this.#open.get(message.exchange)?.onTaken(message.count);
        return true;
      case 'abort': {
        const known = isErrorCode(message.code) && WORKER_CODES.has(message.code) ? message.code : 'service_failed';
        this.#open.get(message.exchange)?.onAbort(new PosternError(known, message.message), message.unsent === true);
        return true;
      }
      default:
        return false;
    }
  }

  /** The connection is gone; null: all of them are. */
  lost(connection: Connection | null): void {
    for (const exchange of this.#open.values()) {
      if (connection !== null && exchange.connection !== connection) continue;
      exchange.onAbort(
        new PosternError('worker_lost', 'The link to the worker was lost before it had answered.'),
        false,
      );
    }
  }
}

class OpenExchange implements Exchange {
  readonly connection: Connection;
  readonly #number: number;
  readonly #events: ExchangeEvents;
  readonly #onOver: () => void;
  readonly #sent: SentBody;
  readonly #received: ReceivedBody;
  #hasResponse = false;
  #isOver = false;

  constructor(connection: Connection, number: number, events: ExchangeEvents, onOver: () => void) {
    this.connection = connection;
    this.#number = number;
    this.#events = events;
    this.#onOver = onOver;
    this.#sent = new SentBody(connection, number);
    this.#received = new ReceivedBody(connection, number);
    this.#sent.onRoom = () => this.#events.onRoom();
  }

  begin({ model, version }: ExchangeTarget, { method, path, headers, body, more }: ServiceRequest): void {
    const first = this.#sent.first(body);
    const isAll = first.byteLength === body.byteLength;
    this.connection.send(
      {
        type: 'request',
        exchange: this.#number,
        model,
        version,
        method,
        path,
        headers: [...headers],
        more: more || !isAll,
        bytes: first.byteLength,
      },
      first,
    );
    if (isAll) return;
    this.#sent.write(body.subarray(first.byteLength));
    if (!more) this.#sent.end();
  }

  write(bytes: Uint8Array): boolean {
    return this.#isOver || this.#sent.write(bytes);
  }

  end(): void {
    if (!this.#isOver) this.#sent.end();
  }

  took(bytes: number): void {
    if (!this.#isOver) this.#received.take(bytes);
  }

  abort(): void {
    if (this.#isOver) return;
    this.#over();
    this.connection.send({ type: 'abort', exchange: this.#number, code: 'canceled', message: 'the caller left' });
  }

  // ---- what the worker says ----------------------------------------------------------------------------------------

  onResponse(status: number, headers: readonly string[], bytes: Buffer, more: boolean): void {
    if (this.#hasResponse) throw new PosternError('protocol_error', `exchange ${this.#number} was answered twice`);
    this.#hasResponse = true;
    this.#received.arrived(bytes.byteLength, more);
    if (!more) this.#over();
    this.#events.onResponse({ status, headers, body: bytes, more });
  }

  onBody(bytes: Buffer, more: boolean): void {
    if (!this.#hasResponse)
      throw new PosternError('protocol_error', `exchange ${this.#number}: a body came before its head`);
    this.#received.arrived(bytes.byteLength, more);
    if (!more) this.#over();
    this.#events.onBody(bytes, more);
  }

  onTaken(count: number): void {
    this.#sent.taken(count);
  }

  onAbort(error: PosternError, unsent: boolean): void {
    if (this.#isOver) return;
    this.#over();
    this.#events.onAbort(error, unsent && !this.#hasResponse);
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onOver();
  }
}
