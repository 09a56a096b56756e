/**
 * The Runner port: what executes one version of a model. The worker owns queueing, batching and the wire; a runner is
 * given rows and answers rows. Drivers live in `src/runners/` and are imported lazily through `registry.ts`.
 */

/** Element types that cross the port, with their JavaScript views. */
export interface Tensor {
  readonly type: 'float32' | 'uint8' | 'int64';
  readonly dims: readonly number[];
  readonly data: Float32Array | Uint8Array | BigInt64Array;
}

export interface RunnerInfo {
  readonly inputs: readonly { readonly name: string; readonly type: string; readonly dims: readonly (number | null)[] }[];
  readonly outputs: readonly { readonly name: string; readonly type: string; readonly dims: readonly (number | null)[] }[];
  /** What it runs on, as reported: `cpu`, `cuda`, …. */
  readonly device: string;
}

/** Start is load; stop is unload. run is called after start, never twice at once beyond the model's `concurrency`. */
export interface Runner {
  load(): Promise<RunnerInfo>;
  /** One batch: tensors by input name, rows along the first dimension. Rejects with a PosternError: model_failed, …. */
  run(inputs: Readonly<Record<string, Tensor>>, signal: AbortSignal): Promise<Readonly<Record<string, Tensor>>>;
  unload(): Promise<void>;
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
}

export type CreateRunner = (options: RunnerOptions) => Promise<Runner>;
