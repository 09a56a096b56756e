/**
 * Tensors as a payload: how they travel between gateway and worker, and to runners in other processes. Content type
 * {@link TENSORS_TYPE}; `docs/protocol.md` describes it for other languages.
 *
 *     u32 little-endian    bytes of the header
 *     header               JSON: {"tensors": [{"name", "datatype", "shape", "bytes"}, …], "outputs": ["name", …]}
 *     data                 of each tensor in that order, little-endian, rows first; each begins at a multiple of 8 of the payload
 *
 * Datatypes are the Open Inference Protocol's. BYTES is a tensor of texts: each element is a u32 length and so many bytes.
 * `outputs` (inputs only, optional) names the outputs that are wanted.
 */
import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { PosternError } from '../errors.ts';
import { checkTensor, DATATYPES, MAX_DIMENSIONS, MAX_TENSOR_NAME_CHARS, MAX_TENSORS } from './datatypes.ts';
import { readLength, type RawTensor } from './datatypes.ts';

export const TENSORS_TYPE = 'application/vnd.postern.tensors';

export interface TensorPayload {
  readonly tensors: readonly RawTensor[];
  /** null: all. */
  readonly outputs: readonly string[] | null;
}

/** 64 tensors with names of 200 characters and 16 dimensions of 8 digits: 27 KiB. */
export const MAX_TENSOR_HEADER_BYTES = 65_536;
const ALIGNMENT = 8;

const name = z.string().min(1).max(MAX_TENSOR_NAME_CHARS);
const header = z.object({
  tensors: z
    .array(
      z.object({
        name,
        datatype: z.enum(DATATYPES),
        shape: z.array(z.int().min(0)).max(MAX_DIMENSIONS),
        bytes: z.int().min(0),
      }),
    )
    .min(1)
    .max(MAX_TENSORS),
  outputs: z.array(name).max(MAX_TENSORS).optional(),
});

const bad = (message: string): PosternError => new PosternError('bad_tensor', message);
const aligned = (offset: number): number => Math.ceil(offset / ALIGNMENT) * ALIGNMENT;

/** One copy of the data. */
export function encodeTensors(payload: TensorPayload): Buffer {
  const head = headOf(payload);
  let total = 4 + Buffer.byteLength(head);
  for (const { data } of payload.tensors) total = aligned(total) + data.byteLength;
  const bytes = Buffer.allocUnsafeSlow(total);
  let offset = writeHead(bytes, head);
  for (const { data } of payload.tensors) {
    const start = aligned(offset);
    bytes.fill(0, offset, start);
    bytes.set(data, start);
    offset = start + data.byteLength;
  }
  return bytes;
}

/**
 * The same, in `body`, which is the caller's to write to: where its tensors stand one behind the other there, as they do in a
 * request of the Open Inference Protocol, their header takes the place of what stands before them, and no byte of data is copied.
 */
export function encodeTensorsIn(body: Buffer, payload: TensorPayload): Buffer {
  const first = payload.tensors[0]?.data;
  if (first === undefined || !isInRow(payload.tensors, body)) return encodeTensors(payload);
  const head = headOf(payload);
  const dataAt = first.byteOffset - body.byteOffset;
  const start = dataAt - aligned(4 + Buffer.byteLength(head));
  if (start < 0) return encodeTensors(payload);
  const last = payload.tensors.at(-1)!.data;
  const bytes = body.subarray(start, last.byteOffset - body.byteOffset + last.byteLength);
  bytes.fill(0, writeHead(bytes, head), dataAt - start);
  return bytes;
}

/** In `body`, without gaps, and each as far from the first as the alignment demands. */
function isInRow(tensors: readonly RawTensor[], body: Buffer): boolean {
  let offset = tensors[0]!.data.byteOffset;
  const begin = offset;
  for (const { data } of tensors) {
    if (data.buffer !== body.buffer || data.byteOffset !== offset || (offset - begin) % ALIGNMENT !== 0) return false;
    offset += data.byteLength;
  }
  return begin >= body.byteOffset && offset <= body.byteOffset + body.byteLength;
}

function headOf({ tensors, outputs }: TensorPayload): string {
  const head = JSON.stringify({
    tensors: tensors.map(({ name, datatype, shape, data }) => ({ name, datatype, shape, bytes: data.byteLength })),
    ...(outputs === null ? {} : { outputs }),
  });
  const headBytes = Buffer.byteLength(head);
  if (headBytes > MAX_TENSOR_HEADER_BYTES) {
    throw bad(
      `the names and shapes of the tensors take ${headBytes} bytes, at most ${MAX_TENSOR_HEADER_BYTES} are allowed`,
    );
  }
  return head;
}

/** Returns the offset behind it. */
function writeHead(bytes: Buffer, head: string): number {
  const headBytes = bytes.write(head, 4);
  bytes.writeUInt32LE(headBytes, 0);
  return 4 + headBytes;
}

/** The tensors as views into `payload`, every one checked. Throws bad_tensor. */
export function decodeTensors(payload: Uint8Array): TensorPayload {
  const { head, end } = readHeader(payload);
  const names = new Set(head.tensors.map((one) => one.name));
  if (names.size !== head.tensors.length) throw bad('two tensors have the same name');
  let offset = end;
  const tensors = head.tensors.map(({ name, datatype, shape, bytes }): RawTensor => {
    const start = aligned(offset);
    offset = start + bytes;
    if (offset > payload.byteLength) throw bad(`the data of the tensor "${name}" is cut off`);
    const one: RawTensor = { name, datatype, shape, data: payload.subarray(start, offset) };
    checkTensor(one);
    return one;
  });
  if (offset !== payload.byteLength) {
    throw bad(`${payload.byteLength - offset} bytes follow the data of the last tensor`);
  }
  return { tensors, outputs: head.outputs ?? null };
}

function readHeader(payload: Uint8Array): { head: z.infer<typeof header>; end: number } {
  const headBytes = payload.byteLength < 4 ? 0 : readLength(payload, 0);
  const end = 4 + headBytes;
  if (headBytes < 2 || headBytes > MAX_TENSOR_HEADER_BYTES || end > payload.byteLength) {
    throw bad(`a header of ${headBytes} bytes in a payload of ${payload.byteLength}`);
  }
  const bytes = payload.subarray(4, end);
  let value: unknown;
  try {
    value = isUtf8(bytes) ? JSON.parse(Buffer.from(bytes).toString('utf8')) : undefined;
  } catch {
    value = undefined;
  }
  const checked = header.safeParse(value);
  if (checked.success) return { head: checked.data, end };
  const issue = checked.error.issues[0];
  throw bad(`the header of the tensors: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`);
}
