/** Makes what a batched version needs out of its folder and its manifest: the kind, and the runners that it is run by. */
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { loadPythonRunner, loadRunner } from '../runners/registry.ts';
import type { WorkerConfig } from './config.ts';
import { createImageKind } from './kinds/image/image.ts';
import type { BatchKind } from './kinds/kind.ts';
import { createTensorsKind } from './kinds/tensors/tensors.ts';
import { createValueKind } from './kinds/values/values.ts';
import type { Manifest } from './manifest.ts';
import { declaredImage, declaredTensors, NO_TENSORS, pythonOptions } from './python-options.ts';
import type { PythonModel, PythonTensors, RunInPython } from './python-options.ts';
import type { CreateRunner, RunnerOptions } from './runner.ts';

/** A model whose inputs are put together to batches. */
export type BatchedManifest = Extract<Manifest, { batch: unknown }>;

export interface BuildOptions {
  readonly folder: string;
  readonly manifest: BatchedManifest;
  readonly config: Pick<WorkerConfig, 'maxImagePixels' | 'python' | 'pythonEnvironment'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Built {
  readonly kind: BatchKind;
  readonly createRunner: CreateRunner;
}

export const runnerOptionsOf = (folder: string, manifest: BatchedManifest): Omit<RunnerOptions, 'onExit'> => ({
  folder,
  file: manifest.file,
  providers: 'providers' in manifest ? manifest.providers : ['cpu'],
  threads: manifest.threads,
});

/** Rejects with model_invalid. */
export async function buildModel({ folder, manifest, config, clock, logger }: BuildOptions): Promise<Built> {
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

  switch (manifest.kind) {
    case 'image-classification':
      return {
        kind: await createImageKind({ folder, manifest, maxPixels: config.maxImagePixels, clock }),
        createRunner: await runnerOf(manifest, declaredImage(manifest)),
      };
    case 'tensors':
      return {
        kind: await createTensorsKind({ folder, manifest }),
        createRunner: await runnerOf(manifest, declaredTensors(manifest)),
      };
    case 'json':
    case 'text':
    case 'bytes':
    case 'image':
      return {
        kind: createValueKind(folder, manifest),
        createRunner: await inPython(manifest, {
          form: manifest.kind === 'image' ? 'bytes' : manifest.kind,
          ...NO_TENSORS,
        }),
      };
    default:
      return manifest satisfies never;
  }
}
