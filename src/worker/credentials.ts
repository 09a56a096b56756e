/**
 * What the worker dials with, and how it stays valid. Owner of: the identity that is in force in this process.
 *
 * A worker that has joined renews its certificate in a session, at two thirds of its life; one that slept past the end asks
 * before the next dial. The new key is on the disk before it is asked for, and the certificate before it is used, so no
 * crash leaves a worker with less than it had. Files of another authority are only read again before each dial.
 *
 * Several links use it at once, and there is one folder: reading it, asking, and putting the answer there go one after the other,
 * or the key of one answer could end beside the certificate of another.
 */
import type { SecureContext } from 'node:tls';
import type { Clock, Timer } from '../clock.ts';
import { PosternError, toPosternError } from '../errors.ts';
import { installCertificate, nextKey, readWorkerIdentity } from '../identity/worker.ts';
import type { WorkerCredentials } from '../identity/worker.ts';
import type { Logger } from '../logger.ts';
import type { Message, MessageOf } from '../protocol/messages.ts';
import { createDialContext } from './dial.ts';
import type { GatewayRule } from './dial.ts';
import { askGateway } from './enrol.ts';
import type { Target } from './targets.ts';

/** What the link asks of it. */
export interface LinkCredentials {
  /** For the next dial. */
  context(signal: AbortSignal): Promise<SecureContext>;
  /** Which gateways are the right ones. */
  readonly gateway: GatewayRule;
  /** A session is open, and can carry a renewal. */
  attach(send: (message: Message) => void): void;
  detach(): void;
  onMessage(message: MessageOf<'renewed'> | MessageOf<'renewal_refused'>): void;
}

export interface CredentialsOptions {
  readonly folder: string;
  /** As read from the folder. */
  readonly identity: WorkerCredentials;
  /** Where a certificate that has ended can be renewed: asked in turn. */
  readonly targets: readonly Target[];
  readonly gateway: GatewayRule;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** One for all links that wait for it. It is called off when none does any more. */
interface LateRenewal {
  readonly done: Promise<void>;
  readonly abort: AbortController;
  waiting: number;
}

/** Certificates are dated back by a minute, which is no part of their life. */
const BACKDATE_MS = 60_000;
const RENEW_AT = 2 / 3;
/** Around that moment, so that workers that joined together do not renew together. */
const JITTER = 0.1;
/** After a refusal, or a disk that did not keep the answer: an hour, or sooner when less of the life is left. */
const RETRY_MS = 3_600_000;
const RETRY_LEFT = 1 / 4;
const FIRST_RETRY_MS = 1_000;
const ASK_TIMEOUT_MS = 10_000;

export function createCredentials(options: CredentialsOptions): LinkCredentials {
  const { folder, clock, logger, random, targets, gateway } = options;
  let identity = options.identity;
  let context = createDialContext(identity);
  let dueAt = dueTime(identity);
  let send: ((message: Message) => void) | null = null;
  let timer: Timer | undefined;
  let isAsking = false;
  let late: LateRenewal | null = null;
  /** The last that has the folder, or waits for it. It never rejects. */
  let turn: Promise<unknown> = Promise.resolve();

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = turn.then(work);
    turn = result.catch(() => undefined);
    return result;
  }

  function dueTime({ certificateStartsAt, certificateEndsAt }: WorkerCredentials): number {
    const lifeMs = certificateEndsAt - certificateStartsAt - BACKDATE_MS;
    return certificateEndsAt - lifeMs * (1 - RENEW_AT + (random() - 0.5) * JITTER);
  }

  function adopt(read: WorkerCredentials): void {
    if (read.certPem === identity.certPem && read.caPem === identity.caPem) return;
    identity = read;
    context = createDialContext(read);
    dueAt = dueTime(read);
  }

  /** Another process of this folder may have been first, or somebody put new files there. */
  async function reload(): Promise<void> {
    try {
      adopt(await readWorkerIdentity(folder));
    } catch (error) {
      logger.warn('the identity cannot be read anew', { error: toPosternError(error) });
    }
  }

  /**
   * null: another process of this folder was first. Whether it was is read after the key: a key that was made behind the
   * other's certificate is the one after it, and asking with it now would look like two machines with one certificate.
   */
  async function makeQuestion(): Promise<MessageOf<'renew'> | null> {
    const { makeRequest } = await import('../identity/certificate.ts');
    const [key, known] = [await nextKey(folder), identity.certPem];
    await reload();
    if (identity.certPem !== known) return null;
    return { type: 'renew', request: await makeRequest(key, identity.name) };
  }

  async function keep(issued: { certificate: string; authorities: string[] }): Promise<void> {
    await reload();
    // The other process of this folder asked with the same key, was answered the same, and has put it there.
    if (identity.certPem === issued.certificate) return;
    await installCertificate(folder, issued, identity.name);
    adopt(await readWorkerIdentity(folder));
    logger.info('certificate renewed', { ends_at: new Date(identity.certificateEndsAt).toISOString() });
  }

  // ---- in a session ------------------------------------------------------------------------------------------------

  function schedule(): void {
    timer?.cancel();
    if (send === null || identity.joinedAt === null) return;
    // A long timer is cut short by the clock, and comes back here.
    timer = clock.after(Math.max(0, dueAt - clock.now()), () => {
      if (clock.now() < dueAt) schedule();
      else void ask();
    });
  }

  async function ask(): Promise<void> {
    if (isAsking) return;
    isAsking = true;
    try {
      await inTurn(reload);
      if (clock.now() >= dueAt && send !== null) {
        const question = await inTurn(makeQuestion);
        if (question !== null) {
          send?.(question);
          // The answer, or the end of the session, goes on from here.
          return;
        }
      }
      isAsking = false;
      schedule();
    } catch (error) {
      retryLater(toPosternError(error));
    }
  }

  function retryLater(error: PosternError): void {
    isAsking = false;
    const leftMs = identity.certificateEndsAt - clock.now();
    const delayMs = Math.max(FIRST_RETRY_MS, Math.min(RETRY_MS, leftMs * RETRY_LEFT));
    logger.warn('certificate not renewed', { code: error.code, reason: error.message, retry_ms: Math.round(delayMs) });
    dueAt = clock.now() + delayMs;
    schedule();
  }

  // ---- before a dial -----------------------------------------------------------------------------------------------

  const isOver = (): boolean => identity.joinedAt !== null && identity.certificateEndsAt <= clock.now();

  /** Until it was tried, or this link calls off its dial. */
  async function awaitLate(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    if (late === null) {
      const abort = new AbortController();
      late = { done: inTurn(() => renewLate(abort.signal)), abort, waiting: 0 };
    }
    const mine = late;
    mine.waiting += 1;
    const left = Promise.withResolvers<void>();
    const leave = (): void => left.resolve();
    signal.addEventListener('abort', leave, { once: true });
    await Promise.race([mine.done, left.promise]);
    signal.removeEventListener('abort', leave);
    mine.waiting -= 1;
    if (mine.waiting > 0) return;
    mine.abort.abort();
    if (late === mine) late = null;
  }

  /** The gateway answers this to a certificate that has ended, and to nothing else of it. */
  async function renewLate(signal: AbortSignal): Promise<void> {
    // Another one was first while this one waited for its turn.
    if (!isOver()) return;
    try {
      const question = await makeQuestion();
      if (question === null) return;
      await keep(await askAny(question, signal));
    } catch (thrown) {
      const { code, message } = toPosternError(thrown);
      // The dial goes on all the same: whether the certificate has ended is for the gateway's clock to say.
      logger.warn('certificate has ended and was not renewed', { code, reason: message });
    }
  }

  /** One that answers has the last word, also when it refuses. */
  async function askAny(question: MessageOf<'renew'>, signal: AbortSignal): Promise<MessageOf<'renewed'>> {
    let problem: PosternError | null = null;
    for (const target of targets) {
      const asked = { ...target, context, gateway, clock, signal, timeoutMs: ASK_TIMEOUT_MS };
      try {
        return await askGateway(asked, question, 'renewed');
      } catch (thrown) {
        problem = toPosternError(thrown);
        if (problem.code !== 'unreachable' && problem.code !== 'connection_lost') break;
      }
    }
    throw problem ?? new PosternError('unreachable', 'there is no gateway to ask');
  }

  return {
    gateway,
    async context(signal) {
      await inTurn(reload);
      if (isOver()) await awaitLate(signal);
      return context;
    },
    attach(sender) {
      send = sender;
      isAsking = false;
      schedule();
    },
    detach() {
      send = null;
      timer?.cancel();
    },
    onMessage(message) {
      if (!isAsking) return;
      if (message.type === 'renewal_refused') {
        retryLater(new PosternError('enrolment_refused', `${message.code}: ${message.message}`));
        return;
      }
      inTurn(() => keep(message)).then(
        () => {
          isAsking = false;
          schedule();
        },
        (error: unknown) => retryLater(toPosternError(error)),
      );
    },
  };
}
