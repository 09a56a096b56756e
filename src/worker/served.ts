/**
 * One version of a model as it is served, made from its folder: what answers bytes with bytes (`served-bytes.ts`), or what
 * has a pipeline of batches (`served-batch.ts`).
 */
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { loadBytesRunner, loadRunner } from '../runners/registry.ts';
import type { Gate } from './gate.ts';
import { createImageKind } from './kinds/image/image.ts';
import { createTensorsKind } from './kinds/tensors/tensors.ts';
import type { Reports } from './parts.ts';
import type { AttemptEnd, Assignment } from './ports.ts';
import type { RepositoryEntry } from './repository.ts';
import { createServedBatch } from './served-batch.ts';
import type { ServedModel } from './served-batch.ts';
import { createServedBytes } from './served-bytes.ts';

export type ModelEntry = Extract<RepositoryEntry, { type: 'model' }>;

export interface ServedOptions {
  readonly entry: ModelEntry;
  readonly maxImagePixels: number;
  readonly gate: Gate;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly reports: Reports;
  /** The report or the capacity changed. */
  readonly onChange: () => void;
  readonly onEnd: (assignment: Assignment, end: AttemptEnd) => void;
}

export function createServed(options: ServedOptions): ServedModel {
  const { entry, clock, random, logger, gate, reports, onChange, onEnd } = options;
  const { folder, manifest } = entry;
  switch (manifest.kind) {
    case 'echo':
      return createServedBytes({
        name: manifest.name,
        version: manifest.version,
        kindName: manifest.kind,
        description: manifest.description,
        concurrency: manifest.concurrency,
        load: loadBytesRunner,
        clock,
        reports,
        onChange,
        onEnd,
      });
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
        reports,
        onChange,
        onEnd,
      });
    case 'tensors':
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
          kind: await createTensorsKind({ folder, manifest }),
          createRunner: await loadRunner(manifest.runner),
        }),
        gate,
        clock,
        random,
        logger,
        reports,
        onChange,
        onEnd,
      });
    default:
      return manifest satisfies never;
  }
}
