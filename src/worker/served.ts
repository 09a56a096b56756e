/**
 * One version of a model as it is served, made from its folder: what answers bytes with bytes (`served-bytes.ts`), or what
 * has a pipeline of batches (`served-batch.ts`).
 */
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { loadBytesRunner } from '../runners/registry.ts';
import { buildModel, runnerOptionsOf, type BatchedManifest } from './build.ts';
import type { WorkerConfig } from './config.ts';
import type { Gate } from './gate.ts';
import type { Reports } from './parts.ts';
import type { AttemptEnd, Assignment } from './ports.ts';
import type { RepositoryEntry } from './repository.ts';
import { createServedBatch } from './served-batch.ts';
import type { ServedModel } from './served-batch.ts';
import { createServedService } from './served-service.ts';
import { createServedBytes } from './served-bytes.ts';

export type ModelEntry = Extract<RepositoryEntry, { type: 'model' }>;

export interface ServedOptions {
  readonly entry: ModelEntry;
  readonly config: Pick<WorkerConfig, 'maxImagePixels' | 'python' | 'pythonEnvironment'>;
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
  const { entry, config, clock, random, logger, gate, reports, onChange, onEnd } = options;
  const { folder, manifest } = entry;
  const batched = (of: BatchedManifest): ServedModel =>
    createServedBatch({
      name: of.name,
      version: of.version,
      kindName: of.kind,
      description: of.description,
      maxRows: of.batch.max_rows,
      maxDelayMs: of.batch.max_delay_ms,
      warmUpRuns: of.warm_up.runs,
      concurrency: of.concurrency,
      runnerOptions: runnerOptionsOf(folder, of),
      build: () => buildModel({ folder, manifest: of, config, clock, logger }),
      gate,
      clock,
      random,
      logger,
      reports,
      onChange,
      onEnd,
    });

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
    case 'tensors':
    case 'json':
    case 'text':
    case 'bytes':
    case 'image':
      return batched(manifest);
    case 'service':
    case 'openai':
      return createServedService({
        manifest,
        folder,
        environment: config.pythonEnvironment,
        clock,
        random,
        logger: logger.child({ model: manifest.name, version: manifest.version }),
        onChange,
      });
    default:
      return manifest satisfies never;
  }
}
