/** What a caller sent, as the tensors that the model takes: all of them, no others, each of the right datatype and shape. */
import { isUtf8 } from 'node:buffer';
import { PosternError } from '../../../errors.ts';
import type { RawTensor } from '../../../protocol/datatypes.ts';
import { readNested } from '../../../protocol/json-tensors.ts';
import type { TensorSpec } from '../../../protocol/messages.ts';
import { decodeTensors, TENSORS_TYPE } from '../../../protocol/tensors.ts';

export const JSON_TYPE = 'application/json';

export interface Inputs {
  /** In the order of the specs. */
  readonly tensors: readonly RawTensor[];
  /** null: all. */
  readonly outputs: readonly string[] | null;
}

const invalid = (message: string): PosternError => new PosternError('input_invalid', message);
const shapeText = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

export function readInputs(bytes: Uint8Array, contentType: string, specs: readonly TensorSpec[]): Inputs {
  if (contentType === TENSORS_TYPE) {
    const { tensors, outputs } = decodeTensors(bytes);
    return { tensors: inOrder(tensors, specs), outputs };
  }
  if (contentType === JSON_TYPE) return { tensors: inOrder(readJson(bytes, specs), specs), outputs: null };
  throw invalid(
    `the model takes tensors (${TENSORS_TYPE}, or JSON such as {"${specs[0]?.name ?? 'x'}": [[1, 2]]}), not ${contentType}`,
  );
}

function readJson(bytes: Uint8Array, specs: readonly TensorSpec[]): RawTensor[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let value: unknown;
  try {
    value = isUtf8(buffer) ? JSON.parse(buffer.toString('utf8')) : undefined;
  } catch {
    value = undefined;
  }
  // Where there is only one input, nobody need name it.
  if (Array.isArray(value) && specs.length === 1) value = { [specs[0]!.name]: value as unknown };
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(`expected JSON with the inputs by name: ${specs.map(({ name }) => name).join(', ')}`);
  }
  return Object.entries(value).map(([name, nested]) => readNested(name, specOf(name, specs).datatype, nested));
}

function specOf(name: string, specs: readonly TensorSpec[]): TensorSpec {
  const spec = specs.find((one) => one.name === name);
  if (spec) return spec;
  throw invalid(`there is no input "${name.slice(0, 200)}", only ${specs.map((one) => one.name).join(', ')}`);
}

function inOrder(tensors: readonly RawTensor[], specs: readonly TensorSpec[]): RawTensor[] {
  for (const { name } of tensors) specOf(name, specs);
  return specs.map((spec) => {
    const tensor = tensors.find(({ name }) => name === spec.name);
    if (!tensor) throw invalid(`the input "${spec.name}" (${spec.datatype} ${shapeText(spec.shape)}) is missing`);
    if (tensor.datatype !== spec.datatype) {
      throw invalid(`the input "${spec.name}" is ${tensor.datatype}; ${spec.datatype} is expected`);
    }
    const fits =
      tensor.shape.length === spec.shape.length &&
      spec.shape.every((size, index) => size === -1 || size === tensor.shape[index]);
    if (!fits) {
      throw invalid(
        `the input "${spec.name}" has the shape ${shapeText(tensor.shape)}; ${shapeText(spec.shape)} is expected` +
          (spec.shape.includes(-1) ? ' (-1: any size)' : ''),
      );
    }
    return tensor;
  });
}
