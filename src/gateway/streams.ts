/**
 * Jobs as they go on, for whoever reads along: their latest state, and the parts of their outputs. Owner of the logs and of
 * the readers. Everything here is in memory; what a reader missed comes again from the worker, or from the stored result.
 */
import type { Clock, Timer } from '../clock.ts';
import { TERMINAL, type Fence, type Job, type JobId, type Payload } from '../dispatch/job.ts';
import { PosternError, toPosternError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { JobWatch } from './ports.ts';
import { StreamLog, type LogBudget } from './stream-log.ts';

/** Reads of the store for jobs that run in another process: a reader hears of their state this late. */
const REFRESH_MS = 1_000;

export interface StreamsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly read: (id: JobId) => Promise<Job | null>;
  /** Will this process hear of what becomes of the job? */
  readonly isHere: (id: JobId) => boolean;
  /** Readers at once; more are refused with overloaded. */
  readonly maxWatches: number;
}

export type Streams = ReturnType<typeof createStreams>;

/** Of one job: what is known of it, while somebody reads or parts were put out. */
interface Entry {
  job: Job | null;
  log: StreamLog | null;
  readonly watches: Set<Watch>;
}

export function createStreams({ clock, logger, read, isHere, maxWatches }: StreamsOptions) {
  const entries = new Map<JobId, Entry>();
  const budget: LogBudget = { usedBytes: 0 };
  let watches = 0;
  let refreshing: Timer | null = null;

  function entryOf(id: JobId): Entry {
    let entry = entries.get(id);
    if (!entry) entries.set(id, (entry = { job: null, log: null, watches: new Set() }));
    return entry;
  }

  function tell(entry: Entry): void {
    for (const watch of [...entry.watches]) {
      try {
        watch.onChange();
      } catch (error) {
        // A reader that fails must not look like a worker or a store that failed.
        logger.error('a reader of a stream failed', { error: toPosternError(error).message });
      }
    }
  }

  /** A newer state. What was decided stays decided: an older answer of the store may come late. */
  function update(entry: Entry, job: Job): void {
    const before = entry.job;
    if (before !== null && (TERMINAL.has(before.status) || job.attempt < before.attempt)) return;
    entry.job = job;
    if (TERMINAL.has(job.status)) settle(job.id, entry);
    tell(entry);
  }

  /** Readers that are not done hold on to the entry; nobody else needs it. */
  function settle(id: JobId, entry: Entry): void {
    entry.log?.close();
    entries.delete(id);
  }

  function forget(id: JobId, watch: Watch): void {
    const { entry } = watch;
    if (!entry.watches.delete(watch)) return;
    watches -= 1;
    if (entry.watches.size === 0 && entry.log === null && entries.get(id) === entry) entries.delete(id);
    if (watches === 0) {
      refreshing?.cancel();
      refreshing = null;
    }
  }

  /** For jobs of another process on the same store. One answer late is one second late. */
  function refresh(): void {
    for (const [id, entry] of entries) {
      if (entry.watches.size === 0 || isHere(id)) continue;
      read(id).then(
        (job) => {
          if (job !== null) update(entry, job);
        },
        (error: unknown) => logger.warn('a stream could not be refreshed', { error: toPosternError(error).message }),
      );
    }
  }

  return {
    get watches(): number {
      return watches;
    },
    get logBytes(): number {
      return budget.usedBytes;
    },
    /** A part came, of an attempt that its session holds. Up to which all are here; null: it was beyond the window. */
    part({ job, attempt }: Fence, seq: number, part: Payload): number | null {
      const entry = entryOf(job);
      let { log } = entry;
      if (log?.attempt !== attempt) {
        log?.close();
        entry.log = log = new StreamLog(attempt, budget);
      }
      const before = log.count;
      if (!log.add(seq, part)) return null;
      if (log.count > before) tell(entry);
      return log.highest;
    },
    keptOf(id: JobId, attempt: number): number {
      const log = entries.get(id)?.log;
      return log?.attempt === attempt ? log.highest : -1;
    },
    progress({ job, attempt }: Fence, fraction: number | null, message: string | null): void {
      const entry = entries.get(job);
      const before = entry?.job;
      if (!entry || before?.attempt !== attempt || before.status !== 'processing') return;
      update(entry, { ...before, progress: { fraction, message } });
    },
    /** The job was assigned, came back, or was decided. */
    changed(job: Job): void {
      if (entries.size === 0) return;
      const entry = entries.get(job.id);
      if (entry) update(entry, job);
    },
    /** `onChange` is called after every change; it looks at the watch and reads on. null: no such job. */
    async watch(id: JobId, onChange: () => void): Promise<JobWatch | null> {
      if (watches >= maxWatches) {
        throw new PosternError('overloaded', `${maxWatches} readers follow jobs already: poll instead`, {
          retryAfterS: 5,
        });
      }
      // First the place, then the question: what happens in between is heard.
      const entry = entryOf(id);
      const watch = new Watch(
        entry,
        onChange,
        () => forget(id, watch),
        () => isHere(id),
      );
      entry.watches.add(watch);
      watches += 1;
      try {
        const job = await read(id);
        if (job === null) {
          watch.close();
          return null;
        }
        if (entry.job === null) update(entry, job);
      } catch (error) {
        watch.close();
        throw error;
      }
      refreshing ??= clock.every(REFRESH_MS, refresh);
      return watch;
    },
    /** Lets go of the parts of what neither runs here nor is read. */
    prune(runsHere: (id: JobId) => boolean): void {
      for (const [id, entry] of entries) {
        if (entry.watches.size === 0 && !runsHere(id)) settle(id, entry);
      }
    },
    stop(): void {
      refreshing?.cancel();
      refreshing = null;
    },
  };
}

class Watch implements JobWatch {
  readonly entry: Entry;
  readonly onChange: () => void;
  readonly close: () => void;
  readonly #isHere: () => boolean;

  constructor(entry: Entry, onChange: () => void, close: () => void, isHere: () => boolean) {
    this.entry = entry;
    this.onChange = onChange;
    this.close = close;
    this.#isHere = isHere;
  }

  get isHere(): boolean {
    return this.#isHere();
  }

  get job(): Job {
    return this.entry.job!;
  }

  get attempt(): number {
    return Math.max(this.entry.log?.attempt ?? 0, this.job.attempt);
  }

  get partCount(): number {
    const { log } = this.entry;
    return log !== null && log.attempt === this.attempt ? log.count : 0;
  }

  part(seq: number): Payload {
    return this.entry.log!.part(seq)!;
  }
}
