/**
 * A kind is the part of a model that configuration alone describes: it turns a payload into rows for the runner, and the
 * runner's rows into a payload. `direct` kinds answer bytes with bytes at once; `batch` kinds go through the pipeline
 * prepare → batch → run → finish. A kind keeps no state of an attempt between these calls but what is in the item.
 */
import { PosternError } from '../../errors.ts';
import type { TensorSpec } from '../../protocol/messages.ts';
import type { BytesInput, Output, Parameters, RunCall, Runner, RunnerInfo, Tensor } from '../runner.ts';

export type { Output, Parameters } from '../runner.ts';

/** A prepared input. `rows` is what it takes of a batch. */
export interface Item {
  readonly rows: number;
  /** Only items of the same group share a batch. Without one an item goes with all that have none. */
  readonly group?: string | undefined;
}

/** What callers of a tensor API are told of the model. */
export interface TensorMetadata {
  readonly platform: string;
  readonly inputs: TensorSpec[];
  readonly outputs: TensorSpec[];
}

interface Common<I extends Item> {
  /** Throws model_invalid when the network that was loaded does not fit the manifest. */
  check(info: RunnerInfo): void;
  /** Checks the parameters and decodes. Rejects with an input error: that input fails alone. */
  prepare(input: Uint8Array, contentType: string, parameters: Parameters): Promise<I>;
  /** A part that the runner put out as tensors, as callers see it. A kind without this takes parts as bytes only. Throws
   * output_invalid when it does not have the promised shape. */
  part?(tensors: Readonly<Record<string, Tensor>>, item: I): Output;
  /** A real input as a caller could send it, for the warm-up. Asked for after `check`. */
  sample(): Promise<BytesInput>;
  /** Of kinds that take tensors; null while it is not known, which it is after `check`. */
  metadata?(): TensorMetadata | null;
}

/** Items become rows of tensors, and rows of tensors outputs. */
export interface TensorKind<I extends Item = Item> extends Common<I> {
  readonly type: 'tensors';
  /** Rows along the first dimension, in the order of the items. The tensors' memory is given away to the runner. */
  assemble(items: readonly I[]): Readonly<Record<string, Tensor>>;
  /** One outcome per item, in order. Throws output_invalid when the outputs do not have the promised shape. */
  finish(outputs: Readonly<Record<string, Tensor>>, items: readonly I[]): readonly (Output | PosternError)[];
}

/** Items go to the runner as they are: JSON, texts, files. Its outcomes are the outputs. */
export interface ValueKind<I extends Item = Item> extends Common<I> {
  readonly type: 'values';
  value(item: I): BytesInput;
}

export type BatchKind<I extends Item = Item> = TensorKind<I> | ValueKind<I>;

/** One batch through the runner, and one outcome for each item, in order. */
export async function runItems<I extends Item>(
  kind: BatchKind<I>,
  runner: Runner,
  items: readonly I[],
  call: RunCall,
): Promise<readonly (Output | PosternError)[]> {
  if (kind.type === 'tensors') return kind.finish(await runner.run(kind.assemble(items), call), items);
  if (!runner.runValues)
    throw new PosternError('model_invalid', 'this runner takes tensors only, and the kind has none');
  return await runner.runValues(
    items.map((item) => kind.value(item)),
    call,
  );
}

export const NO_PARAMETERS: Parameters = Object.freeze({});
