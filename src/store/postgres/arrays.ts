/**
 * Arrays as parameters, in PostgreSQL's binary form (`array_send` in its sources): written once, read without parsing. A `Buffer` is what
 * makes the driver send a parameter as it is. An array of which every element is missing is null, which `unnest` makes the same of.
 */

const [INT4, INT8, TEXT] = [23, 20, 25];
/** Dimensions, whether there are nulls, type of the elements; length and first index of the one dimension. */
const HEADER_BYTES = 20;
const LENGTH_BYTES = 4;
const NULL_LENGTH = -1;

type Elements<T> = readonly (T | null)[];

const isMissing = (elements: Elements<unknown>): boolean => elements.every((one) => one === null);

function begin(type: number, elements: Elements<unknown>, bodyBytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + LENGTH_BYTES * elements.length + bodyBytes);
  buffer.writeInt32BE(1, 0);
  buffer.writeInt32BE(elements.includes(null) ? 1 : 0, 4);
  buffer.writeInt32BE(type, 8);
  buffer.writeInt32BE(elements.length, 12);
  buffer.writeInt32BE(1, 16);
  return buffer;
}

function numbers(type: number, width: number, elements: Elements<number>): Buffer | null {
  if (isMissing(elements)) return null;
  const present = elements.reduce<number>((sum, one) => sum + (one === null ? 0 : 1), 0);
  const buffer = begin(type, elements, width * present);
  let at = HEADER_BYTES;
  for (const one of elements) {
    at = buffer.writeInt32BE(one === null ? NULL_LENGTH : width, at);
    if (one === null) continue;
    // Two halves: half the cost of a BigInt, and exact, because none here is beyond 2⁵³.
    if (width === 8) at = buffer.writeInt32BE(Math.floor(one / 2 ** 32), at);
    at = width === 8 ? buffer.writeUInt32BE(one >>> 0, at) : buffer.writeInt32BE(one, at);
  }
  return buffer;
}

export const int4s = (elements: Elements<number>): Buffer | null => numbers(INT4, 4, elements);
export const int8s = (elements: Elements<number>): Buffer | null => numbers(INT8, 8, elements);

/** PostgreSQL's texts hold neither U+0000 nor half a surrogate pair: those become U+FFFD (the latter in every `Buffer`). */
export function texts(elements: Elements<string>): Buffer | null {
  if (isMissing(elements)) return null;
  const clean = elements.map((one) => (one?.includes('\0') ? one.replaceAll('\0', '\uFFFD') : one));
  const buffer = begin(
    TEXT,
    clean,
    clean.reduce((sum, one) => sum + (one === null ? 0 : Buffer.byteLength(one)), 0),
  );
  let at = HEADER_BYTES;
  for (const one of clean) {
    const bytes = one === null ? 0 : buffer.write(one, at + LENGTH_BYTES);
    buffer.writeInt32BE(one === null ? NULL_LENGTH : bytes, at);
    at += LENGTH_BYTES + bytes;
  }
  return buffer;
}
