/**
 * Callers who wait for a decision. Owner of: who waits for which job, and until when. One coarse tick serves all of them:
 * a timer per caller would cost more than the rest of the wait, and a long poll may end 100 ms late.
 */
import type { Clock, Timer } from '../clock.ts';
import { PosternError } from '../errors.ts';
import type { Store } from '../store/store.ts';
import { isUnrecorded } from '../dispatch/id.ts';
import type { Job, JobId } from '../dispatch/job.ts';

/** What a waiter holds on to: through it the whole request. */
interface Reply {
  readonly resolve: (decided: Job | null) => void;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: (() => void) | undefined;
}

interface Waiter {
  readonly id: JobId;
  /** Monotonic. */
  readonly until: number;
  /**
   * null once it was answered. A Map that grows and shrinks leaves its outgrown tables behind, chained to each other, and
   * the collector keeps what they hold until its next full round: with the reply still in them, that was every request.
   */
  reply: Reply | null;
}

/** A job that is being read by somebody who then waits for it. `isOld`: it was decided, or may have been, since it was asked for. */
export interface Reading {
  isOld: boolean;
  end(): void;
}

export interface WaitersOptions {
  readonly clock: Clock;
  /** More at once are refused with overloaded. */
  readonly maxWaiters: number;
  /** Of the store: while there is one, nothing is heard of recorded jobs, and who waits for one is better off elsewhere. */
  readonly fault?: Store['fault'] | undefined;
}

const TICK_MS = 100;

export function createWaiters({ clock, maxWaiters, fault }: WaitersOptions) {
  const byJob = new Map<JobId, Waiter | Set<Waiter>>();
  const all = new Set<Waiter>();
  const reads = new Map<JobId, Set<Reading>>();
  let timer: Timer | null = null;

  function answer(waiter: Waiter, decided: Job | null): void {
    const { reply } = waiter;
    if (reply === null) return;
    waiter.reply = null;
    all.delete(waiter);
    if (reply.onAbort) reply.signal?.removeEventListener('abort', reply.onAbort);
    const found = byJob.get(waiter.id);
    if (found instanceof Set) found.delete(waiter);
    if (found === waiter || (found instanceof Set && found.size === 0)) byJob.delete(waiter.id);
    reply.resolve(decided);
  }

  function tick(): void {
    const now = clock.monotonic();
    if (all.size === 0) {
      timer?.cancel();
      timer = null;
    }
    const isCutOff = (fault?.() ?? null) !== null;
    for (const waiter of all) if (waiter.until <= now || (isCutOff && !isUnrecorded(waiter.id))) answer(waiter, null);
  }

  function outdate(id: JobId): void {
    for (const reading of reads.get(id) ?? []) reading.isOld = true;
  }

  return {
    get size(): number {
      return all.size;
    },
    /** The jobs that somebody waits for. */
    awaited: (): Iterable<JobId> => byJob.keys(),
    /** Another process says that these were decided; null: some were. Is one of them waited for? */
    told(jobs: readonly JobId[] | null): boolean {
      for (const id of jobs ?? reads.keys()) outdate(id);
      return jobs === null || jobs.some((id) => byJob.has(id));
    },
    /** To be ended when the wait has begun, or is not needed. */
    reading(id: JobId): Reading {
      const of = reads.get(id) ?? new Set();
      const reading = {
        isOld: false,
        end(): void {
          of.delete(reading);
          if (of.size === 0 && reads.get(id) === of) reads.delete(id);
        },
      };
      reads.set(id, of.add(reading));
      return reading;
    },
    /** Resolves with the decided job, or with null when the time is over, the signal is aborted, the store is cut off, or everything stops. */
    wait(id: JobId, timeoutMs: number, signal?: AbortSignal): Promise<Job | null> {
      if (timeoutMs <= 0 || signal?.aborted) return Promise.resolve(null);
      if (all.size >= maxWaiters) {
        return Promise.reject(new PosternError('overloaded', `${maxWaiters} callers wait already: poll instead`));
      }
      return new Promise((resolve) => {
        const until = clock.monotonic() + timeoutMs;
        const onAbort = signal && ((): void => answer(waiter, null));
        const waiter: Waiter = { id, until, reply: { resolve, signal, onAbort } };
        if (onAbort) signal.addEventListener('abort', onAbort, { once: true });
        all.add(waiter);
        const others = byJob.get(id);
        if (others === undefined) byJob.set(id, waiter);
        else if (others instanceof Set) others.add(waiter);
        else byJob.set(id, new Set([others, waiter]));
        timer ??= clock.every(TICK_MS, tick);
      });
    },
    decided(job: Job): void {
      outdate(job.id);
      const found = byJob.get(job.id);
      if (found === undefined) return;
      for (const waiter of found instanceof Set ? [...found] : [found]) answer(waiter, job);
    },
    stop(): void {
      for (const waiter of all) answer(waiter, null);
      timer?.cancel();
      timer = null;
    },
  };
}

export type Waiters = ReturnType<typeof createWaiters>;
