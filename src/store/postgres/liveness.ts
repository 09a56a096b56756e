/**
 * Does the database answer? Owner of that knowledge for all connections of a store. A network that swallows everything says nothing,
 * and a connection waits long for its answer, because a server may be slow. Callers need not wait for that: while something was asked and
 * nothing at all was heard for a while, not even an answer to the simplest question, they are told so at once and can go elsewhere.
 * What was sent is not called off: its connection waits on, and nothing is sent twice because of it.
 *
 * Time is counted in looks of this process, not read from a clock: a process that was held up itself has not listened either.
 */
import type { Clock, Timer } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';

export interface LivenessOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** For how long nothing was heard, until callers are told. */
  readonly silentMs: number;
  /** Asks something that any database in health answers at once. */
  readonly ping: () => Promise<unknown>;
}

/** What connections tell. */
export interface Listener {
  /** Something is asked from now on, and waits for a connection or an answer. Returns what ends that. */
  asked(): () => void;
  heard(): void;
}

export interface Liveness extends Listener {
  /** Null: it answers, or was not asked. */
  readonly fault: () => PosternError | null;
  /** The same, but it rejects when the database falls silent, and at once while it is. */
  readonly unlessSilent: <T>(work: () => Promise<T>) => Promise<T>;
  stop(): void;
}

const LOOKS = 12;

export function createLiveness({ clock, logger, silentMs, ping }: LivenessOptions): Liveness {
  const waiting = new Set<(error: PosternError) => void>();
  let asked = 0;
  let missed = 0;
  let isSilent = false;
  let isPinging = false;
  let isStopped = false;
  let timer: Timer | null = null;

  const fault = (): PosternError | null =>
    isSilent
      ? new PosternError(
          'storage_failed',
          `The database has not answered for ${Math.ceil(silentMs / 1_000)} s or more.`,
        )
      : null;

  function rest(): void {
    timer?.cancel();
    timer = null;
  }

  function look(): void {
    if (asked === 0 && !isSilent) {
      rest();
      return;
    }
    missed += 1;
    // What is asked may take its time: this does not. In silence, it is how the end of it is heard.
    if (missed >= LOOKS / 2 && !isPinging) {
      isPinging = true;
      ping()
        .catch(() => undefined)
        .finally(() => (isPinging = false));
    }
    if (missed < LOOKS || isSilent) return;
    isSilent = true;
    logger.error('the database does not answer: callers are sent away', { silentMs, callers: waiting.size });
    const error = fault()!;
    for (const reject of [...waiting]) reject(error);
  }

  return {
    asked() {
      if (asked === 0 && !isSilent) missed = 0;
      asked += 1;
      if (!isStopped) timer ??= clock.every(silentMs / LOOKS, look);
      return () => void (asked -= 1);
    },
    heard() {
      missed = 0;
      if (!isSilent) return;
      isSilent = false;
      logger.info('the database answers again', {});
    },
    fault,
    unlessSilent(work) {
      const error = fault();
      if (error !== null) return Promise.reject(error);
      return new Promise((resolve, reject) => {
        waiting.add(reject);
        work()
          .then(resolve, reject)
          .finally(() => waiting.delete(reject));
      });
    },
    stop() {
      isStopped = true;
      rest();
    },
  };
}
