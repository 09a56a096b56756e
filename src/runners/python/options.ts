/** What the Python runner is told: by `postern.yaml`, by the worker's settings, and by the kind. */
import type { Clock } from '../../clock.ts';
import type { Logger } from '../../logger.ts';
import type { TensorShape } from '../../worker/runner.ts';

export interface PythonOptions {
  /** A program's name or path, or the folder of a virtual or conda environment; relative paths are the model folder's. */
  readonly interpreter: string;
  /** The whole environment of the process. */
  readonly environment: Readonly<Record<string, string>>;
  /** Name in the model's file; null: `Model`, or `predict`. */
  readonly entry: string | null;
  /** How items are given to the model. */
  readonly form: 'tensors' | 'json' | 'text' | 'bytes';
  /** Its tensors, as the manifest declares them. A bare array that it returns is the first output. */
  readonly inputs: readonly TensorShape[];
  readonly outputs: readonly TensorShape[];
  readonly setupTimeoutMs: number;
  readonly predictTimeoutMs: number;
  /** 0: no limit. */
  readonly memoryLimitMb: number;
  /** Of one item. */
  readonly maxOutputBytes: number;
  readonly clock: Clock;
  readonly logger: Logger;
}
