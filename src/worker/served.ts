/**
 * One version of a model as it is served, made from its folder. Two sorts: `bytes` models answer at once, `batch` models
 * have a pipeline (`served-batch.ts`).
 */
import { PosternError } from '../errors.ts';
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { loadBytesRunner, loadRunner } from '../runners/registry.ts';
import type { Gate } from './gate.ts';
import { createImageKind } from './kinds/image/image.ts';
import type { EchoManifest } from './manifest.ts';
import type { AttemptEnd, Assignment } from './ports.ts';
import type { RepositoryEntry } from './repository.ts';
import type { BytesRunner } from './runner.ts';
import { createServedBatch } from './served-batch.ts';
import type { ServedBatch } from './served-batch.ts';

export type ModelEntry = Extract<RepositoryEntry, { type: 'model' }>;

export interface ServedBytes extends Omit<ServedBatch, 'type' | 'accept' | 'cancel'> {
  readonly type: 'bytes';
  readonly answer: BytesRunner['answer'];
}

export type Served = ServedBytes | ServedBatch;

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

export function createServed(options: ServedOptions): Served {
  const { entry, clock, random, logger, gate, onChange, onEnd } = options;
  const { folder, manifest } = entry;
  switch (manifest.kind) {
    case 'echo':
      return createServedBytes(manifest, onChange);
    case 'image-classification':
      return createServedBatch({
        name: manifest.name,
        version: manifest.version,
        kindName: manifest.kind,
        description: manifest.description,
        maxRows: manifest.batch.max_rows,
        maxDelayMs: manifest.batch.max_delay_ms,
        warmUpRuns: manifest.warm_up.runs,
        concurrency: manifest.concurrency,
        runnerOptions: { folder, file: manifest.file, providers: manifest.providers, threads: manifest.threads },
        build: async () => ({
          kind: await createImageKind({ folder, manifest, maxPixels: options.maxImagePixels, clock }),
          createRunner: await loadRunner(manifest.runner),
        }),
        gate,
        clock,
        random,
        logger,
        onChange,
        onEnd,
      });
    default:
      return manifest satisfies never;
  }
}

function createServedBytes(manifest: EchoManifest, onChange: () => void): ServedBytes {
  const { name, version, kind, description, concurrency } = manifest;
  const about = { name, version, kind, maxRows: 1, ...(description === undefined ? {} : { description }) };
  let runner: BytesRunner | undefined;
  return {
    type: 'bytes',
    name,
    version,
    report: () => ({ ...about, state: runner ? 'ready' : 'loading' }),
    capacityRows: () => (runner ? concurrency : 0),
    async start() {
      runner = await loadBytesRunner();
      onChange();
    },
    stop: () => Promise.resolve(),
    answer(contentType, input) {
      if (!runner) throw new PosternError('model_unavailable', 'the model is not loaded');
      return runner.answer(contentType, input);
    },
  };
}
