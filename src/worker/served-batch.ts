/**
 * A model with a pipeline: its kind, its instances and its lane. Owner of the state that is reported to the gateway.
 *
 *   loading ──an instance is ready──▶ ready ──the last one died──▶ loading …        loading ──nothing can load──▶ failed
 */
import { PosternError, toPosternError } from '../errors.ts';
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { ModelReport } from '../protocol/messages.ts';
import type { Gate } from './gate.ts';
import { createInstance } from './instance.ts';
import type { Instance } from './instance.ts';
import type { BatchKind, TensorMetadata } from './kinds/kind.ts';
import { createLane, LANE_DEPTH } from './lane.ts';
import type { Lane, LaneEntry } from './lane.ts';
import type { Reports } from './parts.ts';
import type { AttemptEnd, Assignment, IncomingExchange } from './ports.ts';
import type { CreateRunner, RunnerOptions } from './runner.ts';

export interface ServedBatchOptions {
  readonly name: string;
  readonly version: string;
  readonly kindName: string;
  readonly description: string | undefined;
  readonly maxRows: number;
  readonly maxDelayMs: number;
  readonly warmUpRuns: number;
  /** Instances, each with a runner of its own. */
  readonly concurrency: number;
  readonly runnerOptions: Omit<RunnerOptions, 'onExit'>;
  /** Loads what the kind and the runner need; rejects with model_invalid. */
  readonly build: () => Promise<{ readonly kind: BatchKind; readonly createRunner: CreateRunner }>;
  readonly gate: Gate;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly reports: Reports;
  /** The report or the capacity changed. */
  readonly onChange: () => void;
  readonly onEnd: (assignment: Assignment, end: AttemptEnd) => void;
}

/** One version of a model as it is served. */
export interface ServedModel {
  readonly name: string;
  readonly version: string;
  report(): ModelReport;
  /** Rows that it accepts in all; 0 while it is not ready. */
  capacityRows(): number;
  /** Resolves when it is ready or failed; never rejects. */
  start(): Promise<void>;
  /** What has not begun is handed back with this error. */
  stop(reason?: PosternError): Promise<void>;
  accept(assignment: Assignment): LaneEntry;
  cancel(entry: LaneEntry): void;
  /** Of a local HTTP server: answers a request. Absent: it takes jobs only. */
  serve?(exchange: IncomingExchange): void;
}

const isLive = (instance: Instance): boolean => instance.state === 'idle' || instance.state === 'busy';

export function createServedBatch(options: ServedBatchOptions): ServedModel {
  const { name, version, maxRows, clock, random } = options;
  const logger = options.logger.child({ model: name, version });
  let instances: readonly Instance[] = [];
  let lane: Lane | undefined;
  let metadata = (): TensorMetadata | null => null;
  /** Why it could not even be put together (labels are missing, …). */
  let broken: PosternError | undefined;
  let reported = '';

  const liveInstances = (): number => instances.filter(isLive).length;

  function state(): ModelReport['state'] {
    if (broken) return 'failed';
    if (liveInstances() > 0) return 'ready';
    return instances.length > 0 && instances.every((instance) => instance.state === 'failed') ? 'failed' : 'loading';
  }

  function report(): ModelReport {
    const error = broken ?? instances.find((instance) => instance.error)?.error;
    return {
      name,
      version,
      kind: options.kindName,
      state: state(),
      maxRows,
      ...(options.description === undefined ? {} : { description: options.description }),
      ...metadata(),
      ...(error ? { message: error.message.slice(0, 2_000) } : {}),
    };
  }

  function onInstanceChange(): void {
    lane?.pump();
    // A crash keeps what waits for one new load; when that fails too, another worker may do better.
    const hopeless = instances.every((instance) => instance.failures > 1 || instance.state === 'failed');
    if (hopeless && liveInstances() === 0) {
      lane?.handBack(new PosternError('model_unavailable', 'the model died and could not be loaded again'));
    }
    const now = `${state()} ${liveInstances()}`;
    if (now === reported) return;
    reported = now;
    options.onChange();
  }

  async function load(): Promise<void> {
    const { kind, createRunner } = await options.build();
    metadata = () => kind.metadata?.() ?? null;
    const { runnerOptions, warmUpRuns, gate, maxDelayMs, reports, onEnd } = options;
    const common = { createRunner, runnerOptions, kind, maxRows, warmUpRuns, clock, random, logger };
    instances = Array.from({ length: options.concurrency }, () =>
      createInstance({ ...common, onChange: onInstanceChange }),
    );
    lane = createLane({ kind, instances, maxRows, maxDelayMs, gate, clock, reports, onEnd });
    await Promise.all(instances.map((instance) => instance.start()));
  }

  return {
    name,
    version,
    report,
    capacityRows: () => liveInstances() * maxRows * LANE_DEPTH,
    async start() {
      try {
        await load();
      } catch (thrown) {
        broken = toPosternError(thrown, 'model_invalid');
        logger.error('model could not be prepared', { code: broken.code, reason: broken.message });
        options.onChange();
      }
    },
    async stop(reason = new PosternError('draining', 'the worker stops')) {
      lane?.handBack(reason);
      await Promise.all(instances.map((instance) => instance.stop()));
    },
    accept(assignment) {
      if (!lane) throw new PosternError('model_unavailable', 'the model is not loaded');
      return lane.accept(assignment);
    },
    cancel: (entry) => lane?.cancel(entry),
  };
}
