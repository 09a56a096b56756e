/**
 * One version of a model as it is served: its kind, its instances and its lane behind one face. Two sorts: `bytes` models
 * answer at once, `batch` models have a pipeline. Owner of the state that is reported to the gateway.
 */
import { PosternError, toPosternError } from '../errors.ts';
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { ModelReport } from '../protocol/messages.ts';
import { loadBytesRunner, loadRunner } from '../runners/registry.ts';
import type { Gate } from './gate.ts';
import { createInstance } from './instance.ts';
import type { Instance } from './instance.ts';
import { createImageKind } from './kinds/image/image.ts';
import { createLane, LANE_DEPTH } from './lane.ts';
import type { Lane, LaneEntry } from './lane.ts';
import type { EchoManifest, ImageClassificationManifest } from './manifest.ts';
import type { AttemptEnd, Assignment } from './ports.ts';
import type { RepositoryEntry } from './repository.ts';
import type { BytesRunner } from './runner.ts';

export type ModelEntry = Extract<RepositoryEntry, { type: 'model' }>;

export interface ServedOptions {
  readonly entry: ModelEntry;
  readonly maxImagePixels: number;
  readonly gate: Gate;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  /** The report or the capacity changed. */
  readonly onChange: () => void;
  readonly onEnd: (assignment: Assignment, end: AttemptEnd) => void;
}

interface ServedCommon {
  readonly name: string;
  readonly version: string;
  report(): ModelReport;
  /** Rows that it accepts in all; 0 while it is not ready. */
  capacityRows(): number;
  /** Resolves when it is ready or failed; never rejects. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface ServedBytes extends ServedCommon {
  readonly type: 'bytes';
  answer: BytesRunner['answer'];
}

export interface ServedBatch extends ServedCommon {
  readonly type: 'batch';
  accept(assignment: Assignment): LaneEntry;
  cancel(entry: LaneEntry): void;
}

export type Served = ServedBytes | ServedBatch;

export function createServed(options: ServedOptions): Served {
  const { manifest } = options.entry;
  switch (manifest.kind) {
    case 'echo':
      return createServedBytes(options, manifest);
    case 'image-classification':
      return createServedBatch(options, manifest);
    default:
      return manifest satisfies never;
  }
}

function createServedBytes(options: ServedOptions, manifest: EchoManifest): ServedBytes {
  const { name, version, kind, description, concurrency } = manifest;
  let runner: BytesRunner | undefined;
  return {
    type: 'bytes',
    name,
    version,
    report: () => ({ name, version, kind, description, state: runner ? 'ready' : 'loading', maxRows: 1 }),
    capacityRows: () => (runner ? concurrency : 0),
    async start() {
      runner = await loadBytesRunner();
      options.onChange();
    },
    stop: () => Promise.resolve(),
    answer(contentType, input) {
      if (!runner) throw new PosternError('model_unavailable', 'the model is not loaded');
      return runner.answer(contentType, input);
    },
  };
}

function createServedBatch(options: ServedOptions, manifest: ImageClassificationManifest): ServedBatch {
  const { name, version, kind: kindName, description, concurrency } = manifest;
  const { clock } = options;
  const logger = options.logger.child({ model: name, version });
  const maxRows = manifest.batch.max_rows;
  let instances: readonly Instance[] = [];
  let lane: Lane | undefined;
  /** Why it could not even be put together (labels are missing, …). */
  let broken: PosternError | undefined;
  let reported = '';

  function state(): ModelReport['state'] {
    if (broken) return 'failed';
    if (instances.some((instance) => instance.state === 'idle' || instance.state === 'busy')) return 'ready';
    return instances.length > 0 && instances.every((instance) => instance.state === 'failed') ? 'failed' : 'loading';
  }

  function report(): ModelReport {
    const error = broken ?? instances.find((instance) => instance.error)?.error;
    const message = error?.message.slice(0, 2_000);
    return { name, version, kind: kindName, description, state: state(), maxRows, ...(message ? { message } : {}) };
  }

  const liveInstances = (): number =>
    instances.filter((instance) => instance.state === 'idle' || instance.state === 'busy').length;

  function onInstanceChange(): void {
    lane?.pump();
    // A crash keeps what waits for one new load; when that fails too, another worker may do better.
    const hopeless =
      liveInstances() === 0 && instances.every((instance) => instance.failures > 1 || instance.state === 'failed');
    if (hopeless) lane?.handBack(new PosternError('model_unavailable', 'the model cannot be loaded again now'));
    const now = `${state()} ${liveInstances()}`;
    if (now === reported) return;
    reported = now;
    options.onChange();
  }

  return {
    type: 'batch',
    name,
    version,
    report,
    capacityRows: () => liveInstances() * maxRows * LANE_DEPTH,
    async start() {
      try {
        const { folder } = options.entry;
        const kind = await createImageKind({ folder, manifest, maxPixels: options.maxImagePixels, clock });
        const createRunner = await loadRunner(manifest.runner);
        const runnerOptions = { folder, file: manifest.file, providers: manifest.providers, threads: manifest.threads };
        const instanceOptions = { createRunner, runnerOptions, kind, maxRows, warmUpRuns: manifest.warm_up.runs };
        const { random } = options;
        instances = Array.from({ length: concurrency }, () =>
          createInstance({ ...instanceOptions, clock, random, logger, onChange: onInstanceChange }),
        );
        const { gate, onEnd } = options;
        lane = createLane({ kind, instances, maxRows, maxDelayMs: manifest.batch.max_delay_ms, gate, clock, onEnd });
        await Promise.all(instances.map((instance) => instance.start()));
      } catch (thrown) {
        broken = toPosternError(thrown, 'model_invalid');
        logger.error('model could not be prepared', { code: broken.code, reason: broken.message });
        options.onChange();
      }
    },
    async stop() {
      lane?.handBack(new PosternError('model_unavailable', 'the worker stops'));
      await Promise.all(instances.map((instance) => instance.stop()));
    },
    accept(assignment) {
      if (!lane) throw new PosternError('model_unavailable', 'the model is not loaded');
      return lane.accept(assignment);
    },
    cancel: (entry) => lane?.cancel(entry),
  };
}
