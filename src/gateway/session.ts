/**
 * One session: an authenticated worker, its control connection, and its data connections. It turns messages into
 * {@link SessionEvents} and the engine's calls into messages, and judges neither jobs nor credit: the engine does.
 *
 * State: open → ended, once. It ends when the control connection does (its data connections go with it), when a newer
 * session of the same worker supersedes it, or after a drain. What the worker holds outlives it: a session with the same
 * id and a higher epoch takes over.
 */
import type { Clock, Timer } from '../clock.ts';
import type { Fence, Job, JobId, SessionId } from '../dispatch/job.ts';
import { PosternError, toPosternError } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';
import type { Issued } from '../identity/enrolment.ts';
import type { WorkerIdentity } from '../identity/peer.ts';
import type { Connection } from '../protocol/connection.ts';
import { MAX_INLINE_BYTES } from '../protocol/limits.ts';
import type { Message, MessageOf, WantedVersions } from '../protocol/messages.ts';
import { assignMessage } from './assign-message.ts';
import type { Exchange, ExchangeEvents, ExchangeTarget, ServiceRequest } from './ports.ts';
import type { GatewaySession, SessionEvents } from './worker-ports.ts';
import { SessionExchanges } from './session-exchanges.ts';

/** `ack` carries at most this many attempts. */
const MAX_ACKS_PER_MESSAGE = 1_024;

export interface SessionParts {
  readonly id: SessionId;
  readonly worker: string;
  readonly previous: readonly SessionId[];
  readonly agent: string;
  readonly address: string;
  readonly identity: WorkerIdentity;
  /** Makes the next certificate from a request. */
  readonly renew: (request: string) => Promise<Issued>;
  readonly control: Connection;
  readonly takesDeploy: boolean;
  readonly takesGateways: boolean;
  readonly keeps: boolean;
  /** Bytes that the control connection has received so far: any growth is a sign of life. */
  readonly heardBytes: () => number;
  /** The largest payload that the worker takes. */
  readonly maxPayloadBytes: number;
  readonly events: SessionEvents;
  readonly clock: Clock;
}

/** An attempt on the worker's side, from its assignment until it is acked or confirmed canceled. */
interface InFlight {
  readonly attempt: number;
  /** What to send again if the data connection that carries it dies. null: it went by the control connection. */
  readonly sent: {
    readonly via: Connection;
    readonly job: Job;
    readonly version: string;
    readonly endsAt: number | null;
  } | null;
}

/** The worker's name is part of the id, so that no worker can speak for another one's session. */
export const sessionId = (worker: string, session: string): SessionId => `${worker}/${session}`;

export class Session implements GatewaySession {
  readonly id: SessionId;
  readonly worker: string;
  readonly previous: readonly SessionId[];
  readonly agent: string;
  readonly address: string;
  readonly connectedAt: number;
  readonly #parts: SessionParts;
  readonly #data = new Set<Connection>();
  readonly #inFlight = new Map<JobId, InFlight>();
  readonly #exchanges = new SessionExchanges();
  #acks: [JobId, number][] = [];
  /** The highest part to be acked, by job. */
  #partAcks = new Map<JobId, [JobId, number, number]>();
  #turnPick: Connection | null = null;
  #heardBytes = 0;
  #lastSeenAt: number;
  #identity: WorkerIdentity;
  #renewing = false;
  #ended = false;
  #workerDrains = false;
  #drain: { readonly promise: Promise<void>; readonly resolve: () => void; readonly timer: Timer } | null = null;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.id = parts.id;
    this.worker = parts.worker;
    this.previous = parts.previous;
    this.agent = parts.agent;
    this.address = parts.address;
    this.#identity = parts.identity;
    this.connectedAt = parts.clock.now();
    this.#lastSeenAt = this.connectedAt;
  }

  get lastSeenAt(): number {
    if (!this.#ended && this.#parts.heardBytes() !== this.#heardBytes) return this.#parts.clock.now();
    return this.#lastSeenAt;
  }

  /** Of the certificate that the session rests on: the one of its handshake, or the newest that it was given since. */
  get identity(): WorkerIdentity {
    return this.#identity;
  }

  get certificateEndsAt(): number {
    return this.#identity.certificateEndsAt;
  }

  get roundTripMs(): number | null {
    return this.#parts.control.roundTripMs;
  }

  get keeps(): boolean {
    return this.#parts.keeps;
  }

  get ended(): boolean {
    return this.#ended;
  }

  // ---- what the engine asks ----------------------------------------------------------------------------------------

  assign(job: Job, version: string, timeoutMs: number | null): void {
    if (this.#ended) return;
    if (job.input.bytes.byteLength > this.#parts.maxPayloadBytes) {
      const limit = this.#parts.maxPayloadBytes;
      const reason = `the worker takes inputs of at most ${limit} bytes, this one has ${job.input.bytes.byteLength}`;
      // Told on a later tick, as the wire would: the engine is in the middle of assigning.
      process.nextTick(() => this.#refuse(job, reason));
      return;
    }
    const via = this.#pick(job.input.bytes.byteLength);
    const endsAt = timeoutMs === null ? null : this.#parts.clock.monotonic() + timeoutMs;
    const sent = via === this.#parts.control ? null : { via, job, version, endsAt };
    this.#inFlight.set(job.id, { attempt: job.attempt, sent });
    via.send(assignMessage(job, version, timeoutMs), job.input.bytes);
  }

  cancel(fence: Fence, reason: 'caller' | 'deadline' | 'stale' | 'drain'): void {
    if (this.#ended) return;
    this.#parts.control.send({ type: 'cancel', job: fence.job, attempt: fence.attempt, reason });
  }

  /**
   * By the least busy data connection, so that bodies hold up no control message. What comes in one turn of the event loop shares
   * one, so that it leaves in one write; a body that is still coming has its own choice.
   */
  request(of: ExchangeTarget, request: ServiceRequest, events: ExchangeEvents, onOver: () => void): Exchange {
    const connection = request.more ? this.#pick(Infinity) : this.#pickOfTurn();
    return this.#exchanges.open(connection, of, request, events, () => {
      onOver();
      this.#answerDrain();
    });
  }

  ack(fences: readonly Fence[]): void {
    if (this.#ended) return;
    this.#flushSoon();
    for (const { job, attempt } of fences) {
      this.#acks.push([job, attempt]);
      this.#forget(job, attempt);
    }
  }

  ackParts({ job, attempt }: Fence, seq: number): void {
    if (this.#ended) return;
    this.#flushSoon();
    this.#partAcks.set(job, [job, attempt, seq]);
  }

  /** One message for everything that is acked before the event loop goes on. */
  #flushSoon(): void {
    if (this.#acks.length === 0 && this.#partAcks.size === 0) process.nextTick(this.#flushAcks);
  }

  drain(deadlineMs: number, reason: string): Promise<void> {
    if (this.#drain) return this.#drain.promise;
    if (this.#ended) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#parts.clock.after(deadlineMs, () => this.close('draining', reason));
    this.#drain = { promise, resolve, timer };
    this.#parts.control.send({ type: 'drain', deadlineMs, reason: reason.slice(0, 2_000) });
    return promise;
  }

  close(code: ErrorCode, reason: string): void {
    this.end(code, reason, code === 'draining' ? null : new PosternError(code, reason));
  }

  get deploy(): ((models: readonly WantedVersions[]) => void) | undefined {
    return this.#parts.takesDeploy ? this.#sendDeploy : undefined;
  }

  readonly #sendDeploy = (models: readonly WantedVersions[]): void => {
    if (!this.#ended) this.#parts.control.send({ type: 'deploy', models: [...models] });
  };

  /** Which gateways there are. A worker that would not understand it is not told. */
  tell(gateways: MessageOf<'gateways'>): void {
    if (!this.#ended && this.#parts.takesGateways) this.#parts.control.send(gateways);
  }

  /** Models that it announced and was not invited for. */
  deny(models: readonly string[]): void {
    if (!this.#ended) this.#parts.control.send({ type: 'denied', models: [...models] });
  }

  // ---- what the wire brings ----------------------------------------------------------------------------------------

  onControlMessage(message: Message, payload: Buffer): void {
    if (this.#ended) return;
    const { events } = this.#parts;
    switch (message.type) {
      case 'result':
      case 'partial':
        this.onDataMessage(message, payload);
        return;
      case 'grant':
        events.onGrant(this, message.model, message.version, message.rows);
        return;
      case 'withdraw': {
        const { model, version, rows } = message;
        events.onWithdraw(this, model, version, rows, (given) =>
          this.#parts.control.send({ type: 'withdrawn', model, version, rows: given }),
        );
        return;
      }
      case 'failure':
        events.onFailure(this, this.#fence(message), message.code, message.message, message.retryable);
        return;
      case 'progress':
        events.onProgress(this, this.#fence(message), message.fraction ?? null, message.message ?? null);
        return;
      case 'canceled':
        this.#forget(message.job, message.attempt);
        events.onCanceled(this, this.#fence(message));
        this.#answerDrain();
        return;
      case 'models':
        events.onModels(this, message.models, message.stored ?? []);
        return;
      case 'resume':
        for (const [job, attempt] of message.attempts) this.#inFlight.set(job, { attempt, sent: null });
        events.onResume(this, message.attempts);
        return;
      case 'gone':
        events.onGone(this, this.#idOf(message.session));
        return;
      case 'keep':
        events.onKeep(this, this.#idOf(message.session), message.attempts ?? null);
        return;
      case 'drain':
        this.#workerDrains = true;
        events.onDraining(this);
        this.#answerDrain();
        return;
      case 'renew':
        void this.#renew(message.request);
        return;
      case 'drained':
        if (this.#drain) this.close('draining', 'the gateway drains');
        else this.#breach(message);
        return;
      default:
        if (!this.#exchanges.onMessage(message, payload)) this.#breach(message);
    }
  }

  /** Payloads travel on data connections, and exchanges. */
  onDataMessage(message: Message, payload: Buffer): void {
    if (this.#ended) return;
    const { events } = this.#parts;
    if (message.type === 'result') {
      const output = { contentType: message.contentType, bytes: payload };
      events.onResult(this, this.#fence(message), output, message.timings);
    } else if (message.type === 'partial') {
      const part = { contentType: message.contentType, bytes: payload };
      events.onPartial(this, this.#fence(message), message.seq, part);
    } else if (!this.#exchanges.onMessage(message, payload)) {
      this.#breach(message);
    }
  }

  get dataConnectionCount(): number {
    return this.#data.size;
  }

  addData(connection: Connection): void {
    this.#data.add(connection);
  }

  /** A data connection died: what it carried is sent again, because nobody knows how far it came. The worker ignores an
   * attempt that it has already. */
  removeData(connection: Connection): void {
    if (!this.#data.delete(connection) || this.#ended) return;
    this.#exchanges.lost(connection);
    for (const { sent } of [...this.#inFlight.values()]) {
      if (sent?.via !== connection) continue;
      const leftMs = sent.endsAt === null ? null : Math.max(0, sent.endsAt - this.#parts.clock.monotonic());
      this.assign(sent.job, sent.version, leftMs);
    }
  }

  /** Called once per ping period: leases are kept by signs of life, not by each message. */
  tick(): void {
    const heardBytes = this.#parts.heardBytes();
    if (this.#ended || heardBytes === this.#heardBytes) return;
    this.#heardBytes = heardBytes;
    this.#lastSeenAt = this.#parts.clock.now();
    this.#parts.events.onHeard(this);
  }

  /** Ends the session: the engine is told first, then the worker, and every socket goes. */
  end(code: ErrorCode, reason: string, error: PosternError | null): void {
    if (this.#ended) return;
    this.#lastSeenAt = this.lastSeenAt;
    this.#flushAcks();
    this.#ended = true;
    this.#drain?.timer.cancel();
    this.#parts.events.onClose(this, error);
    this.#exchanges.lost(null);
    for (const connection of this.#data) connection.destroy();
    this.#parts.control.close(code, reason);
    this.#drain?.resolve();
  }

  /** One at a time; a refusal is told and logged by the worker, and the session goes on as long as its certificate. */
  async #renew(request: string): Promise<void> {
    if (this.#renewing) {
      this.close('protocol_error', 'a second renew came before the first was answered');
      return;
    }
    this.#renewing = true;
    try {
      const { worker, certificate, authorities } = await this.#parts.renew(request);
      if (this.#ended) return;
      this.#identity = worker;
      this.#parts.control.send({ type: 'renewed', certificate, authorities: [...authorities] });
    } catch (thrown) {
      const { code, message, title } = toPosternError(thrown);
      if (this.#ended) return;
      this.#parts.control.send({ type: 'renewal_refused', code, message: code === 'internal' ? title : message });
    } finally {
      this.#renewing = false;
    }
  }

  #pick(payloadBytes: number): Connection {
    let best = this.#parts.control;
    if (payloadBytes <= MAX_INLINE_BYTES) return best;
    let bestBytes = Infinity;
    for (const connection of this.#data) {
      if (connection.queuedBytes >= bestBytes) continue;
      best = connection;
      bestBytes = connection.queuedBytes;
    }
    return best;
  }

  #pickOfTurn(): Connection {
    if (this.#turnPick === null || this.#turnPick.closed) {
      this.#turnPick = this.#pick(Infinity);
      setImmediate(() => (this.#turnPick = null));
    }
    return this.#turnPick;
  }

  #fence(message: { job: JobId; attempt: number; session?: string | undefined }): Fence {
    const session = message.session === undefined ? this.id : this.#idOf(message.session);
    return { job: message.job, attempt: message.attempt, session };
  }

  /** Of a run of this worker, and of no other's. */
  #idOf(session: string): SessionId {
    return sessionId(this.worker, session);
  }

  #forget(job: JobId, attempt: number): void {
    if (this.#inFlight.get(job)?.attempt === attempt) this.#inFlight.delete(job);
  }

  readonly #flushAcks = (): void => {
    if (this.#ended) return;
    const acks = this.#acks;
    const partAcks = [...this.#partAcks.values()];
    this.#acks = [];
    this.#partAcks.clear();
    for (let i = 0; i < Math.max(acks.length, partAcks.length); i += MAX_ACKS_PER_MESSAGE) {
      const attempts = acks.slice(i, i + MAX_ACKS_PER_MESSAGE);
      const partials = partAcks.slice(i, i + MAX_ACKS_PER_MESSAGE);
      this.#parts.control.send({ type: 'ack', attempts, ...(partials.length === 0 ? {} : { partials }) });
    }
    this.#answerDrain();
  };

  /** A draining worker is told `drained` when the gateway wants nothing more of it. */
  #answerDrain(): void {
    if (this.#ended || !this.#workerDrains) return;
    if (this.#inFlight.size + this.#acks.length + this.#exchanges.count > 0) return;
    this.#workerDrains = false;
    this.#parts.control.send({ type: 'drained' });
  }

  #refuse(job: Job, reason: string): void {
    if (this.#ended) return;
    const fence = { job: job.id, attempt: job.attempt, session: this.id };
    this.#parts.events.onFailure(this, fence, 'input_invalid', reason, false);
  }

  #breach(message: Message): void {
    this.close('protocol_error', `a worker does not send ${message.type} here`);
  }
}
