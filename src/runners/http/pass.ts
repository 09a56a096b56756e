/**
 * One exchange with the local server. The first part of a short answer leaves together with its head: what one read of the
 * socket brought is one message.
 */
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Clock, Timer } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { CallerEvents, ServiceExchange } from '../../worker/runner.ts';
import type { PathRule } from './rules.ts';

export interface PassOptions {
  readonly clock: Clock;
  readonly rule: PathRule;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly request: (onResponse: (response: IncomingMessage) => void) => ClientRequest;
  readonly onOver: () => void;
}

const NO_BYTES = new Uint8Array(0);
/** Node joins a head and a text to one write; as Latin-1 every byte comes out as it was. With the head below libuv's 16 KiB. */
const MERGED_BYTES = 15 * 1024;

export class Pass implements CallerEvents {
  readonly #exchange: ServiceExchange;
  readonly #options: PassOptions;
  #request: ClientRequest | null = null;
  #response: IncomingMessage | null = null;
  /** The head is held back for the rest of this turn, for what comes with it. */
  #head: IncomingMessage | null = null;
  #first: Buffer | null = null;
  #timer: Timer | null = null;
  #bodyBytes = 0;
  #untakenBytes = 0;
  #isConnected = false;
  #isOver = false;

  constructor(exchange: ServiceExchange, options: PassOptions) {
    this.#exchange = exchange;
    this.#options = options;
  }

  begin(): void {
    const { body, more } = this.#exchange;
    const { connectTimeoutMs, rule, clock } = this.#options;
    this.#exchange.listen(this);
    if (!this.#fits(body.byteLength)) return;
    const request = this.#options.request(this.#onResponse);
    this.#request = request;
    request.on('error', this.#onError);
    request.once('socket', (socket) => {
      if (!socket.connecting) this.#connected();
      else socket.once('connect', () => this.#connected());
    });
    this.#timer = clock.after(connectTimeoutMs, () =>
      this.#fail(
        new PosternError('service_failed', `The service could not be reached within ${connectTimeoutMs} ms.`),
        true,
      ),
    );
    if (rule.responseTimeoutMs < connectTimeoutMs) this.#connected();
    if (more) {
      request.on('drain', this.#took);
      if (body.byteLength > 0) this.onPiece(body);
      else request.flushHeaders();
    } else if (body.byteLength === 0) request.end();
    else if (body.byteLength > MERGED_BYTES) request.end(body);
    else request.end(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1'), 'latin1');
  }

  /** The worker stops. */
  abandon(error: PosternError): void {
    this.#fail(error, !this.#isConnected);
  }

  // ---- what the caller does ----------------------------------------------------------------------------------------

  onPiece(bytes: Uint8Array): void {
    if (this.#isOver || !this.#request || !this.#fits(bytes.byteLength)) return;
    this.#untakenBytes += bytes.byteLength;
    if (this.#request.write(bytes)) this.#took();
  }

  onEnd(): void {
    this.#request?.end();
  }

  onRoom(): void {
    this.#response?.resume();
  }

  onAbort(): void {
    this.#over();
    this.#request?.destroy();
  }

  // ---- what the server does ----------------------------------------------------------------------------------------

  #connected(): void {
    if (this.#isConnected || this.#isOver) return;
    this.#isConnected = true;
    const { responseTimeoutMs } = this.#options.rule;
    this.#await(responseTimeoutMs, `The service did not answer within ${responseTimeoutMs} ms.`);
  }

  readonly #onResponse = (response: IncomingMessage): void => {
    if (this.#isOver) {
      response.destroy();
      return;
    }
    this.#response = response;
    this.#head = response;
    this.#awaitMore();
    response.on('data', this.#onData);
    response.on('end', this.#onEnd);
    response.on('error', this.#onError);
    response.on('aborted', () => this.#onError(new Error('it closed the connection in the middle of its answer')));
    // After what the stream itself does with this read: its data comes in the next tick, its end in the one after that.
    process.nextTick(() => process.nextTick(this.#sendHead, true));
  };

  readonly #onData = (chunk: Buffer): void => {
    if (this.#isOver) return;
    if (this.#head !== null && this.#first === null) {
      this.#first = chunk;
      return;
    }
    this.#sendHead(true);
    this.#awaitMore();
    if (!this.#exchange.write(chunk)) this.#response?.pause();
  };

  readonly #onEnd = (): void => {
    if (this.#isOver) return;
    if (this.#head !== null) this.#sendHead(false);
    else this.#exchange.end();
    this.#over();
  };

  readonly #sendHead = (more: boolean): void => {
    const head = this.#head;
    if (head === null || this.#isOver) return;
    this.#head = null;
    this.#exchange.respond(head.statusCode ?? 502, head.rawHeaders, this.#first ?? NO_BYTES, more);
    this.#first = null;
  };

  readonly #onError = (error: Error): void => {
    const reason = `The service broke off: ${error.message}`;
    this.#fail(new PosternError('service_failed', reason, { cause: error }), !this.#isConnected);
  };

  // ---- bounds ------------------------------------------------------------------------------------------------------

  #fits(bytes: number): boolean {
    const { maxBodyBytes } = this.#options.rule;
    this.#bodyBytes += bytes;
    if (this.#bodyBytes <= maxBodyBytes) return true;
    this.#fail(new PosternError('body_too_large', `The service takes bodies of at most ${maxBodyBytes} bytes.`), false);
    return false;
  }

  /** A stream that goes on moves its deadline; a timer for each piece would cost more than the piece. */
  #deadlineAt = 0;

  #awaitMore(): void {
    const { clock, idleTimeoutMs } = this.#options;
    this.#deadlineAt = clock.monotonic() + idleTimeoutMs;
    if (this.#isIdleTimed) return;
    this.#isIdleTimed = true;
    this.#timer?.cancel();
    this.#timer = clock.after(idleTimeoutMs, this.#checkIdle);
  }

  #isIdleTimed = false;

  readonly #checkIdle = (): void => {
    const { clock, idleTimeoutMs } = this.#options;
    const leftMs = this.#deadlineAt - clock.monotonic();
    // A caller that does not read is not the service's fault.
    if (leftMs > 0 || this.#response?.isPaused()) {
      this.#timer = clock.after(Math.max(leftMs, 1_000), this.#checkIdle);
      return;
    }
    this.#fail(new PosternError('model_timeout', `The service said nothing for ${idleTimeoutMs} ms.`), false);
  };

  #await(delayMs: number, message: string): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(delayMs, () =>
      this.#fail(new PosternError('model_timeout', message), false),
    );
  }

  readonly #took = (): void => {
    if (this.#untakenBytes === 0) return;
    this.#exchange.took(this.#untakenBytes);
    this.#untakenBytes = 0;
  };

  #fail(error: PosternError, unsent: boolean): void {
    if (this.#isOver) return;
    this.#over();
    this.#exchange.fail(error, unsent);
    this.#request?.destroy();
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer?.cancel();
    this.#options.onOver();
  }
}
