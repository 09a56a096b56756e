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
/** A stream that its reader has paused is looked at again so late. */
const PAUSED_LOOK_MS = 1_000;

export class Pass implements CallerEvents {
  readonly #exchange: ServiceExchange;
  readonly #options: PassOptions;
  #request: ClientRequest | null = null;
  #response: IncomingMessage | null = null;
  /** The head is held back for the rest of this turn, for what comes with it. */
  #head: IncomingMessage | null = null;
  #first: Buffer | null = null;
  /** One for all that is waited for. It is set anew only when it fires too early: a timer for each step would cost more than the step. */
  #timer: Timer | null = null;
  #timerAt = 0;
  #deadlineAt = 0;
  #late: () => void = () => undefined;
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
    const { connectTimeoutMs, rule } = this.#options;
    this.#exchange.listen(this);
    if (!this.#fits(body.byteLength)) return;
    const request = this.#options.request(this.#onResponse);
    this.#request = request;
    request.on('error', this.#onError);
    request.once('socket', (socket) => {
      if (!socket.connecting) this.#connected();
      else socket.once('connect', () => this.#connected());
    });
    this.#expect(connectTimeoutMs, this.#notReached);
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
    this.#expect(this.#options.rule.responseTimeoutMs, this.#notAnswered);
  }

  readonly #onResponse = (response: IncomingMessage): void => {
    if (this.#isOver) {
      response.destroy();
      return;
    }
    this.#response = response;
    this.#head = response;
    this.#expect(this.#options.idleTimeoutMs, this.#silent);
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
    this.#expect(this.#options.idleTimeoutMs, this.#silent);
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

  /** What comes next, and what becomes of the exchange when it does not. */
  #expect(delayMs: number, late: () => void): void {
    const now = this.#options.clock.monotonic();
    this.#late = late;
    this.#deadlineAt = now + delayMs;
    if (this.#timer === null || this.#deadlineAt < this.#timerAt) this.#setTimer(delayMs);
  }

  #setTimer(delayMs: number): void {
    const { clock } = this.#options;
    this.#timer?.cancel();
    this.#timerAt = clock.monotonic() + delayMs;
    this.#timer = clock.after(delayMs, this.#look);
  }

  readonly #look = (): void => {
    const leftMs = this.#deadlineAt - this.#options.clock.monotonic();
    if (leftMs > 0) this.#setTimer(leftMs);
    else this.#late();
  };

  readonly #notReached = (): void => {
    const reason = `The service could not be reached within ${this.#options.connectTimeoutMs} ms.`;
    this.#fail(new PosternError('service_failed', reason), true);
  };

  readonly #notAnswered = (): void => {
    const reason = `The service did not answer within ${this.#options.rule.responseTimeoutMs} ms.`;
    this.#fail(new PosternError('model_timeout', reason), false);
  };

  readonly #silent = (): void => {
    // A caller that does not read is not the service's fault.
    if (this.#response?.isPaused()) {
      this.#timer = null;
      this.#expect(PAUSED_LOOK_MS, this.#silent);
      return;
    }
    const reason = `The service said nothing for ${this.#options.idleTimeoutMs} ms.`;
    this.#fail(new PosternError('model_timeout', reason), false);
  };

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
