/**
 * An inference request of the Open Inference Protocol: JSON, or JSON with the tensors' bytes behind it (the binary tensor data
 * extension). Everything that can be told without the model is checked here; whether the model takes these tensors, the
 * worker says.
 */
import { isUtf8 } from 'node:buffer';
import { PosternError } from '../../../errors.ts';
import type { Json } from '../../../dispatch/job.ts';
import { checkTensor, DATATYPE_BYTES, MAX_DIMENSIONS, MAX_TENSORS } from '../../../protocol/datatypes.ts';
import { MAX_TENSOR_NAME_CHARS, type Datatype, type RawTensor } from '../../../protocol/datatypes.ts';
import { readTensor } from '../../../protocol/json-tensors.ts';
import { badParameter, clip, parseJsonSafely } from '../parameters.ts';

export interface WantedOutput {
  readonly name: string;
  readonly binary: boolean;
  /** Only the k highest values, as texts "value:index"; null: the tensor itself. */
  readonly classes: number | null;
}

export interface InferRequest {
  readonly id: string | null;
  readonly inputs: readonly RawTensor[];
  /** null: all outputs, in the model's order. */
  readonly outputs: readonly WantedOutput[] | null;
  /** For outputs that are not named. */
  readonly binaryOutputs: boolean;
  /** null: the caller leaves it to the server. */
  readonly timeoutMs: number | null;
  /** What is no parameter of the protocol is the model's. */
  readonly parameters: Readonly<Record<string, Json>>;
}

const MAX_ID_CHARS = 256;
const MAX_CLASSES = 1_000;

type JsonObject = Readonly<Record<string, Json>>;

/** `headerBytes`: of the JSON, when tensors' bytes follow it. */
export function readInferRequest(body: Buffer, headerBytes: number | null): InferRequest {
  const end = headerBytes ?? body.length;
  if (end > body.length) {
    throw badTensor(`Inference-Header-Content-Length is ${end}, but the body has only ${body.length} bytes.`);
  }
  const json = body.subarray(0, end);
  if (!isUtf8(json)) throw new PosternError('bad_json', 'Expected JSON in UTF-8, but the bytes are not UTF-8.');
  const request = objectOf('The request', parseJsonSafely(json.toString('utf8'), 'bad_json'));
  refuseUnknown('request', request, ['id', 'parameters', 'inputs', 'outputs']);
  const binary = new BinaryData(body.subarray(end));
  const inputs = listOf('inputs', request.inputs).map((input) => readInput(input, binary));
  if (inputs.length === 0) throw new PosternError('missing_input', 'The request has no inputs.');
  refuseDoubles('input', inputs);
  binary.finish();
  const {
    binary_data_output: binaryOutputs,
    timeout,
    ...parameters
  } = objectOf('parameters', request.parameters ?? {});
  const outputs = request.outputs === undefined ? null : listOf('outputs', request.outputs);
  const wanted = outputs?.map((output) => readOutput(output, isTrue('binary_data_output', binaryOutputs))) ?? null;
  if (wanted !== null) refuseDoubles('output', wanted);
  return {
    id: readId(request.id),
    inputs,
    // An empty list means what no list means.
    outputs: wanted !== null && wanted.length > 0 ? wanted : null,
    binaryOutputs: isTrue('binary_data_output', binaryOutputs),
    timeoutMs: readTimeout(timeout),
    parameters,
  };
}

/** The bytes behind the JSON, given out from the front. */
class BinaryData {
  readonly #bytes: Buffer;
  #used = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  take(name: string, count: number): Buffer {
    const left = this.#bytes.length - this.#used;
    if (count > left) {
      throw badTensor(
        `The input "${clip(name)}" announces ${count} bytes of binary data, but only ${left} are left in the body.`,
      );
    }
    this.#used += count;
    return this.#bytes.subarray(this.#used - count, this.#used);
  }

  finish(): void {
    const left = this.#bytes.length - this.#used;
    if (left > 0) throw badTensor(`${left} bytes of binary data belong to no input; see binary_data_size.`);
  }
}

function readInput(value: Json, binary: BinaryData): RawTensor {
  const input = objectOf('An input', value);
  refuseUnknown('input', input, ['name', 'shape', 'datatype', 'parameters', 'data']);
  const name = readName('input', input.name);
  const datatype = readDatatype(name, input.datatype);
  const shape = readShape(name, input.shape);
  const parameters = objectOf(`The parameters of "${name}"`, input.parameters ?? {});
  refuseUnknown('input parameter', parameters, ['binary_data_size']);
  const size = parameters.binary_data_size;
  if (size === undefined) {
    if (input.data === undefined) {
      throw new PosternError('missing_input', `The input "${name}" has neither data nor binary_data_size.`);
    }
    return readTensor(name, datatype, shape, input.data);
  }
  if (input.data !== undefined) throw badTensor(`The input "${name}" has both data and binary_data_size.`);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw badParameter(`binary_data_size of "${name}" must be a whole number of bytes.`);
  }
  const tensor = { name, datatype, shape, data: binary.take(name, size) };
  checkTensor(tensor);
  return tensor;
}

function readOutput(value: Json, binaryByDefault: boolean): WantedOutput {
  const output = objectOf('An output', value);
  refuseUnknown('output', output, ['name', 'parameters']);
  const name = readName('output', output.name);
  const parameters = objectOf(`The parameters of "${name}"`, output.parameters ?? {});
  refuseUnknown('output parameter', parameters, ['binary_data', 'classification']);
  const { classification } = parameters;
  if (
    classification !== undefined &&
    (typeof classification !== 'number' ||
      !Number.isInteger(classification) ||
      classification < 0 ||
      classification > MAX_CLASSES)
  ) {
    throw badParameter(`classification of "${name}" must be a whole number from 1 to ${MAX_CLASSES}.`);
  }
  return {
    name,
    binary: parameters.binary_data === undefined ? binaryByDefault : isTrue('binary_data', parameters.binary_data),
    // 0 means none, as clients send it.
    classes: typeof classification === 'number' && classification > 0 ? classification : null,
  };
}

/**
 * A request without any JSON (`Inference-Header-Content-Length: 0`): the body is the one input of the model, whose shape may
 * leave one size open.
 */
export function readRawRequest(
  body: Buffer,
  specs: readonly { name: string; datatype: Datatype; shape: readonly number[] }[],
): InferRequest {
  const [spec] = specs;
  if (specs.length !== 1 || spec === undefined) {
    throw badTensor(`A body without a header is for models with one input; this one has ${specs.length}.`);
  }
  const { name, datatype } = spec;
  const asText = Buffer.allocUnsafe(4);
  asText.writeUInt32LE(body.length);
  const data = datatype === 'BYTES' ? Buffer.concat([asText, body]) : body;
  const elements = datatype === 'BYTES' ? 1 : body.length / DATATYPE_BYTES[datatype];
  const fixed = spec.shape.reduce((product, size) => (size === -1 ? product : product * size), 1);
  if (spec.shape.filter((size) => size === -1).length > 1) {
    throw badTensor(`The shape [${spec.shape.join(', ')}] leaves more than one size open; send it in a JSON header.`);
  }
  if (fixed === 0 || !Number.isInteger(elements / fixed)) {
    throw badTensor(
      `${body.length} bytes are no whole number of rows of the input "${name}" of ${datatype} [${spec.shape.join(', ')}].`,
    );
  }
  const tensor = { name, datatype, shape: spec.shape.map((size) => (size === -1 ? elements / fixed : size)), data };
  checkTensor(tensor);
  return { id: null, inputs: [tensor], outputs: null, binaryOutputs: true, timeoutMs: null, parameters: {} };
}

// ---- the fields --------------------------------------------------------------------------------------------------------

const badTensor = (message: string): PosternError => new PosternError('bad_tensor', message);
const badRequest = (message: string): PosternError => new PosternError('bad_request', message);

function objectOf(what: string, value: Json): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw badRequest(`${what} must be a JSON object.`);
}

function listOf(what: string, value: Json | undefined): readonly Json[] {
  if (!Array.isArray(value)) throw badRequest(`"${what}" must be a list.`);
  if (value.length > MAX_TENSORS)
    throw badRequest(`"${what}" has ${value.length} entries; at most ${MAX_TENSORS} are taken.`);
  return value as readonly Json[];
}

function refuseUnknown(what: string, object: JsonObject, known: readonly string[]): void {
  const stranger = Object.keys(object).find((key) => !known.includes(key));
  if (stranger !== undefined) {
    throw badParameter(`Unknown ${what} key "${clip(stranger)}"; expected one of ${known.join(', ')}.`);
  }
}

function refuseDoubles(what: string, entries: readonly { readonly name: string }[]): void {
  const names = new Set(entries.map(({ name }) => name));
  if (names.size < entries.length) throw badRequest(`Two ${what}s have the same name.`);
}

function readName(what: string, value: Json | undefined): string {
  if (typeof value === 'string' && value.length > 0 && value.length <= MAX_TENSOR_NAME_CHARS) return value;
  throw badRequest(`An ${what} needs a name of 1 to ${MAX_TENSOR_NAME_CHARS} characters.`);
}

function readId(value: Json | undefined): string | null {
  if (value === undefined || value === null || value === '') return null;
  if (typeof value === 'string' && value.length <= MAX_ID_CHARS) return value;
  throw badParameter(`"id" must be a text of at most ${MAX_ID_CHARS} characters.`);
}

function readDatatype(name: string, value: Json | undefined): Datatype {
  if (typeof value === 'string' && Object.hasOwn(DATATYPE_BYTES, value)) return value as Datatype;
  const shown = typeof value === 'string' ? `"${clip(value)}"` : typeof value;
  throw badTensor(
    `The datatype of "${clip(name)}" is ${shown}; expected one of ${Object.keys(DATATYPE_BYTES).join(', ')}.`,
  );
}

function readShape(name: string, value: Json | undefined): number[] {
  const isSize = (size: Json): size is number => typeof size === 'number' && Number.isSafeInteger(size) && size >= 0;
  if (Array.isArray(value) && value.length <= MAX_DIMENSIONS && (value as Json[]).every(isSize))
    return value as number[];
  throw badTensor(
    `The shape of "${clip(name)}" must be a list of at most ${MAX_DIMENSIONS} whole numbers, none below 0.`,
  );
}

function isTrue(name: string, value: Json | undefined): boolean {
  if (value === undefined || typeof value === 'boolean') return value ?? false;
  throw badParameter(`${name} must be true or false.`);
}

/** Microseconds, as Triton has them; 0 is no word about it. */
function readTimeout(value: Json | undefined): number | null {
  if (value === undefined || value === null || value === 0) return null;
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value / 1_000;
  throw badParameter('timeout must be a positive number of microseconds.');
}
