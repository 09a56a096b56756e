/**
 * A model whose runner answers bytes with bytes, each input by itself. What is answered on the spot passes through without a
 * promise; what takes its time can be canceled, and can put its output out in parts.
 */
import { PosternError, toPosternError } from '../errors.ts';
import type { Clock } from '../clock.ts';
import type { ModelReport, Timings } from '../protocol/messages.ts';
import type { LaneEntry } from './lane.ts';
import { Parts } from './parts.ts';
import type { Reports } from './parts.ts';
import type { AttemptEnd, Assignment } from './ports.ts';
import type { BytesRunner, Output, Part, RunCall, RunEvents } from './runner.ts';
import type { ServedModel } from './served-batch.ts';

/** An answer that was there at once; the same object every time, because it is the hot path. */
const NO_TIME: Timings = Object.freeze({ queueMs: 0, decodeMs: 0, batchMs: 0, computeMs: 0 });

export interface ServedBytesOptions {
  readonly name: string;
  readonly version: string;
  readonly kindName: string;
  readonly description: string | undefined;
  /** Inputs under way at once. */
  readonly concurrency: number;
  readonly load: () => Promise<BytesRunner>;
  readonly clock: Clock;
  readonly reports: Reports;
  readonly onChange: () => void;
  readonly onEnd: (assignment: Assignment, end: AttemptEnd) => void;
}

export function createServedBytes(options: ServedBytesOptions): ServedModel {
  const { name, version, description, concurrency } = options;
  const about = {
    name,
    version,
    kind: options.kindName,
    maxRows: 1,
    ...(description === undefined ? {} : { description }),
  };
  let runner: BytesRunner | undefined;
  let broken: PosternError | undefined;
  const running = new Set<BytesRun>();

  return {
    name,
    version,
    report: (): ModelReport => ({
      ...about,
      state: runner ? 'ready' : broken ? 'failed' : 'loading',
      ...(broken ? { message: broken.message.slice(0, 2_000) } : {}),
    }),
    capacityRows: () => (runner ? concurrency : 0),
    async start() {
      try {
        runner = await options.load();
      } catch (thrown) {
        broken = toPosternError(thrown, 'model_invalid');
      }
      options.onChange();
    },
    stop() {
      for (const run of running) run.cancel();
      return Promise.resolve();
    },
    accept(assignment) {
      if (!runner) throw new PosternError('model_unavailable', 'the model is not loaded');
      const run = new BytesRun(assignment, options);
      const answer = runner.answer(assignment, run);
      if (answer instanceof Promise) {
        running.add(run);
        void answer.then(run.succeed, run.fail).finally(() => running.delete(run));
      } else if (answer === null) run.succeed(null);
      else run.answerAtOnce(answer);
      return run;
    },
    cancel: (entry) => (entry as BytesRun).cancel(),
  };
}

/** One attempt while it runs, seen from the lane (an entry) and from the runner (a call with one item). */
class BytesRun implements LaneEntry, RunCall, RunEvents {
  readonly items = 1;
  readonly assignment: Assignment;
  readonly rows = 1;
  readonly solo = false;
  readonly readyAt: number;
  readonly #options: ServedBytesOptions;
  #abort: AbortController | null = null;
  #parts: Parts | null = null;
  #canceled = false;
  ended = false;
  toldProgress = false;

  constructor(assignment: Assignment, options: ServedBytesOptions) {
    this.assignment = assignment;
    this.readyAt = assignment.receivedAt;
    this.#options = options;
  }

  get deadlineAt(): number | null {
    return this.assignment.deadlineAt;
  }

  get stage(): LaneEntry['stage'] {
    return this.ended ? 'ended' : 'running';
  }

  get events(): RunEvents {
    return this;
  }

  /** Made when it is asked for: most runners answer at once and never look. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#canceled && !this.#abort.signal.aborted) this.#abort.abort();
    return this.#abort.signal;
  }

  signalOf(): AbortSignal {
    return this.signal;
  }

  partial(_item: number, part: Part): Promise<void> | undefined {
    if (this.ended || this.#canceled) return undefined;
    if (!(part.bytes instanceof Uint8Array)) throw new PosternError('output_invalid', 'a bytes runner puts out bytes');
    this.#parts ??= new Parts(this.assignment, this.#options.reports);
    return this.#parts.add(part as Output);
  }

  progress(_item: number, fraction: number | null, message: string | null): void {
    if (this.ended || this.#canceled) return;
    this.toldProgress = true;
    this.#options.reports.progress(this.assignment, fraction, message);
  }

  /** The slot is free when the runner says so, and not before. */
  cancel(): void {
    if (this.ended) return;
    this.#canceled = true;
    this.#abort?.abort();
    this.#parts?.letGo();
  }

  answerAtOnce({ contentType, bytes }: Output): void {
    if (this.#parts !== null) this.succeed(null);
    else this.#end({ type: 'result', contentType, output: bytes, timings: NO_TIME });
  }

  readonly succeed = (answer: Output | null): void => {
    try {
      const output = this.#parts?.output() ?? answer;
      if (output === null) throw new PosternError('output_invalid', 'the model answered nothing');
      const computeMs = Math.max(0, this.#options.clock.monotonic() - this.assignment.receivedAt);
      const timings = { ...NO_TIME, computeMs: Math.round(computeMs * 1_000) / 1_000 };
      this.#end({ type: 'result', contentType: output.contentType, output: output.bytes, timings });
    } catch (thrown) {
      this.fail(thrown);
    }
  };

  readonly fail = (thrown: unknown): void => {
    const error = toPosternError(thrown, 'model_failed');
    this.#end({ type: 'failure', error, retryable: error.retryable });
  };

  #end(how: AttemptEnd): void {
    if (this.ended) return;
    this.ended = true;
    this.#options.onEnd(this.assignment, this.#canceled ? { type: 'canceled' } : how);
  }
}
