/** What the Python runner is told of a model: by its manifest, and by the worker's settings where that says nothing. */
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { MAX_PAYLOAD_BYTES } from '../protocol/limits.ts';
import type { TensorSpec } from '../protocol/messages.ts';
import type { PythonOptions } from '../runners/registry.ts';
import type { WorkerConfig } from './config.ts';
import { elementOf } from './kinds/tensors/elements.ts';
import type { PythonManifest } from './manifest-keys.ts';
import type { ImageClassificationManifest, TensorsManifest } from './manifest.ts';
import type { TensorShape } from './runner.ts';

export type PythonTensors = Pick<PythonOptions, 'inputs' | 'outputs'>;
export type PythonModel = Pick<PythonOptions, 'form'> & PythonTensors;

/** What every manifest of a model in Python has. */
export interface RunInPython {
  readonly python: PythonManifest;
  readonly threads: number;
}

export const NO_TENSORS: PythonTensors = { inputs: [], outputs: [] };

export function pythonOptions(
  { python, threads }: RunInPython,
  model: PythonModel,
  config: Pick<WorkerConfig, 'python' | 'pythonEnvironment'>,
  clock: Clock,
  logger: Logger,
): PythonOptions {
  return {
    ...model,
    interpreter: python.interpreter ?? config.python,
    environment: { ...config.pythonEnvironment, ...threadVariables(threads), ...python.env },
    entry: python.entry ?? null,
    setupTimeoutMs: python.setup_timeout_s * 1_000,
    predictTimeoutMs: python.predict_timeout_s * 1_000,
    memoryLimitMb: python.memory_limit_mb,
    maxOutputBytes: MAX_PAYLOAD_BYTES,
    clock,
    logger,
  };
}

/** What numpy's and PyTorch's libraries read. 0: they decide. */
function threadVariables(threads: number): Record<string, string> {
  if (threads === 0) return {};
  const names = ['OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS'];
  return Object.fromEntries(names.map((name) => [name, String(threads)]));
}

export function declaredTensors({ inputs = [], outputs = [] }: TensorsManifest): PythonTensors {
  return { inputs: inputs.map(shapeOf), outputs: outputs.map(shapeOf) };
}

function shapeOf({ name, datatype, shape }: TensorSpec): TensorShape {
  return { name, type: elementOf(datatype), dims: shape.map((size) => (size === -1 ? null : size)) };
}

/** An image's tensors are known; how many labels there are is found out with the first answer. */
export function declaredImage({ input, output }: ImageClassificationManifest): PythonTensors {
  return {
    inputs: [{ name: input.name, type: 'float32', dims: [null, 3, input.height, input.width] }],
    outputs: [{ name: output.name, type: 'float32', dims: [null, null] }],
  };
}
