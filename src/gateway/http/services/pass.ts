/**
 * One request passed through to a service of a worker, and its answer passed back as it comes. Neither body is kept: each
 * waits for its reader, and a caller that leaves ends the work.
 */
import type { ServerResponse } from 'node:http';
import type { PosternError } from '../../../errors.ts';
import { requestHeaders } from '../../../protocol/http-headers.ts';
import type { Exchange, ExchangeEvents, Seat, ServiceRequest, ServiceResponse, Services } from '../../ports.ts';
import { CallerGone } from '../body.ts';
import type { Forwarder } from '../forward.ts';
import { leaving } from '../predictions.ts';
import type { Answer, Call, StreamAnswer } from '../route.ts';

export interface Passing {
  readonly service: string;
  /** With the query. */
  readonly path: string;
  /** The body, or its begin; null: it is streamed from the request. */
  readonly body: Uint8Array | null;
}

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']);
/** Workers that are asked for one request. */
const MAX_WORKERS = 3;
const NO_BYTES = new Uint8Array(0);
/** What a service answers is a stranger's: under the gateway's name its pages are nobody, and see no session of the owner. */
const STRANGER = [
  'content-security-policy',
  'sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts',
  'x-content-type-options',
  'nosniff',
];

export interface Ways {
  readonly services: Services;
  readonly forwarder: Forwarder;
}

export async function passThrough(call: Call, ways: Ways, passing: Passing): Promise<Answer | StreamAnswer> {
  const { services, forwarder } = ways;
  const { request, response, caller, access } = call;
  const { service, path, body } = passing;
  const method = request.method ?? 'GET';
  const room = services.room(service);
  if (room !== 'free') {
    const passed = { model: service, body, repeatable: IDEMPOTENT.has(method) };
    const elsewhere = await forwarder.instead(call, { version: null, room }, passed);
    if (elsewhere !== null) return elsewhere;
  }
  const message: ServiceRequest = {
    method,
    path,
    headers: requestHeaders(request.rawHeaders, services.report(service).service?.headers),
    body: body ?? NO_BYTES,
    more: body === null,
  };
  const refused = new Set<string>();
  let failure: unknown = null;
  for (;;) {
    let seat: Seat;
    try {
      const place = { service, caller, maxOpen: access.maxUndecidedJobs, refused, leaving: () => leaving(response) };
      const found = services.seat(place);
      seat = found instanceof Promise ? await found : found;
    } catch (error) {
      if (response.destroyed) throw new CallerGone('the caller left while its request waited');
      // Of two reasons the first one tells more: that no other worker is left is its consequence.
      throw failure ?? error;
    }
    if (response.destroyed) {
      seat.leave();
      throw new CallerGone('the caller left while its request waited');
    }
    const passage = new Passage(call, seat, message);
    try {
      return await passage.answered;
    } catch (error) {
      if (response.destroyed) throw new CallerGone('the caller left before it was answered');
      if (!passage.unsent || !IDEMPOTENT.has(method) || message.more || refused.size + 1 >= MAX_WORKERS) throw error;
      failure = error;
      refused.add(seat.worker);
    }
  }
}

class Passage implements ExchangeEvents {
  readonly answered: Promise<Answer | StreamAnswer>;
  unsent = false;
  readonly #call: Call;
  readonly #exchange: Exchange;
  readonly #settle: PromiseWithResolvers<Answer | StreamAnswer>;
  /** Pieces that came before the writer was ready: at most what one read of the link brought. */
  #early: Buffer[] = [];
  #writer: ServerResponse | null = null;
  #untakenBytes = 0;
  #finish: (() => void) | null = null;
  #state: 'open' | 'complete' | 'broken' = 'open';

  constructor(call: Call, seat: Seat, message: ServiceRequest) {
    this.#call = call;
    this.#settle = Promise.withResolvers();
    this.answered = this.#settle.promise;
    this.#exchange = seat.open(message, this);
    call.response.once('close', this.#onClose);
    // A model may think for minutes: a connection that stands still is dead only where the caller does not read.
    call.response.on('timeout', () => {
      if (call.response.writableNeedDrain) call.response.destroy();
    });
    if (message.more) this.#sendBody();
  }

  #sendBody(): void {
    const { request } = this.#call;
    request.on('data', (chunk: Buffer) => {
      if (!this.#exchange.write(chunk)) request.pause();
    });
    request.on('end', () => this.#exchange.end());
  }

  readonly onRoom = (): void => {
    this.#call.request.resume();
  };

  readonly onResponse = ({ status, headers, body, more }: ServiceResponse): void => {
    if (!more) {
      this.#state = 'complete';
      // What is left of the request's body is not wanted: it flows into nothing.
      this.#call.request.resume();
      if (this.#call.request.method !== 'HEAD') {
        this.#settle.resolve({ status, headers: [...withoutLength(headers), ...STRANGER], body });
        return;
      }
    }
    this.#early.push(body);
    this.#settle.resolve({
      status,
      headers: [...headers, ...STRANGER],
      stream: (response) => this.#stream(response),
      abandon: () => this.#exchange.abort(),
    });
  };

  readonly onBody = (bytes: Buffer, more: boolean): void => {
    if (!more) {
      this.#state = 'complete';
      this.#call.request.resume();
    }
    if (this.#writer === null) this.#early.push(bytes);
    else this.#write(this.#writer, bytes);
    if (!more) this.#finish?.();
  };

  readonly onAbort = (error: PosternError, unsent: boolean): void => {
    this.#state = 'broken';
    this.unsent = unsent;
    this.#settle.reject(error);
    // The head is out: the only way to say that the rest is missing is to cut the connection.
    if (this.#writer !== null) {
      this.#writer.destroy();
      this.#finish?.();
    }
  };

  #stream(response: ServerResponse): Promise<void> {
    this.#writer = response;
    response.on('drain', this.#took);
    for (const bytes of this.#early) this.#write(response, bytes);
    this.#early = [];
    if (this.#state === 'broken') response.destroy();
    if (this.#state !== 'open' || response.destroyed) return Promise.resolve();
    return new Promise((resolve) => (this.#finish = resolve));
  }

  #write(response: ServerResponse, bytes: Buffer): void {
    if (bytes.byteLength === 0 || response.destroyed) return;
    this.#untakenBytes += bytes.byteLength;
    if (response.write(bytes)) this.#took();
  }

  readonly #took = (): void => {
    if (this.#untakenBytes === 0) return;
    const bytes = this.#untakenBytes;
    this.#untakenBytes = 0;
    this.#exchange.took(bytes);
  };

  /** After every answer, also a complete one: an abort of what is over does nothing. */
  readonly #onClose = (): void => {
    if (this.#state !== 'open') return;
    this.#state = 'broken';
    this.#exchange.abort();
    this.#settle.reject(new CallerGone('the caller left'));
    this.#finish?.();
  };
}

function withoutLength(headers: readonly string[]): string[] {
  const kept: string[] = [];
  for (let index = 0; index + 1 < headers.length; index += 2) {
    if (headers[index] !== 'content-length') kept.push(headers[index]!, headers[index + 1]!);
  }
  return kept;
}
