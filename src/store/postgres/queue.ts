/**
 * The calls of one writing connection, in the order in which they came. Whatever waits when the connection is free is done as one
 * group; a call that is `alone` is a barrier between groups. When a group fails for a reason that one of its calls may have brought, each
 * is tried alone, so that one cannot fail the others; a database that is away fails them all at once.
 */
import { PosternError } from '../../errors.ts';
import { InDoubt, isConflict, toStorageError } from './errors.ts';

interface Waiting<T, R> {
  readonly call: T;
  readonly resolve: (reply: R) => void;
  readonly reject: (error: PosternError) => void;
}

type Entry<T, R> = (Waiting<T, R> & { readonly type: 'grouped' }) | { readonly type: 'alone'; run(): Promise<void> };

export interface QueueOptions<T, R> {
  /** Does all of them in one step; replies in their order. */
  readonly together: (calls: readonly T[]) => Promise<readonly R[]>;
  /** How much of a group this call is; a group is at most `maxWeight`, or one call. */
  readonly weigh: (call: T) => number;
  readonly maxWeight: number;
}

/** More than any gateway has callers; each one is some hundred bytes here. */
const MAX_CALLS = 200_000;
/** Deadlocks and the like: the other one has got through, so the next try does. */
const MAX_TRIES = 5;

export type Queue<T, R> = ReturnType<typeof createQueue<T, R>>;

export function createQueue<T, R>({ together, weigh, maxWeight }: QueueOptions<T, R>) {
  let entries: Entry<T, R>[] = [];
  let isRunning = false;
  let isClosed = false;
  let idle: (() => void)[] = [];

  async function retried<A>(work: () => Promise<A>): Promise<A> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await work();
      } catch (error) {
        if (!isConflict(error) || tries === MAX_TRIES) throw toStorageError(error);
      }
    }
  }

  async function runGroup(group: readonly Waiting<T, R>[]): Promise<void> {
    try {
      const replies = await retried(() => together(group.map(({ call }) => call)));
      group.forEach(({ resolve }, index) => resolve(replies[index]!));
    } catch (thrown) {
      const error = toStorageError(thrown);
      const isWhole = error instanceof InDoubt || error.code === 'storage_failed' || error.code === 'storage_full';
      if (group.length === 1 || isWhole) for (const { reject } of group) reject(error);
      else for (const one of group) await runGroup([one]);
    }
  }

  function takeGroup(): Waiting<T, R>[] {
    const group: Waiting<T, R>[] = [];
    let weight = 0;
    for (const entry of entries) {
      if (entry.type === 'alone') break;
      weight += weigh(entry.call);
      if (group.length > 0 && weight > maxWeight) break;
      group.push(entry);
    }
    entries = entries.slice(group.length);
    return group;
  }

  async function run(): Promise<void> {
    // All calls of this turn of the event loop, and those that their promises bring, are in the first group.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (entries.length > 0) {
      const [first] = entries;
      if (first?.type === 'alone') {
        entries.shift();
        await first.run();
      } else await runGroup(takeGroup());
    }
    isRunning = false;
    for (const resolve of idle) resolve();
    idle = [];
  }

  function push(entry: Entry<T, R>): void {
    entries.push(entry);
    if (isRunning) return;
    isRunning = true;
    void run();
  }

  function refusal(): PosternError | null {
    if (isClosed) return new PosternError('storage_failed', 'the store is closed');
    if (entries.length < MAX_CALLS) return null;
    return new PosternError('overloaded', 'the store has too many calls waiting: try again later');
  }

  return {
    call(call: T): Promise<R> {
      const error = refusal();
      if (error !== null) return Promise.reject(error);
      return new Promise<R>((resolve, reject) => push({ type: 'grouped', call, resolve, reject }));
    },
    /** In its turn, with nothing beside it. It may run more than once: each time as if it had not run before. */
    alone<A>(work: () => Promise<A>): Promise<A> {
      const error = refusal();
      if (error !== null) return Promise.reject(error);
      return new Promise<A>((resolve, reject) =>
        push({ type: 'alone', run: () => retried(work).then(resolve, reject) }),
      );
    },
    /** Takes no more calls, and resolves when those that wait are done. */
    close(): Promise<void> {
      isClosed = true;
      return isRunning ? new Promise((resolve) => idle.push(resolve)) : Promise.resolve();
    },
  };
}
