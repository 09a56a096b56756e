/**
 * A pipeline whose kind and runner do what the test says and nothing else. Inputs are words: `bad…` cannot be decoded,
 * `spoil…` makes its whole batch fail, and every answer is the word in capitals.
 */
import { PosternError } from '../../src/errors.ts';
import { silentLogger } from '../../src/logger.ts';
import { createGate } from '../../src/worker/gate.ts';
import type { BatchKind, Item } from '../../src/worker/kinds/kind.ts';
import type { AttemptEnd, Assignment } from '../../src/worker/ports.ts';
import type { CreateRunner, RunCall, RunnerOptions, Tensor } from '../../src/worker/runner.ts';
import { createServedBatch } from '../../src/worker/served-batch.ts';
import type { ServedBatchOptions, ServedModel } from '../../src/worker/served-batch.ts';
import { createJournal } from './journal.ts';
import type { Journal } from './journal.ts';
import { createManualClock } from './manual-clock.ts';
import type { ManualClock } from './manual-clock.ts';
import { assignmentOf, createRecordingLink } from './recording-link.ts';
import type { RecordingLink } from './recording-link.ts';

interface WordItem extends Item {
  readonly word: string;
}

/** One batch that the runner was given and has not answered. */
export interface Run {
  readonly words: readonly string[];
  readonly call: RunCall;
  readonly signal: AbortSignal;
  succeed(): void;
  fail(error: PosternError): void;
}

export interface ControlledModel {
  readonly served: ServedModel;
  readonly clock: ManualClock;
  /** What the runs told of their attempts. */
  readonly link: RecordingLink;
  readonly runs: Journal<Run>;
  readonly ends: Journal<{ job: string; end: AttemptEnd }>;
  readonly changes: Journal<string>;
  /** What must never happen and did. */
  readonly faults: readonly string[];
  /** Words that were decoded. */
  readonly prepared: readonly string[];
  /** Kills the runner as a crash of its process would. */
  crash(): void;
  /** What the next loads do; by default they succeed. */
  failLoads(error: PosternError | null): void;
  /** From now on the runner never lets go. */
  hangUnload(): void;
  /** Words whose decoding waits until it is let go. */
  readonly blocked: Map<string, PromiseWithResolvers<void>>;
  assign(word: string, parts?: Partial<Assignment>): Assignment;
  endOf(job: string): Promise<AttemptEnd>;
}

export async function startControlledModel(parts: Partial<ServedBatchOptions> = {}): Promise<ControlledModel> {
  const clock = createManualClock();
  const link = createRecordingLink();
  const runs = createJournal<Run>();
  const ends = createJournal<{ job: string; end: AttemptEnd }>();
  const changes = createJournal<string>();
  const prepared: string[] = [];
  const faults: string[] = [];
  const blocked = new Map<string, PromiseWithResolvers<void>>();
  const texts = new WeakMap<object, readonly string[]>();
  let unloading: Promise<void> = Promise.resolve();
  let loadError: PosternError | null = null;
  let live: { options: RunnerOptions; running: PromiseWithResolvers<Record<string, Tensor>> | null } | undefined;

  const kind: BatchKind<WordItem> = {
    type: 'tensors',
    check: () => undefined,
    async prepare(input) {
      const word = Buffer.from(input).toString();
      await blocked.get(word)?.promise;
      if (word.startsWith('bad')) throw new PosternError('input_invalid', word);
      if (word !== 'warm-up') prepared.push(word);
      return { rows: 1, word };
    },
    assemble(items) {
      // An attempt that has ended has let go of its item.
      if (items.some((item) => item === (null as unknown))) faults.push('a row that had ended was put into a batch');
      const data = new Uint8Array(items.length);
      texts.set(
        data,
        items.map((item) => item.word),
      );
      return { words: { type: 'uint8', dims: [items.length], data } };
    },
    finish: (_outputs, items) =>
      items.map((item) => ({ contentType: 'text/plain', bytes: Buffer.from(item.word.toUpperCase()) })),
    sample: () => Promise.resolve({ contentType: 'text/plain', input: Buffer.from('warm-up'), parameters: {} }),
  };

  const createRunner: CreateRunner = (options) => ({
    load() {
      if (loadError) return Promise.reject(loadError);
      live = { options, running: null };
      return Promise.resolve({ inputs: [], outputs: [], device: 'test', warnings: [] });
    },
    run(inputs, call) {
      const words = texts.get(inputs.words!.data) ?? [];
      if (words.includes('warm-up')) return Promise.resolve({});
      const running = Promise.withResolvers<Record<string, Tensor>>();
      if (live) live.running = running;
      const { signal } = call;
      runs.add({ words, call, signal, succeed: () => running.resolve({}), fail: (error) => running.reject(error) });
      return running.promise;
    },
    unload: () => unloading,
  });

  const served = createServedBatch({
    name: 'words',
    version: '1',
    kindName: 'words',
    description: undefined,
    maxRows: 3,
    maxDelayMs: 0,
    warmUpRuns: 1,
    concurrency: 1,
    runnerOptions: { folder: '/nowhere', file: 'none', providers: ['cpu'], threads: 1 },
    build: () => Promise.resolve({ kind, createRunner }),
    gate: createGate(8),
    clock,
    random: () => 0.5,
    logger: silentLogger,
    reports: link,
    onChange: () => changes.add(served.report().state),
    onEnd: (assignment, end) => ends.add({ job: assignment.job, end }),
    ...parts,
  });
  await served.start();

  return {
    served,
    clock,
    link,
    runs,
    ends,
    changes,
    faults,
    prepared,
    blocked,
    crash() {
      const error = new PosternError('model_unavailable', 'the runner died');
      const dead = live;
      live = undefined;
      dead?.running?.reject(error);
      dead?.options.onExit(error);
    },
    hangUnload() {
      unloading = new Promise(() => undefined);
    },
    failLoads(error) {
      loadError = error;
    },
    assign(word, of = {}) {
      const assignment = assignmentOf(Buffer.from(word), { receivedAt: clock.monotonic(), ...of });
      served.accept(assignment);
      return assignment;
    },
    endOf: async (job) => (await ends.find((entry) => entry.job === job)).end,
  };
}
