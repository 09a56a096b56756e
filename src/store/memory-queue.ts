/**
 * The waiting jobs of one model in the order in which they will be claimed. Owner of: the order and the fairness between
 * callers; nothing here knows of sessions, attempts or time.
 *
 * Fairness is start-time fair queueing (Goyal, Vin, Cheng 1996). A job gets a tag when it is accepted: the larger of its
 * caller's previous tag + rows and the tag that is being served now. Smaller tags go first. A caller with a thousand jobs
 * waiting has tags far ahead, so another caller's first job goes next; and a caller who was away has saved up nothing.
 * The tag never changes, so the order is a plain sort key (priority, tag, seq): an index column for the durable drivers.
 */
import { createOrderedList, type OrderedList } from './ordered-list.ts';

export interface Waiting {
  readonly seq: number;
  readonly priority: number;
  readonly caller: string;
  readonly rows: number;
  readonly version: string | null;
  /** The fairness tag; written once, at acceptance. */
  tag: number;
}

export interface MemoryQueue<T extends Waiting> {
  readonly jobs: number;
  readonly rows: number;
  /** Sets the tag of a newly accepted entry. */
  tag(entry: T): void;
  add(entry: T): void;
  remove(entry: T): void;
  /** Takes entries that a session with `version` may run: the next ones in order, at most `maxRows` rows. */
  take(version: string, maxRows: number, capacityRows: number): T[];
  /** Rows waiting that a session with `version` may run. */
  rowsFor(version: string): number;
  position(entry: T): number;
}

/** How many oversized jobs one claim steps over; beyond it the claim ends, and the next one sees the same. */
const MAX_PASSED_OVER = 256;
/** Callers remembered per priority before those without influence are forgotten. */
const CALLERS_BEFORE_PRUNE = 1024;

interface Lane<T> {
  readonly entries: OrderedList<T>;
  rows: number;
}

interface Level {
  servedTag: number;
  readonly nextTag: Map<string, number>;
  pruneAt: number;
}

function order(a: Waiting, b: Waiting): number {
  return b.priority - a.priority || a.tag - b.tag || a.seq - b.seq;
}

export function createMemoryQueue<T extends Waiting>(): MemoryQueue<T> {
  const newLane = (): Lane<T> => ({ entries: createOrderedList<T>(order), rows: 0 });
  /** Jobs that any version may run, and those that ask for one version: a claim merges two lanes and scans neither. */
  const anyVersion = newLane();
  const pinned = new Map<string, Lane<T>>();
  const levels = new Map<number, Level>();
  let jobs = 0;
  let rows = 0;

  function lane(version: string | null): Lane<T> {
    if (version === null) return anyVersion;
    let found = pinned.get(version);
    if (!found) pinned.set(version, (found = newLane()));
    return found;
  }

  function level(priority: number): Level {
    let found = levels.get(priority);
    if (!found) {
      found = { servedTag: 0, nextTag: new Map(), pruneAt: CALLERS_BEFORE_PRUNE };
      levels.set(priority, found);
    }
    return found;
  }

  function drop(entry: T): boolean {
    const from = lane(entry.version);
    if (!from.entries.remove(entry)) return false;
    from.rows -= entry.rows;
    if (entry.version !== null && from.entries.size === 0) pinned.delete(entry.version);
    jobs -= 1;
    rows -= entry.rows;
    return true;
  }

  return {
    get jobs() {
      return jobs;
    },
    get rows() {
      return rows;
    },
    tag(entry) {
      // An empty queue ends the busy period: nobody is ahead of anybody.
      if (jobs === 0 && levels.size > 0) levels.clear();
      const at = level(entry.priority);
      entry.tag = Math.max(at.servedTag, at.nextTag.get(entry.caller) ?? 0);
      at.nextTag.set(entry.caller, entry.tag + entry.rows);
      if (at.nextTag.size < at.pruneAt) return;
      // A caller whose next tag is not ahead of what is served now would get the served tag anyway.
      for (const [caller, next] of at.nextTag) if (next <= at.servedTag) at.nextTag.delete(caller);
      at.pruneAt = Math.max(CALLERS_BEFORE_PRUNE, 2 * at.nextTag.size);
    },
    add(entry) {
      const to = lane(entry.version);
      to.entries.insert(entry);
      to.rows += entry.rows;
      jobs += 1;
      rows += entry.rows;
    },
    remove(entry) {
      drop(entry);
    },
    take(version, maxRows, capacityRows) {
      const taken: T[] = [];
      let left = maxRows;
      let anyAt = 0;
      let pinnedAt = 0;
      while (left > 0 && anyAt + pinnedAt <= MAX_PASSED_OVER) {
        const a = anyVersion.entries.at(anyAt);
        const b = pinned.get(version)?.entries.at(pinnedAt);
        const fromAny = a !== undefined && (b === undefined || order(a, b) < 0);
        const next = fromAny ? a : b;
        if (next === undefined) break;
        if (next.rows > left) {
          if (next.rows <= capacityRows) break;
          if (fromAny) anyAt += 1;
          else pinnedAt += 1;
          continue;
        }
        drop(next);
        taken.push(next);
        left -= next.rows;
        const at = level(next.priority);
        if (next.tag > at.servedTag) at.servedTag = next.tag;
      }
      return taken;
    },
    rowsFor: (version) => anyVersion.rows + (pinned.get(version)?.rows ?? 0),
    position(entry) {
      let before = anyVersion.entries.rank(entry);
      for (const one of pinned.values()) before += one.entries.rank(entry);
      return before;
    },
  };
}
