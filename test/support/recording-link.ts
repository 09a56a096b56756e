/** A link without a wire: it records what the executor says, and lets a test wait for it. */
import type { AttemptEnd, Attempt, Assignment, WorkerLink } from '../../src/worker/ports.ts';
import type { ModelReport, StoredVersion } from '../../src/protocol/messages.ts';
import { createJournal } from './journal.ts';

export interface RecordingLink extends Pick<
  WorkerLink,
  'announce' | 'setCapacity' | 'busyRows' | 'progress' | 'partial' | 'end'
> {
  /** Rows that a test says are under way, by `model@version`; nothing unless it does. */
  readonly busy: Map<string, number>;
  /** What was last said of versions that are not loaded. */
  stored(): readonly StoredVersion[];
  readonly announced: readonly ModelReport[][];
  /** Latest capacity by `model@version`. */
  readonly capacity: ReadonlyMap<string, number>;
  /** How each attempt ended, by job id; every end, to find doubles. */
  readonly ends: ReadonlyMap<string, AttemptEnd[]>;
  readonly progressed: readonly { attempt: Attempt; fraction: number | null; message: string | null }[];
  /** Parts by job id, in order. */
  readonly parts: ReadonlyMap<string, { seq: number; contentType: string; text: string }[]>;
  /** From now on every part meets a reader that is behind; call what it returns to let it catch up. */
  hold(): () => void;
  /** Resolves when so many parts of the job were put out. */
  partsOf(job: string, count: number): Promise<readonly { seq: number; contentType: string; text: string }[]>;
  /** Resolves with how the job ended. */
  ended(job: string): Promise<AttemptEnd>;
  /** Resolves as soon as the latest announcement satisfies the condition. */
  announcedThat(condition: (models: readonly ModelReport[]) => boolean): Promise<readonly ModelReport[]>;
}

export function createRecordingLink(): RecordingLink {
  const announced: ModelReport[][] = [];
  const capacity = new Map<string, number>();
  const ends = new Map<string, AttemptEnd[]>();
  const progressed: { attempt: Attempt; fraction: number | null; message: string | null }[] = [];
  const parts = new Map<string, { seq: number; contentType: string; text: string }[]>();
  let behind: Promise<void> | undefined;
  const journal = createJournal<void>();
  const busy = new Map<string, number>();
  let stored: readonly StoredVersion[] = [];

  return {
    announced,
    capacity,
    ends,
    progressed,
    parts,
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>();
      behind = promise;
      return () => {
        behind = undefined;
        resolve();
      };
    },
    busy,
    stored: () => stored,
    busyRows: (model, version) => busy.get(`${model}@${version}`) ?? 0,
    announce(models, unloaded = []) {
      announced.push([...models]);
      stored = unloaded;
      journal.add();
    },
    setCapacity: (model, version, rows) => void capacity.set(`${model}@${version}`, rows),
    progress: (attempt, fraction, message) => void progressed.push({ attempt, fraction, message }),
    partial({ job }, seq, contentType, bytes) {
      const list = parts.get(job) ?? [];
      list.push({ seq, contentType, text: Buffer.from(bytes).toString() });
      parts.set(job, list);
      journal.add();
      return behind;
    },
    end(attempt, end) {
      const list = ends.get(attempt.job) ?? [];
      list.push(end);
      ends.set(attempt.job, list);
      journal.add();
    },
    partsOf: (job, count) => journal.until(() => ((parts.get(job)?.length ?? 0) >= count ? parts.get(job) : undefined)),
    ended: (job) => journal.until(() => ends.get(job)?.[0]),
    announcedThat: (condition) => journal.until(() => announced.findLast((models) => condition(models))),
  };
}

let jobs = 0;

/** An assignment of `input` to the model `colours` version 1, unless told otherwise. */
export function assignmentOf(input: Uint8Array, parts: Partial<Assignment> = {}): Assignment {
  return {
    job: `job-${++jobs}`,
    attempt: 1,
    model: 'colours',
    version: '1',
    rows: 1,
    contentType: 'image/jpeg',
    input: Buffer.from(input),
    parameters: {},
    deadlineAt: null,
    receivedAt: performance.now(),
    ...parts,
  };
}
