/**
 * What a tensor's bytes are: the datatypes of the Open Inference Protocol, little-endian, rows first. BYTES is a tensor of texts:
 * each element is a u32 length and so many bytes.
 */
import { PosternError } from '../errors.ts';

/** Bytes of one element; 0: elements of different lengths. */
export const DATATYPE_BYTES = {
  BOOL: 1,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP16: 2,
  BF16: 2,
  FP32: 4,
  FP64: 8,
  BYTES: 0,
} as const;

export type Datatype = keyof typeof DATATYPE_BYTES;
export const DATATYPES = Object.keys(DATATYPE_BYTES) as Datatype[];

/** More than any network that takes its inputs by name. */
export const MAX_TENSORS = 64;
export const MAX_DIMENSIONS = 16;
export const MAX_TENSOR_NAME_CHARS = 200;

/** A tensor and its bytes, which may be a view into a larger payload. */
export interface RawTensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

const bad = (message: string): PosternError => new PosternError('bad_tensor', message);

/** The number of elements. Throws when it is no number that bytes could be counted with. */
export function elementsOf(shape: readonly number[]): number {
  let elements = 1;
  for (const size of shape) elements *= size;
  if (!Number.isSafeInteger(elements)) throw bad(`the shape [${shape.join(', ')}] has too many elements`);
  return elements;
}

/** Bytes of one element of every datatype but BYTES. */
export const fixedElementBytes = (datatype: Exclude<Datatype, 'BYTES'>): number => DATATYPE_BYTES[datatype];

/** Throws bad_tensor when the bytes are not what the shape and the datatype say. */
export function checkTensor({ name, datatype, shape, data }: RawTensor): void {
  const elements = elementsOf(shape);
  if (datatype === 'BYTES') {
    checkTexts(name, elements, data);
    return;
  }
  const expected = elements * DATATYPE_BYTES[datatype];
  if (data.byteLength !== expected) {
    throw bad(
      `the tensor "${name}" of ${datatype} [${shape.join(', ')}] has ${expected} bytes, but ${data.byteLength} came`,
    );
  }
}

function checkTexts(name: string, elements: number, data: Uint8Array): void {
  let count = 0;
  let offset = 0;
  for (; offset + 4 <= data.byteLength; count++) offset += 4 + readLength(data, offset);
  if (offset !== data.byteLength) throw bad(`the tensor "${name}" of BYTES ends in the middle of an element`);
  if (count !== elements) throw bad(`the tensor "${name}" of BYTES has ${elements} elements, but ${count} came`);
}

export function readLength(data: Uint8Array, offset: number): number {
  return (data[offset]! | (data[offset + 1]! << 8) | (data[offset + 2]! << 16) | (data[offset + 3]! << 24)) >>> 0;
}

/** The elements of a checked BYTES tensor, as views. */
export function splitTexts(data: Uint8Array): Uint8Array[] {
  const elements: Uint8Array[] = [];
  for (let offset = 0; offset < data.byteLength;) {
    const end = offset + 4 + readLength(data, offset);
    elements.push(data.subarray(offset + 4, end));
    offset = end;
  }
  return elements;
}

/** Texts (as UTF-8) or bytes → the data of a BYTES tensor. */
export function joinTexts(elements: readonly (string | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  let bytes = 0;
  for (const element of elements)
    bytes += 4 + (typeof element === 'string' ? Buffer.byteLength(element) : element.byteLength);
  const data = Buffer.from(new ArrayBuffer(bytes));
  let offset = 0;
  for (const element of elements) {
    const length =
      typeof element === 'string'
        ? data.write(element, offset + 4)
        : (data.set(element, offset + 4), element.byteLength);
    data.writeUInt32LE(length, offset);
    offset += 4 + length;
  }
  return data;
}
