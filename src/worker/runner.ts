/**
 * The Runner port: what executes one version of a model. The worker owns queueing, batching and the wire; a runner is
 * given rows and answers rows. Drivers live in `src/runners/` and are imported lazily through `registry.ts`.
 */
import type { PosternError } from '../errors.ts';

/** Element types that cross the port, with their JavaScript views. */
export interface ElementViews {
  readonly bool: Uint8Array;
  readonly uint8: Uint8Array;
  readonly uint16: Uint16Array;
  readonly uint32: Uint32Array;
  readonly uint64: BigUint64Array;
  readonly int8: Int8Array;
  readonly int16: Int16Array;
  readonly int32: Int32Array;
  readonly int64: BigInt64Array;
  /** The bits; half the runtimes have no other view of them. */
  readonly float16: Uint16Array;
  readonly bfloat16: Uint16Array;
  readonly float32: Float32Array;
  readonly float64: Float64Array;
  /** Each element a u32 length (little-endian) and so many bytes, as the BYTES of `protocol/tensors.ts`. */
  readonly string: Uint8Array;
}

export type ElementType = keyof ElementViews;

export interface Tensor {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly data: ElementViews[ElementType];
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

/** Bytes with a media type: a whole output, or a part of one. */
export interface Output {
  readonly contentType: string;
  readonly bytes: Uint8Array;
}

/** A part of an item's output: as bytes, or as tensors that the model's kind turns into bytes. */
export type Part = Output | Readonly<Record<string, Tensor>>;

/** What a run tells while it runs. Items are numbered as they stand in the batch, from 0. */
export interface RunEvents {
  /**
   * Puts out the next part of the item's output. The parts, in order, are then its whole output, and what the run returns for
   * that item counts no more. A promise means: the reader is behind, wait for it before the next part of this item (it
   * also settles when the item ends). Parts of an item that was canceled go nowhere. Throws output_too_large beyond the
   * limits of `parts.ts`; the item then fails.
   */
  partial(item: number, part: Part): Promise<void> | undefined;
  /** 0 to 1, or null when nobody knows; a few words, or null. */
  progress(item: number, fraction: number | null, message: string | null): void;
}

/** One run, from the inside. */
export interface RunCall {
  /** How many items the batch has. */
  readonly items: number;
  /** Aborted when nobody wants any item any more: the run may end early, however it likes. */
  readonly signal: AbortSignal;
  /** Aborted when this item is not wanted any more, while others of the batch may be. */
  signalOf(item: number): AbortSignal;
  readonly events: RunEvents;
}

/** Start is load; stop is unload. One instance runs one batch at a time; a model's `concurrency` is its instances. */
export interface Runner {
  load(): Promise<RunnerInfo>;
  /**
   * One batch: tensors by input name, rows along the first dimension; their memory is given away. Rejects with
   * model_failed when the batch is at fault, or with model_unavailable when the runner is gone (see `onExit`). An
   * aborted run may finish or reject; either way the promise settles only when the runner is free again.
   */
  run(inputs: Readonly<Record<string, Tensor>>, call: RunCall): Promise<Readonly<Record<string, Tensor>>>;
  /**
   * The same for values that are no tensors (JSON, texts, files): one outcome for each, in order, so that one of them can
   * fail by itself. A runner without it takes tensors only.
   */
  runValues?(values: readonly BytesInput[], call: RunCall): Promise<readonly (Output | PosternError)[]>;
  unload(): Promise<void>;
}

export type Parameters = Readonly<Record<string, JsonValue>>;
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export interface BytesInput {
  readonly contentType: string;
  readonly input: Uint8Array;
  readonly parameters: Parameters;
}

/**
 * A runner that answers bytes with bytes: no rows, no batches, any number at once. It answers on the spot, or later; `null`
 * when the parts that it told are the output. The call has one item, number 0. A promise settles only when the slot is free
 * again; after an abort it may do either.
 */
export interface BytesRunner {
  answer(input: BytesInput, call: RunCall): Output | null | Promise<Output | null>;
}

/** Hears what the caller does while its request is served. */
export interface CallerEvents {
  /** The next piece of the request's body. */
  onPiece(bytes: Uint8Array): void;
  /** The body is complete. */
  onEnd(): void;
  /** After `write` returned false: there is room again. */
  onRoom(): void;
  /** Nobody wants the answer any more. Nothing may be said afterwards. */
  onAbort(): void;
}

/** One HTTP request of a caller, and the way to answer it. Calls after its end do nothing. */
export interface ServiceExchange {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** Names (lower case) and values in turn; only those that the service may see. */
  readonly headers: readonly string[];
  /** The begin of the body; `more` pieces follow. */
  readonly body: Uint8Array;
  readonly more: boolean;
  listen(events: CallerEvents): void;
  /** The service has taken so many bytes of the body. */
  took(bytes: number): void;
  /** Once. With the begin of the body, or all of it (`more` false). */
  respond(status: number, headers: readonly string[], body: Uint8Array, more: boolean): void;
  /** False: wait for `onRoom`. */
  write(bytes: Uint8Array): boolean;
  end(): void;
  /** Ends it with an error. `unsent`: the service has seen nothing of it, so another worker may be asked. */
  fail(error: PosternError, unsent: boolean): void;
}

/** A local HTTP server. Start resolves when its supervision runs; `onState` tells when it is ready, and why not. */
export interface ServiceRunner {
  start(): Promise<void>;
  serve(exchange: ServiceExchange): void;
  stop(): Promise<void>;
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
