/**
 * Collects what is ready to run and decides when and how much of it makes a batch. By rows: at most `maxRows`, never an
 * entry in part. With `maxDelayMs` 0 a batch is what has already arrived, so an idle model answers at once and a busy
 * one fills its batches by itself; more than 0 trades that latency for fuller batches.
 *
 * Pure: it holds entries and reads the time that it is given.
 */
export interface BatchEntry {
  readonly rows: number;
  /** Monotonic ms when it became ready. */
  readonly readyAt: number;
  /** Monotonic ms after which its result is of no use; null: never. */
  readonly deadlineAt: number | null;
  /** Already ended (cancelled): passed over at assembly. */
  readonly ended: boolean;
  /** Only entries of one group share a batch. */
  readonly group?: string | undefined;
  /** Its batch failed as a whole: it runs by itself, to find out whether it was the cause. */
  readonly solo: boolean;
}

export interface BatchLimits {
  readonly maxRows: number;
  readonly maxDelayMs: number;
}

/** `wait`: ask again after `delayMs`, or when more has arrived. */
export type Assembly<E> =
  | { readonly type: 'run'; readonly entries: readonly E[]; readonly expired: readonly E[] }
  | { readonly type: 'wait'; readonly delayMs: number; readonly expired: readonly E[] }
  | { readonly type: 'empty'; readonly expired: readonly E[] };

export interface Batcher<E extends BatchEntry> {
  add(entry: E): void;
  /** To the front, in their order. */
  putBack(entries: readonly E[]): void;
  /** Takes the next batch out, oldest first. Expired entries are handed out for their failure; ended ones just go. */
  take(now: number): Assembly<E>;
  /** Everything that is left, for the end. */
  takeAll(): readonly E[];
  readonly size: number;
}

const fits = (entry: BatchEntry, oldest: BatchEntry): boolean =>
  !entry.solo && !oldest.solo && entry.group === oldest.group;

export function createBatcher<E extends BatchEntry>(limits: BatchLimits): Batcher<E> {
  // Bounded by the credit that the worker grants: the gateway cannot send more than that.
  let queue: E[] = [];

  return {
    add(entry) {
      queue.push(entry);
    },
    putBack(entries) {
      queue.unshift(...entries);
    },
    take(now) {
      const expired: E[] = [];
      const live: E[] = [];
      for (const entry of queue) {
        if (entry.ended) continue;
        if (entry.deadlineAt !== null && entry.deadlineAt <= now) expired.push(entry);
        else live.push(entry);
      }
      queue = live;
      const oldest = queue[0];
      if (!oldest) return { type: 'empty', expired };

      let rows = 0;
      let count = 0;
      for (const entry of queue) {
        // The first is always taken, so that an entry with too many rows fails in the runner instead of blocking the queue.
        if (count > 0 && !(fits(entry, oldest) && rows + entry.rows <= limits.maxRows)) break;
        rows += entry.rows;
        count++;
      }
      const full = rows >= limits.maxRows || count < queue.length || oldest.solo;
      const delayMs = oldest.readyAt + limits.maxDelayMs - now;
      if (!full && delayMs > 0) return { type: 'wait', delayMs, expired };
      return { type: 'run', entries: queue.splice(0, count), expired };
    },
    takeAll() {
      const rest = queue.filter((entry) => !entry.ended);
      queue = [];
      return rest;
    },
    get size() {
      return queue.length;
    },
  };
}
