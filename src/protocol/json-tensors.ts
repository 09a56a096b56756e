/**
 * Tensors as JSON, for callers who write no bytes. Lists may be nested as the shape says, or flat. What JSON has no number for
 * is written as protobuf's JSON does: "NaN", "Infinity", "-Infinity". Whole numbers beyond 2⁵³ are written out in full; to
 * be read exactly they must come as texts ("9007199254740993"), because a JSON number of that size may have lost its last
 * digits before anybody could notice.
 */
import { PosternError } from '../errors.ts';
import { elementsOf, joinTexts, MAX_DIMENSIONS, splitTexts, type Datatype, type RawTensor } from './datatypes.ts';

type Bits = Uint8Array<ArrayBuffer>;

const bad = (message: string): PosternError => new PosternError('bad_tensor', message);

/** Whole numbers that each datatype holds, from and to. */
const RANGES = {
  UINT8: [0, 0xff],
  UINT16: [0, 0xffff],
  UINT32: [0, 0xffffffff],
  INT8: [-0x80, 0x7f],
  INT16: [-0x8000, 0x7fff],
  INT32: [-0x80000000, 0x7fffffff],
} as const;
const BIG_RANGES = {
  UINT64: [0n, 0xffffffffffffffffn],
  INT64: [-0x8000000000000000n, 0x7fffffffffffffffn],
} as const;

/** Nested or flat lists into the tensor that name, datatype and shape announce. */
export function readTensor(name: string, datatype: Datatype, shape: readonly number[], value: unknown): RawTensor {
  const elements = elementsOf(shape);
  const list: unknown[] = [];
  // Counted while it is unfolded: lists within lists may hold more than the body's length suggests, but never more than it has.
  unfold(name, value, list, 0);
  if (list.length !== elements) {
    throw bad(`the tensor "${name}" of shape [${shape.join(', ')}] has ${elements} elements, but ${list.length} came`);
  }
  return { name, datatype, shape, data: readElements(name, datatype, list) };
}

/** Nested lists into a tensor whose shape is the nesting itself. */
export function readNested(name: string, datatype: Datatype, value: unknown): RawTensor {
  const shape: number[] = [];
  for (let at = value; Array.isArray(at); at = at[0]) shape.push(at.length);
  const list: unknown[] = [];
  unfold(name, value, list, 0, shape);
  return { name, datatype, shape, data: readElements(name, datatype, list) };
}

/** With a shape every list must have the length that its level says. */
function unfold(name: string, value: unknown, into: unknown[], depth: number, shape?: readonly number[]): void {
  if (!Array.isArray(value)) {
    if (shape !== undefined && depth !== shape.length) throw ragged(name);
    into.push(value);
    return;
  }
  if (depth === MAX_DIMENSIONS) throw bad(`the tensor "${name}" is nested deeper than ${MAX_DIMENSIONS} levels`);
  if (shape !== undefined && value.length !== shape[depth]) throw ragged(name);
  for (const item of value as unknown[]) unfold(name, item, into, depth + 1, shape);
}

const ragged = (name: string): PosternError =>
  bad(`the lists of the tensor "${name}" are of different lengths; expected a full block`);

function readElements(name: string, datatype: Datatype, list: readonly unknown[]): Uint8Array {
  switch (datatype) {
    case 'BYTES':
      return joinTexts(list.map((value, index) => textOf(name, value, index)));
    case 'UINT64':
    case 'INT64': {
      const values = new BigInt64Array(list.length);
      for (let index = 0; index < list.length; index++) values[index] = bigOf(name, datatype, list[index], index);
      return bytesOf(values);
    }
    case 'FP64':
    case 'FP32':
    case 'FP16':
    case 'BF16':
      return readFloats(name, datatype, list);
    case 'BOOL': {
      const values = new Uint8Array(list.length);
      for (let index = 0; index < list.length; index++) values[index] = booleanOf(name, list[index], index);
      return values;
    }
    default:
      return readIntegers(name, datatype, list);
  }
}

function readIntegers(name: string, datatype: keyof typeof RANGES, list: readonly unknown[]): Uint8Array {
  const [least, most] = RANGES[datatype];
  const values = new INTEGER_VIEWS[datatype](list.length);
  for (let index = 0; index < list.length; index++) {
    const value = list[index];
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
      throw unfit(name, datatype, `whole numbers from ${least} to ${most}`, value, index);
    }
    values[index] = value;
  }
  return bytesOf(values);
}

const INTEGER_VIEWS = {
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
} as const;
const NOT_FINITE: Readonly<Record<string, number>> = { NaN: NaN, Infinity: Infinity, '-Infinity': -Infinity };

function readFloats(name: string, datatype: 'FP16' | 'BF16' | 'FP32' | 'FP64', list: readonly unknown[]): Uint8Array {
  const values =
    datatype === 'FP64'
      ? new Float64Array(list.length)
      : datatype === 'FP16'
        ? new Float16Array(list.length)
        : new Float32Array(list.length);
  for (let index = 0; index < list.length; index++) {
    const value = list[index];
    if (typeof value === 'number') {
      values[index] = value;
      if (!Number.isFinite(values[index])) throw unfit(name, datatype, 'numbers of its range', value, index);
    } else if (typeof value === 'string' && Object.hasOwn(NOT_FINITE, value)) values[index] = NOT_FINITE[value]!;
    else throw unfit(name, datatype, 'numbers, "NaN", "Infinity" and "-Infinity"', value, index);
  }
  return datatype === 'BF16' ? shortened(values as Float32Array<ArrayBuffer>) : bytesOf(values);
}

/** bfloat16 is the upper half of a float32, rounded to even. */
function shortened(values: Float32Array<ArrayBuffer>): Uint8Array {
  const bits = new Uint32Array(values.buffer);
  const halves = Uint16Array.from(bits, (value, index) =>
    Number.isNaN(values[index]) ? 0x7fc0 : (value + 0x7fff + ((value >>> 16) & 1)) >>> 16,
  );
  return bytesOf(halves);
}

function booleanOf(name: string, value: unknown, index: number): number {
  if (value === true || value === 1) return 1;
  if (value === false || value === 0) return 0;
  throw unfit(name, 'BOOL', 'true and false', value, index);
}

function bigOf(name: string, datatype: keyof typeof BIG_RANGES, value: unknown, index: number): bigint {
  const [least, most] = BIG_RANGES[datatype];
  const exact =
    typeof value === 'number' ? Number.isSafeInteger(value) : typeof value === 'string' && /^-?\d{1,20}$/.test(value);
  const big = exact ? BigInt(value as number | string) : null;
  if (big !== null && big >= least && big <= most) return big;
  const expected = `whole numbers from ${least} to ${most}, beyond 2^53 as texts`;
  throw unfit(name, datatype, expected, value, index);
}

function textOf(name: string, value: unknown, index: number): string {
  if (typeof value === 'string') return value;
  throw unfit(name, 'BYTES', 'texts', value, index);
}

function unfit(name: string, datatype: Datatype, expected: string, value: unknown, index: number): PosternError {
  const got = typeof value === 'number' ? String(value) : value === null ? 'null' : `a ${typeof value}`;
  return bad(`element ${index} of the tensor "${name}" is ${got}; ${datatype} takes ${expected}`);
}

function bytesOf(values: ArrayBufferView<ArrayBuffer>): Bits {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

// ---- and back ----------------------------------------------------------------------------------------------------------

/** The elements as one flat list of JSON. */
export function flatJson(tensor: RawTensor): string {
  return `[${elementTexts(tensor).join(',')}]`;
}

/** The elements as lists within lists, as the shape says; a single value without brackets when the shape is []. */
export function nestedJson(tensor: RawTensor): string {
  let parts = elementTexts(tensor);
  for (const size of [...tensor.shape].reverse()) {
    // A level of size 0 leaves no elements to count the levels above by: the shape counts them.
    if (size === 0) return emptyNested(tensor.shape);
    const next: string[] = [];
    for (let start = 0; start < parts.length; start += size)
      next.push(`[${parts.slice(start, start + size).join(',')}]`);
    parts = next;
  }
  return parts[0] ?? 'null';
}

/** A shape without elements costs nothing to say, and its brackets would fill the memory. */
const MAX_EMPTY_LISTS = 100_000;

function emptyNested(shape: readonly number[]): string {
  const lists = shape.slice(0, shape.indexOf(0)).reduce((product, size) => product * size, 1);
  if (lists > MAX_EMPTY_LISTS) throw bad(`a tensor without elements is ${lists} lists of nothing`);
  let text = '';
  for (const size of [...shape].reverse()) text = `[${Array.from({ length: size }, () => text).join(',')}]`;
  return text;
}

const realText = (value: number): string => (Number.isFinite(value) ? String(value) : `"${value}"`);

function elementTexts({ datatype, data }: RawTensor): string[] {
  switch (datatype) {
    case 'BYTES':
      return splitTexts(data).map((bytes) => JSON.stringify(Buffer.from(bytes).toString('utf8')));
    case 'BOOL':
      return Array.from(data, (value) => (value === 0 ? 'false' : 'true'));
    case 'INT64':
      return Array.from(new BigInt64Array(alignedBuffer(data)), String);
    case 'UINT64':
      return Array.from(new BigUint64Array(alignedBuffer(data)), String);
    case 'FP64':
      return Array.from(new Float64Array(alignedBuffer(data)), realText);
    case 'FP32':
      return Array.from(new Float32Array(alignedBuffer(data)), realText);
    case 'FP16':
      return Array.from(new Float16Array(alignedBuffer(data)), realText);
    case 'BF16': {
      const bits = Uint32Array.from(new Uint16Array(alignedBuffer(data)), (half) => half << 16);
      return Array.from(new Float32Array(bits.buffer), realText);
    }
    default:
      return Array.from(new INTEGER_VIEWS[datatype](alignedBuffer(data)), String);
  }
}

/** A typed array begins at a multiple of its element; a view into a payload need not. */
function alignedBuffer(data: Uint8Array): ArrayBuffer {
  const copy = new Uint8Array(data.byteLength);
  copy.set(data);
  return copy.buffer;
}
