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
  /** Written by the queue alone. */
  place: Place;
}

/** Where a waiting job stands: in line; among those that are run alone; or out of line, until the time of its next attempt. */
export type Place = 'none' | 'line' | 'solo' | 'deferred';

export interface MemoryQueue<T extends Waiting> {
  /** All that wait. */
  readonly jobs: number;
  /** Rows of those that stand in line. */
  readonly rows: number;
  readonly soloJobs: number;
  /** Sets the tag of a newly accepted entry. */
  tag(entry: T): void;
  add(entry: T, place: Exclude<Place, 'none'>): void;
  remove(entry: T): void;
  /** Takes entries that a session with `version` may run: the next ones in order, at most `maxRows` rows. */
  take(which: Which, maxRows: number, capacityRows: number): T[];
  /** The next one of those that are run alone. */
  takeSolo(which: Which, maxRows: number, capacityRows: number): T | null;
  /** Rows in line that a session with `version` may run. */
  rowsFor(which: Which): number;
  soloJobsFor(which: Which): number;
  /** The one that was accepted first, of those in line and of those that are run alone. It looks at all of them. */
  oldest(): T | null;
  /** null: it does not stand in line. */
  position(entry: T): number | null;
}

/** What a session may run: jobs that name its version, and, unless `namedOnly`, those that name none. */
export interface Which {
  readonly version: string;
  readonly namedOnly?: boolean;
}

/** How many oversized jobs one claim steps over; beyond it the claim ends, and the next one sees the same. */
const MAX_PASSED_OVER = 256;
/** Callers remembered per priority before those without influence are forgotten. */
const CALLERS_BEFORE_PRUNE = 1024;

interface Lane<T> {
  readonly entries: OrderedList<T>;
  readonly solos: OrderedList<T>;
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
  const newList = (): OrderedList<T> => createOrderedList<T>(order);
  const newLane = (): Lane<T> => ({ entries: newList(), solos: newList(), rows: 0 });
  /** Jobs that any version may run, and those that ask for one version: a claim merges two lanes and scans neither. */
  const anyVersion = newLane();
  const nothing = newLane();
  const pinned = new Map<string, Lane<T>>();
  const levels = new Map<number, Level>();
  let jobs = 0;
  let rows = 0;
  let soloJobs = 0;

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

  function drop(entry: T): void {
    const { place, version } = entry;
    if (place === 'none') return;
    entry.place = 'none';
    jobs -= 1;
    if (place === 'deferred') return;
    const from = lane(version);
    if (place === 'solo') {
      from.solos.remove(entry);
      soloJobs -= 1;
    } else {
      from.entries.remove(entry);
      from.rows -= entry.rows;
      rows -= entry.rows;
    }
    if (version !== null && from.entries.size + from.solos.size === 0) pinned.delete(version);
  }

  function serve(entry: T): void {
    drop(entry);
    const at = level(entry.priority);
    if (entry.tag > at.servedTag) at.servedTag = entry.tag;
  }

  /** The lanes that a claim may take from: one, or two. */
  function lanesOf({ version, namedOnly = false }: Which): [Lane<T>, Lane<T> | undefined] {
    const named = pinned.get(version);
    return namedOnly ? [named ?? nothing, undefined] : [anyVersion, named];
  }

  /** Walks two lists as the one order that they are together; `visit` says what becomes of each entry. */
  function walk(
    a: OrderedList<T>,
    b: OrderedList<T> | undefined,
    visit: (entry: T) => 'taken' | 'passed' | 'end',
  ): void {
    let [inA, inB] = [0, 0];
    while (inA + inB <= MAX_PASSED_OVER) {
      const [one, other] = [a.at(inA), b?.at(inB)];
      const isOne = one !== undefined && (other === undefined || order(one, other) < 0);
      const next = isOne ? one : other;
      if (next === undefined) return;
      const became = visit(next);
      if (became === 'end') return;
      if (became === 'taken') continue;
      if (isOne) inA += 1;
      else inB += 1;
    }
  }

  return {
    get jobs() {
      return jobs;
    },
    get rows() {
      return rows;
    },
    get soloJobs() {
      return soloJobs;
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
    add(entry, place) {
      entry.place = place;
      jobs += 1;
      if (place === 'deferred') return;
      const to = lane(entry.version);
      if (place === 'solo') {
        to.solos.insert(entry);
        soloJobs += 1;
        return;
      }
      to.entries.insert(entry);
      to.rows += entry.rows;
      rows += entry.rows;
    },
    remove(entry) {
      drop(entry);
    },
    take(which, maxRows, capacityRows) {
      const taken: T[] = [];
      let left = maxRows;
      const [one, other] = lanesOf(which);
      walk(one.entries, other?.entries, (next) => {
        if (left === 0) return 'end';
        if (next.rows > left) return next.rows <= capacityRows ? 'end' : 'passed';
        serve(next);
        taken.push(next);
        left -= next.rows;
        return 'taken';
      });
      return taken;
    },
    takeSolo(which, maxRows, capacityRows) {
      let taken: T | null = null;
      const [one, other] = lanesOf(which);
      walk(one.solos, other?.solos, (next) => {
        if (taken !== null) return 'end';
        if (next.rows > maxRows) return next.rows <= capacityRows ? 'end' : 'passed';
        serve(next);
        taken = next;
        return 'taken';
      });
      return taken;
    },
    rowsFor(which) {
      const [one, other] = lanesOf(which);
      return one.rows + (other?.rows ?? 0);
    },
    soloJobsFor(which) {
      const [one, other] = lanesOf(which);
      return one.solos.size + (other?.solos.size ?? 0);
    },
    oldest() {
      let found: T | null = null;
      for (const { entries, solos } of [anyVersion, ...pinned.values()]) {
        for (const list of [entries, solos]) {
          for (const entry of list.backwards(null)) if (found === null || entry.seq < found.seq) found = entry;
        }
      }
      return found;
    },
    position(entry) {
      if (entry.place !== 'line') return null;
      let before = anyVersion.entries.rank(entry);
      for (const one of pinned.values()) before += one.entries.rank(entry);
      return before;
    },
  };
}

interface Accepted extends Waiting {
  readonly job: { readonly createdAt: number };
}

/** Of those that might be claimed now, how long the oldest of each model has waited. */
export function oldestAges(
  models: ReadonlyMap<string, { readonly queue: Pick<MemoryQueue<Accepted>, 'jobs' | 'oldest'> }>,
  now: number,
): Map<string, number> {
  const ages = new Map<string, number>();
  for (const [name, { queue }] of models) {
    const oldest = queue.jobs === 0 ? null : queue.oldest();
    if (oldest !== null) ages.set(name, Math.max(0, now - oldest.job.createdAt));
  }
  return ages;
}
