/**
 * The sums and tags that many elements of one transaction touch: read once, changed in memory, written once before the
 * commit. Owner of `lane`, `total`, `served_tag` and `next_tag`. Between transactions it remembers nothing, because another
 * process may have committed.
 */
import type { DatabaseSync } from 'node:sqlite';
import { createCallerLoads } from './caller-loads.ts';

export interface Lane {
  /** All that wait. */
  waitingJobs: number;
  /** Of those in line. */
  waitingRows: number;
  soloJobs: number;
  processingJobs: number;
}

export interface Total {
  nextSeq: number;
  inputBytes: number;
  decidedJobs: number;
  outputBytes: number;
}

/** What is waiting or running, as the sums see it. */
export interface Counted {
  readonly model: string;
  readonly version: string;
  readonly rows: number;
}

/** Where a waiting job stands: see `schema.ts`. */
export type Place = 'line' | 'solo' | 'deferred';

interface ModelSums {
  readonly lanes: Map<string, Lane>;
  waitingJobs: number;
}

interface Tag {
  readonly model: string;
  readonly priority: number;
  tag: number;
  isChanged: boolean;
}

export type Ledger = ReturnType<typeof createLedger>;

export function createLedger(db: DatabaseSync) {
  const readLanes = db.prepare(
    'SELECT version, waiting_jobs, waiting_rows, solo_jobs, processing_jobs FROM lane WHERE model = ?',
  );
  const writeLane =
    db.prepare(`INSERT OR REPLACE INTO lane (model, version, waiting_jobs, waiting_rows, solo_jobs, processing_jobs)
     VALUES (?, ?, ?, ?, ?, ?)`);
  const readTotal = db.prepare('SELECT next_seq, input_bytes, decided_jobs, output_bytes FROM total');
  const writeTotal = db.prepare(
    'UPDATE total SET next_seq = ?, input_bytes = ?, decided_jobs = ?, output_bytes = ? WHERE one = 1',
  );
  const readServed = db.prepare('SELECT tag FROM served_tag WHERE model = ? AND priority = ?');
  const writeServed = db.prepare('INSERT OR REPLACE INTO served_tag VALUES (?, ?, ?)');
  const readNext = db.prepare('SELECT tag FROM next_tag WHERE model = ? AND priority = ? AND caller = ?');
  const writeNext = db.prepare('INSERT OR REPLACE INTO next_tag VALUES (?, ?, ?, ?)');
  const clearServed = db.prepare('DELETE FROM served_tag WHERE model = ?');
  const clearNext = db.prepare('DELETE FROM next_tag WHERE model = ?');
  for (const statement of [readLanes, readTotal, readServed, readNext]) statement.setReturnArrays(true);

  const callers = createCallerLoads(db);
  const models = new Map<string, ModelSums>();
  const changedLanes = new Map<Lane, readonly [model: string, version: string]>();
  const served = new Map<string, Tag>();
  const next = new Map<string, Tag & { readonly caller: string }>();
  let total: Total | null = null;
  let isTotalChanged = false;

  function modelOf(model: string): ModelSums {
    let found = models.get(model);
    if (found) return found;
    found = { lanes: new Map(), waitingJobs: 0 };
    for (const row of readLanes.all(model) as unknown as [string, number, number, number, number][]) {
      const [version, waitingJobs, waitingRows, soloJobs, processingJobs] = row;
      found.lanes.set(version, { waitingJobs, waitingRows, soloJobs, processingJobs });
      found.waitingJobs += waitingJobs;
    }
    models.set(model, found);
    return found;
  }

  function lane(model: string, version: string): Lane {
    const { lanes } = modelOf(model);
    let found = lanes.get(version);
    if (!found) lanes.set(version, (found = { waitingJobs: 0, waitingRows: 0, soloJobs: 0, processingJobs: 0 }));
    changedLanes.set(found, [model, version]);
    return found;
  }

  function wait({ model, version, rows }: Counted, place: Place, jobs: 1 | -1): void {
    const at = lane(model, version);
    at.waitingJobs += jobs;
    if (place === 'line') at.waitingRows += jobs * rows;
    else if (place === 'solo') at.soloJobs += jobs;
    modelOf(model).waitingJobs += jobs;
  }

  function run({ model, version }: Counted, jobs: 1 | -1): void {
    lane(model, version).processingJobs += jobs;
  }

  function readTotals(): Total {
    if (total) return total;
    const [nextSeq, inputBytes, decidedJobs, outputBytes] = readTotal.get() as unknown as [
      number,
      number,
      number,
      number,
    ];
    total = { nextSeq, inputBytes, decidedJobs, outputBytes };
    return total;
  }

  function servedOf(model: string, priority: number): Tag {
    const key = `${priority}\n${model}`;
    let found = served.get(key);
    if (!found) {
      const row = readServed.get(model, priority) as unknown as [number] | undefined;
      served.set(key, (found = { model, priority, tag: row?.[0] ?? 0, isChanged: false }));
    }
    return found;
  }

  /** The start tag of a new job: see `memory-queue.ts` for the rule. */
  function tag(model: string, priority: number, caller: string, rows: number): number {
    if (modelOf(model).waitingJobs === 0) endBusyPeriod(model);
    const key = `${priority}\n${caller}\n${model}`;
    let own = next.get(key);
    if (!own) {
      const row = readNext.get(model, priority, caller) as unknown as [number] | undefined;
      next.set(key, (own = { model, priority, caller, tag: row?.[0] ?? 0, isChanged: false }));
    }
    const start = Math.max(servedOf(model, priority).tag, own.tag);
    own.tag = start + rows;
    own.isChanged = true;
    return start;
  }

  /** An empty queue: nobody is ahead of anybody. */
  function endBusyPeriod(model: string): void {
    clearServed.run(model);
    clearNext.run(model);
    for (const [key, one] of served) if (one.model === model) served.delete(key);
    for (const [key, one] of next) if (one.model === model) next.delete(key);
  }

  function sumOver(model: string, version: string, namedOnly: boolean, of: (lane: Lane) => number): number {
    const { lanes } = modelOf(model);
    const [any, named] = [namedOnly ? undefined : lanes.get(''), version === '' ? undefined : lanes.get(version)];
    return (any ? of(any) : 0) + (named ? of(named) : 0);
  }

  function forgetAll(): void {
    models.clear();
    changedLanes.clear();
    served.clear();
    next.clear();
    total = null;
    isTotalChanged = false;
    callers.forget();
  }

  return {
    /** Undecided jobs by caller. */
    callers,
    wait,
    run,
    tag,
    waitingJobs: (model: string): number => modelOf(model).waitingJobs,
    /** Rows that a session with `version` may run; `namedOnly`: of jobs that ask for it by name. */
    waitingRows: (model: string, version: string, namedOnly = false): number =>
      sumOver(model, version, namedOnly, ({ waitingRows }) => waitingRows),
    soloJobs: (model: string, version: string, namedOnly = false): number =>
      sumOver(model, version, namedOnly, ({ soloJobs }) => soloJobs),
    /** A job with this tag was taken. */
    serve(model: string, priority: number, tagTaken: number): void {
      const at = servedOf(model, priority);
      if (tagTaken <= at.tag) return;
      at.tag = tagTaken;
      at.isChanged = true;
    },
    total: (): Readonly<Total> => readTotals(),
    /** For changing. */
    totalForUpdate(): Total {
      isTotalChanged = true;
      return readTotals();
    },
    /** Before the commit. */
    flush(): void {
      for (const [{ waitingJobs, waitingRows, soloJobs, processingJobs }, [model, version]] of changedLanes) {
        writeLane.run(model, version, waitingJobs, waitingRows, soloJobs, processingJobs);
      }
      if (total && isTotalChanged)
        writeTotal.run(total.nextSeq, total.inputBytes, total.decidedJobs, total.outputBytes);
      for (const one of served.values()) if (one.isChanged) writeServed.run(one.model, one.priority, one.tag);
      for (const one of next.values()) if (one.isChanged) writeNext.run(one.model, one.priority, one.caller, one.tag);
      callers.flush();
      forgetAll();
    },
    /** After a rollback. */
    forget: forgetAll,
  };
}
