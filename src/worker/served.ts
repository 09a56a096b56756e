/**
 * One version of a model as it is served, made from its folder: what answers bytes with bytes (`served-bytes.ts`), or what
 * has a pipeline of batches (`served-batch.ts`).
 */
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { loadBytesRunner, loadPythonRunner, loadRunner } from '../runners/registry.ts';
import type { WorkerConfig } from './config.ts';
import type { Gate } from './gate.ts';
import { createImageKind } from './kinds/image/image.ts';
import { createTensorsKind } from './kinds/tensors/tensors.ts';
import type { BatchKind } from './kinds/kind.ts';
import { createValueKind } from './kinds/values/values.ts';
import type { Manifest } from './manifest.ts';
import type { Reports } from './parts.ts';
import type { AttemptEnd, Assignment } from './ports.ts';
import { declaredImage, declaredTensors, NO_TENSORS, pythonOptions } from './python-options.ts';
import type { PythonModel, PythonTensors, RunInPython } from './python-options.ts';
import type { RepositoryEntry } from './repository.ts';
import type { CreateRunner } from './runner.ts';
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

/** A model whose inputs are put together to batches. */
type BatchedManifest = Extract<Manifest, { batch: unknown }>;

export function createServed(options: ServedOptions): ServedModel {
  const { entry, config, clock, random, logger, gate, reports, onChange, onEnd } = options;
  const { folder, manifest } = entry;
  const inPython = (of: RunInPython, model: PythonModel): Promise<CreateRunner> =>
    loadPythonRunner(
      pythonOptions(of, model, config, clock, logger.child({ model: manifest.name, version: manifest.version })),
    );
  /** The tensors of a model in Python are those that its manifest declares; a network has its own. */
  const runnerOf = async (
    of: Extract<BatchedManifest, { runner: 'onnx' | 'python' }>,
    declared: PythonTensors,
  ): Promise<CreateRunner> =>
    of.runner === 'onnx' ? await loadRunner(of.runner) : await inPython(of, { form: 'tensors', ...declared });
  const batched = (
    of: BatchedManifest,
    build: () => Promise<{ readonly kind: BatchKind; readonly createRunner: CreateRunner }>,
  ): ServedModel =>
    createServedBatch({
      name: of.name,
      version: of.version,
      kindName: of.kind,
      description: of.description,
      maxRows: of.batch.max_rows,
      maxDelayMs: of.batch.max_delay_ms,
      warmUpRuns: of.warm_up.runs,
      concurrency: of.concurrency,
      runnerOptions: {
        folder,
        file: of.file,
        providers: 'providers' in of ? of.providers : ['cpu'],
        threads: of.threads,
      },
      build,
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
      return batched(manifest, async () => ({
        kind: await createImageKind({ folder, manifest, maxPixels: config.maxImagePixels, clock }),
        createRunner: await runnerOf(manifest, declaredImage(manifest)),
      }));
    case 'tensors':
      return batched(manifest, async () => ({
        kind: await createTensorsKind({ folder, manifest }),
        createRunner: await runnerOf(manifest, declaredTensors(manifest)),
      }));
    case 'json':
    case 'text':
    case 'bytes':
    case 'image':
      return batched(manifest, async () => ({
        kind: createValueKind(folder, manifest),
        createRunner: await inPython(manifest, {
          form: manifest.kind === 'image' ? 'bytes' : manifest.kind,
          ...NO_TENSORS,
        }),
      }));
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
