/**
 * The way of an attempt through one model: waiting → preparing → ready → running → ended.
 *
 * Preparing (decoding) passes the worker's common gate; the batcher holds what is ready; every idle instance takes a
 * batch. Credit keeps it bounded: see {@link LANE_DEPTH}. Owner of the entries between arrival and end.
 */
import { PosternError, toPosternError } from '../errors.ts';
import type { Clock, Timer } from '../clock.ts';
import type { AttemptEnd, Assignment } from './ports.ts';
import { createBatcher } from './batcher.ts';
import type { BatchEntry } from './batcher.ts';
import type { Gate } from './gate.ts';
import type { Instance } from './instance.ts';
import type { BatchKind, Item, Output } from './kinds/kind.ts';
import { Parts } from './parts.ts';
import type { Reports } from './parts.ts';
import type { Part, RunCall, RunEvents } from './runner.ts';

/**
 * Rows in a lane for every row that runs: one batch runs while the next is decoded, so 2. More would only hoard work
 * that another worker could do; less would leave the runner idle while it decodes.
 */
export const LANE_DEPTH = 2;

export type Stage = 'waiting' | 'preparing' | 'ready' | 'running' | 'ended';

export interface LaneOptions {
  readonly kind: BatchKind;
  readonly instances: readonly Instance[];
  readonly maxRows: number;
  readonly maxDelayMs: number;
  readonly gate: Gate;
  readonly clock: Clock;
  readonly reports: Reports;
  /** Called exactly once for every accepted attempt. */
  readonly onEnd: (assignment: Assignment, end: AttemptEnd) => void;
}

export interface Lane {
  accept(assignment: Assignment): LaneEntry;
  /** Drops what has not begun; what runs ends when the runner lets go of it. */
  cancel(entry: LaneEntry): void;
  /** To be called when an instance changed state. */
  pump(): void;
  /** Ends everything that does not run with a failure that another worker may mend. */
  handBack(error: PosternError): void;
}

export interface LaneEntry extends BatchEntry {
  readonly assignment: Assignment;
  readonly stage: Stage;
  /** The model itself tells how far it is. */
  readonly toldProgress: boolean;
}

interface Entry extends LaneEntry {
  stage: Stage;
  rows: number;
  group: string | undefined;
  item: Item | null;
  cancelRequested: boolean;
  solo: boolean;
  startedAt: number;
  readyAt: number;
  batch: Batch | null;
  /** What it has put out; null: nothing yet. */
  parts: Parts | null;
  /** Its own failure while its batch goes on: it put out more than it may. */
  fault: PosternError | null;
  /** Made when the runner asks for it. */
  abort: AbortController | null;
  toldProgress: boolean;
  ended: boolean;
}

/** One run. It is aborted when nobody wants any of its rows. */
interface Batch {
  readonly abort: AbortController;
  wantedEntries: number;
}

const milliseconds = (span: number): number => Math.max(0, Math.round(span * 1_000) / 1_000);

export function createLane(options: LaneOptions): Lane {
  const { kind, instances, gate, clock } = options;
  const batcher = createBatcher<Entry>({ maxRows: options.maxRows, maxDelayMs: options.maxDelayMs });
  /** Not yet ready; needed to hand them back. */
  const preparing = new Set<Entry>();
  let due: Timer | undefined;

  function end(entry: Entry, how: AttemptEnd): void {
    if (entry.ended) return;
    entry.ended = true;
    entry.stage = 'ended';
    entry.item = null;
    preparing.delete(entry);
    options.onEnd(entry.assignment, how);
  }

  const fail = (entry: Entry, error: PosternError): void =>
    end(entry, entry.cancelRequested ? { type: 'canceled' } : { type: 'failure', error, retryable: error.retryable });

  const expire = (entry: Entry): void =>
    fail(entry, new PosternError('deadline_exceeded', 'the deadline passed before it ran'));

  function prepare(entry: Entry, leave: () => void): void {
    if (entry.ended) {
      leave();
      return;
    }
    entry.startedAt = clock.monotonic();
    const { assignment } = entry;
    if (assignment.deadlineAt !== null && assignment.deadlineAt <= entry.startedAt) {
      expire(entry);
      leave();
      return;
    }
    entry.stage = 'preparing';
    kind.prepare(assignment.input, assignment.contentType, assignment.parameters).then(
      (item) => {
        leave();
        preparing.delete(entry);
        if (entry.ended) return;
        entry.item = item;
        entry.rows = item.rows;
        entry.group = item.group;
        entry.readyAt = clock.monotonic();
        entry.stage = 'ready';
        batcher.add(entry);
        pump();
      },
      (thrown: unknown) => {
        leave();
        fail(entry, toPosternError(thrown, 'model_failed'));
      },
    );
  }

  function pump(): void {
    due?.cancel();
    due = undefined;
    while (batcher.size > 0) {
      const instance = instances.find((candidate) => candidate.state === 'idle');
      if (!instance) return;
      const assembly = batcher.take(clock.monotonic());
      assembly.expired.forEach(expire);
      if (assembly.type === 'wait') due = clock.after(assembly.delayMs, pump);
      if (assembly.type !== 'run') return;
      void runBatch(instance, assembly.entries);
    }
  }

  /** Never rejects: every entry of the batch is ended, whatever happens. */
  async function runBatch(instance: Instance, entries: readonly Entry[]): Promise<void> {
    const batch: Batch = { abort: new AbortController(), wantedEntries: entries.length };
    for (const entry of entries) {
      entry.stage = 'running';
      entry.batch = batch;
    }
    const begunAt = clock.monotonic();
    try {
      const items = entries.map((entry) => entry.item!);
      const call: RunCall = {
        signal: batch.abort.signal,
        items: entries.length,
        signalOf: (index) => signalOf(entries[index]!),
        events: eventsOf(entries, items),
      };
      const outcomes = await instance.run(items, call);
      const endedAt = clock.monotonic();
      entries.forEach((entry, index) => settle(entry, outcomes[index]!, begunAt, endedAt));
    } catch (thrown) {
      const error = toPosternError(thrown, 'model_failed');
      // One row can spoil a whole batch: alone, the bad one fails by itself and the others succeed. A runner that died is
      // another matter: what is retryable goes back to the gateway.
      if (entries.length === 1 || error.retryable || batch.abort.signal.aborted)
        entries.forEach((entry) => fail(entry, error));
      else runAlone(entries, error);
    }
    pump();
  }

  /** What the runner may call while it runs. Late calls, of items that have ended or were canceled, go nowhere. */
  function eventsOf(entries: readonly Entry[], items: readonly Item[]): RunEvents {
    const wanted = (index: number): Entry | null => {
      const entry = entries[index];
      if (!entry) throw new PosternError('model_failed', `there is no item ${index} in a batch of ${entries.length}`);
      return entry.ended || entry.cancelRequested || entry.fault !== null ? null : entry;
    };
    return {
      partial(index, part) {
        const entry = wanted(index);
        if (entry === null) return undefined;
        try {
          entry.parts ??= new Parts(entry.assignment, options.reports);
          return entry.parts.add(partOutput(part, items[index]!));
        } catch (thrown) {
          entry.fault = toPosternError(thrown, 'output_invalid');
          throw entry.fault;
        }
      },
      progress(index, fraction, message) {
        const entry = wanted(index);
        if (entry === null) return;
        entry.toldProgress = true;
        options.reports.progress(entry.assignment, fraction, message);
      },
    };
  }

  function partOutput(part: Part, item: Item): Output {
    if (part.bytes instanceof Uint8Array) return part as Output;
    if (kind.part) return kind.part(part as Exclude<Part, Output>, item);
    throw new PosternError('output_invalid', 'this kind of model puts out its parts as bytes, not as tensors');
  }

  function signalOf(entry: Entry): AbortSignal {
    entry.abort ??= new AbortController();
    if (entry.cancelRequested) entry.abort.abort();
    return entry.abort.signal;
  }

  function runAlone(entries: readonly Entry[], error: PosternError): void {
    for (const entry of entries) {
      if (entry.cancelRequested) end(entry, { type: 'canceled' });
      // A second run would put the same parts out again, under other numbers.
      else if (entry.parts !== null) fail(entry, entry.fault ?? error);
    }
    const wanted = entries.filter((entry) => !entry.ended);
    for (const entry of wanted) {
      entry.stage = 'ready';
      entry.solo = true;
    }
    batcher.putBack(wanted);
  }

  function settle(entry: Entry, outcome: Output | PosternError, begunAt: number, endedAt: number): void {
    if (entry.cancelRequested) {
      end(entry, { type: 'canceled' });
      return;
    }
    const whole = entry.fault ?? (entry.parts === null ? outcome : wholeOf(entry.parts));
    if (whole instanceof PosternError) {
      fail(entry, whole);
      return;
    }
    const timings = {
      queueMs: milliseconds(entry.startedAt - entry.assignment.receivedAt),
      decodeMs: milliseconds(entry.readyAt - entry.startedAt),
      batchMs: milliseconds(begunAt - entry.readyAt),
      computeMs: milliseconds(endedAt - begunAt),
    };
    end(entry, { type: 'result', contentType: whole.contentType, output: whole.bytes, timings });
  }

  function wholeOf(parts: Parts): Output | PosternError {
    try {
      return parts.output();
    } catch (thrown) {
      return toPosternError(thrown, 'output_invalid');
    }
  }

  return {
    accept(assignment) {
      const entry: Entry = {
        assignment,
        stage: 'waiting',
        rows: assignment.rows,
        group: undefined,
        deadlineAt: assignment.deadlineAt,
        item: null,
        cancelRequested: false,
        startedAt: 0,
        readyAt: 0,
        batch: null,
        parts: null,
        fault: null,
        abort: null,
        toldProgress: false,
        solo: false,
        ended: false,
      };
      preparing.add(entry);
      gate.enter((leave) => prepare(entry, leave));
      return entry;
    },
    cancel(cancelled) {
      const entry = cancelled as Entry;
      if (entry.ended || entry.cancelRequested) return;
      entry.cancelRequested = true;
      if (entry.stage !== 'running') {
        end(entry, { type: 'canceled' });
        return;
      }
      entry.abort?.abort();
      entry.parts?.letGo();
      const batch = entry.batch!;
      batch.wantedEntries--;
      if (batch.wantedEntries === 0) batch.abort.abort();
    },
    pump,
    handBack(error) {
      due?.cancel();
      for (const entry of [...preparing, ...batcher.takeAll()]) fail(entry, error);
    },
  };
}
