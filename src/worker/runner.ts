/**
 * The Runner port: what executes one version of a model. The worker owns queueing, batching and the wire; a runner is
 * given rows and answers rows. Drivers live in `src/runners/` and are imported lazily through `registry.ts`.
 */
import type { PosternError } from '../errors.ts';

/** Element types that cross the port, with their JavaScript views. */
export interface Tensor {
  readonly type: 'float32' | 'uint8' | 'int64';
  readonly dims: readonly number[];
  readonly data: Float32Array | Uint8Array | BigInt64Array;
}

/** A named tensor of the network; `null` in dims: any size. */
export interface TensorShape {
  readonly name: string;
  readonly type: string;
  readonly dims: readonly (number | null)[];
}

export interface RunnerInfo {
  readonly inputs: readonly TensorShape[];
  readonly outputs: readonly TensorShape[];
  /** What it runs on, as reported: `cpu`, `cuda`, …. */
  readonly device: string;
  /** What an operator should know (a provider that was asked for is missing); for the log. */
  readonly warnings: readonly string[];
}

/** Start is load; stop is unload. One instance runs one batch at a time; a model's `concurrency` is its instances. */
export interface Runner {
  load(): Promise<RunnerInfo>;
  /**
   * One batch: tensors by input name, rows along the first dimension; their memory is given away. Rejects with
   * model_failed when the batch is at fault, or with model_unavailable when the runner is gone (see `onExit`). An
   * aborted run may finish or reject; either way the promise settles only when the runner is free again.
   */
  run(inputs: Readonly<Record<string, Tensor>>, signal: AbortSignal): Promise<Readonly<Record<string, Tensor>>>;
  unload(): Promise<void>;
}

/** A runner that answers bytes with bytes, at once: no rows, no batches, no waiting. */
export interface BytesRunner {
  answer(contentType: string, input: Uint8Array): { readonly contentType: string; readonly bytes: Uint8Array };
}

export interface RunnerOptions {
  /** Absolute path of the version's folder. */
  readonly folder: string;
  /** `file` of postern.yaml. */
  readonly file: string;
  /** Execution providers in order of preference. */
  readonly providers: readonly string[];
  /** Threads that one inference may use; 0: the runtime decides. */
  readonly threads: number;
  /** Called once when a loaded runner dies without being asked to; a new one must be made. */
  readonly onExit: (error: PosternError) => void;
}

export type CreateRunner = (options: RunnerOptions) => Runner;
