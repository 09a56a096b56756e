/**
 * One PostgreSQL for all gateways: the memory driver does what is asked, with its own queues, fences, leases and rulings, and this file says
 * how long it takes. Statements wait for a core, first come first served; writes wait for a flush. A statement takes effect when its
 * core begins with it, whether or not its gateway lives to hear the answer.
 *
 * Owner of: the cores, and the count of statements.
 */
import type { Store } from '../../../src/store/store.ts';
import { COSTS, type StatementKind } from './costs.ts';
import { createHistogram, Tally } from './measures.ts';
import type { Timeline } from './timeline.ts';

interface Waiting {
  readonly begin: () => void;
}

export type Database = ReturnType<typeof createDatabase>;

const WRITES: ReadonlySet<StatementKind> = new Set<StatementKind>([
  'submit',
  'claim',
  'settle',
  'release',
  'heartbeat',
]);

export function createDatabase(timeline: Timeline, store: Store, cores: number) {
  const statements = new Tally();
  const rowsOf = new Tally();
  const waits = createHistogram();
  const queue: Waiting[] = [];
  let head = 0;
  let idleCores = cores;
  let busyMs = 0;
  let maxWaiting = 0;

  function next(): void {
    const waiting = queue[head];
    if (waiting === undefined) {
      idleCores += 1;
      return;
    }
    head += 1;
    if (head > 1_024 && head * 2 > queue.length) {
      queue.splice(0, head);
      head = 0;
    }
    waiting.begin();
  }

  /** Asks; `reach` says whether the way there and back is open. Rejects when the statement did not get there. */
  function ask<T>(
    kind: StatementKind,
    step: (store: Store) => Promise<T>,
    rows: (result: T) => number,
    isReachable: () => boolean,
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    timeline.after(COSTS.databaseOneWayMs, () => {
      if (!isReachable()) {
        timeline.after(NO_ANSWER_MS, () => {
          timeline.promised();
          reject(new Error('the database does not answer'));
        });
        return;
      }
      const cameAt = timeline.nowMs;
      const begin = (): void => {
        waits.add(timeline.nowMs - cameAt);
        timeline.promised();
        void step(store).then((result) => {
          const count = rows(result);
          const { fixedMs, rowMs } = COSTS.statement[kind];
          const serviceMs = fixedMs + rowMs * count;
          statements.add(kind);
          rowsOf.add(kind, count);
          busyMs += serviceMs;
          timeline.after(serviceMs, next);
          timeline.after(serviceMs + (WRITES.has(kind) ? COSTS.flushMs : 0) + COSTS.databaseOneWayMs, () => {
            timeline.promised();
            if (isReachable()) resolve(result);
            else reject(new Error('the answer was lost'));
          });
        });
      };
      if (idleCores > 0) {
        idleCores -= 1;
        begin();
      } else {
        queue.push({ begin });
        maxWaiting = Math.max(maxWaiting, queue.length - head);
      }
    });
    return promise;
  }

  return {
    ask,
    /** Something that nobody waits for: its cost only. */
    charge(kind: StatementKind, rows: number): void {
      const { fixedMs, rowMs } = COSTS.statement[kind];
      statements.add(kind);
      rowsOf.add(kind, rows);
      busyMs += fixedMs + rowMs * rows;
    },
    statements,
    rowsOf,
    waits,
    get busyMs() {
      return busyMs;
    },
    get maxWaiting() {
      return maxWaiting;
    },
    get cores() {
      return cores;
    },
  };
}

/** As the store's own limit for a connection. */
const NO_ANSWER_MS = 5_000;
