/** The contents of frames: tensors, outcomes, parts and progress, checked as far as this side relies on them. */
import { isErrorCode, PosternError } from '../../errors.ts';
import type { Output, RunEvents, Tensor } from '../../worker/runner.ts';
import { splitData } from './frames.ts';
import type { Frame } from './frames.ts';

type TypedArray = new (buffer: ArrayBuffer, byteOffset: number, length: number) => Tensor['data'];

/** The views of the port; a tensor of texts stays bytes (u32 length and UTF-8, element by element). */
const VIEWS: Readonly<Record<string, { readonly view: unknown; readonly bytes: number }>> = {
  bool: { view: Uint8Array, bytes: 1 },
  uint8: { view: Uint8Array, bytes: 1 },
  int8: { view: Int8Array, bytes: 1 },
  uint16: { view: Uint16Array, bytes: 2 },
  int16: { view: Int16Array, bytes: 2 },
  float16: { view: Uint16Array, bytes: 2 },
  bfloat16: { view: Uint16Array, bytes: 2 },
  uint32: { view: Uint32Array, bytes: 4 },
  int32: { view: Int32Array, bytes: 4 },
  float32: { view: Float32Array, bytes: 4 },
  uint64: { view: BigUint64Array, bytes: 8 },
  int64: { view: BigInt64Array, bytes: 8 },
  float64: { view: Float64Array, bytes: 8 },
  string: { view: Uint8Array, bytes: 1 },
};

const unusable = (reason: string): PosternError =>
  new PosternError('output_invalid', `the Python process sent ${reason}`);

export function tensorHeads(inputs: Readonly<Record<string, Tensor>>): object[] {
  return Object.entries(inputs).map(([name, { type, dims, data }]) => ({ name, type, dims, bytes: data.byteLength }));
}

export function tensorMemory(inputs: Readonly<Record<string, Tensor>>): Uint8Array[] {
  return Object.values(inputs).map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

interface TensorHead {
  readonly name: string;
  readonly type: string;
  readonly dims: readonly number[];
  readonly bytes: number;
}

/** Views of the frame's memory: its segments begin at multiples of 16. */
export function readTensors(frame: Frame): Readonly<Record<string, Tensor>> | PosternError {
  const { tensors: heads } = frame.head as { tensors: readonly TensorHead[] };
  const segments = splitData(
    frame.data,
    heads.map((head) => head.bytes),
  );
  if (!segments) return unusable('tensors whose sizes do not add up');
  const outputs: Record<string, Tensor> = {};
  for (const [index, { name, type, dims, bytes }] of heads.entries()) {
    const known = VIEWS[type];
    if (!known) return unusable(`the output "${name}" with elements of the type ${type}`);
    const { buffer, byteOffset } = segments[index]!;
    const view = known.view as TypedArray;
    const data = new view(buffer as ArrayBuffer, byteOffset, bytes / known.bytes);
    outputs[name] = { type, dims, data } as Tensor;
  }
  return outputs;
}

type OutcomeHead =
  { readonly type: string; readonly bytes: number } | { readonly error: string; readonly message: string };

/** One for each item, in order. */
export function readOutcomes(frame: Frame, items: number): readonly (Output | PosternError)[] | PosternError {
  const { outcomes } = frame.head as { outcomes: readonly OutcomeHead[] };
  if (outcomes.length !== items) return unusable(`${outcomes.length} outcomes for ${items} items`);
  const segments = splitData(
    frame.data,
    outcomes.map((one) => ('bytes' in one ? one.bytes : 0)),
  );
  if (!segments) return unusable('outputs whose sizes do not add up');
  return outcomes.map((one, index) =>
    'error' in one
      ? new PosternError(isErrorCode(one.error) ? one.error : 'model_failed', one.message)
      : { contentType: one.type, bytes: segments[index]! },
  );
}

export function readPart(
  frame: Frame,
  items: number,
): { readonly item: number; readonly output: Output } | PosternError {
  const { item, type, bytes } = frame.head as { item: number; type: string; bytes: number };
  const segments = splitData(frame.data, [bytes]);
  if (!segments || !(item >= 0 && item < items)) return unusable('a part that belongs to no item');
  return { item, output: { contentType: type, bytes: segments[0]! } };
}

export function readProgress(frame: Frame, items: number, events: RunEvents): void {
  const head = frame.head as { items: readonly number[]; fraction?: number; message?: string };
  for (const item of head.items) {
    if (item >= 0 && item < items) events.progress(item, head.fraction ?? null, head.message ?? null);
  }
}
