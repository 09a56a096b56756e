/**
 * The kind `tensors`: named tensors in, named tensors out, as the network has them. Inputs come as `protocol/tensors.ts`
 * says, or as JSON ({"x": [[1, 2]]}), and are answered the same way. With `batch.max_rows` above 1 the first dimension of
 * every tensor is the row, and several callers' rows share a run; otherwise each input runs by itself, whatever its shape.
 */
import { join } from 'node:path';
import { PosternError, toPosternError } from '../../../errors.ts';
import { elementsOf, fixedElementBytes, joinTexts, splitTexts } from '../../../protocol/datatypes.ts';
import type { RawTensor } from '../../../protocol/datatypes.ts';
import { nestedJson } from '../../../protocol/json-tensors.ts';
import type { TensorSpec } from '../../../protocol/messages.ts';
import { encodeTensors, TENSORS_TYPE } from '../../../protocol/tensors.ts';
import type { TensorsManifest } from '../../manifest.ts';
import { readSmallFile } from '../../repository.ts';
import type { BytesInput, Output, RunnerInfo, Tensor } from '../../runner.ts';
import { NO_PARAMETERS } from '../kind.ts';
import type { Item, TensorKind, TensorMetadata } from '../kind.ts';
import { bytesOf, datatypeOf, elementOf, viewAs } from './elements.ts';
import { JSON_TYPE, readInputs } from './inputs.ts';
import { specsOf } from './specs.ts';

/** What the warm-up's own input may weigh. */
const MAX_SAMPLE_BYTES = 4 * 1024 * 1024;

/** As the Open Inference Protocol names them. */
const PLATFORMS = { onnx: 'onnx_onnxv1', python: 'python' } as const;

export interface TensorsKindOptions {
  readonly folder: string;
  readonly manifest: TensorsManifest;
}

interface TensorsItem extends Item {
  /** In the order of the model's inputs. */
  readonly tensors: readonly RawTensor[];
  /** The outputs that the caller wants. */
  readonly outputs: readonly string[];
  readonly asJson: boolean;
}

export async function createTensorsKind({ folder, manifest }: TensorsKindOptions): Promise<TensorKind<TensorsItem>> {
  const maxRows = manifest.batch.max_rows;
  const batched = maxRows > 1;
  const sampleText = await readSample(folder, manifest.warm_up.input);
  let specs: Omit<TensorMetadata, 'platform'> | null = null;

  function known(): Omit<TensorMetadata, 'platform'> {
    if (specs) return specs;
    throw new PosternError('model_unavailable', 'the model is not loaded');
  }

  function rowsOf(tensors: readonly RawTensor[]): number {
    if (!batched) return 1;
    const rows = tensors[0]!.shape[0]!;
    const other = tensors.find(({ shape }) => shape[0] !== rows);
    if (other) {
      throw invalid(
        `the first dimension is the row, and "${tensors[0]!.name}" has ${rows} rows, but "${other.name}" has ${other.shape[0]}`,
      );
    }
    if (rows < 1 || rows > maxRows) throw invalid(`${rows} rows came; this model takes 1 to ${maxRows} at once`);
    return rows;
  }

  /** The part of an output that belongs to one item. */
  function share(tensor: Tensor, name: string, first: number, item: TensorsItem, whole: boolean): RawTensor {
    const datatype = datatypeOf(tensor.type)!;
    const bytes = bytesOf(tensor);
    const shape = [...tensor.dims];
    if (whole) return { name, datatype, shape, data: bytes };
    shape[0] = item.rows;
    const perRow = elementsOf(shape.slice(1));
    const from = first * perRow;
    const count = item.rows * perRow;
    if (datatype === 'BYTES') {
      return { name, datatype, shape, data: joinTexts(splitTexts(bytes).slice(from, from + count)) };
    }
    const size = fixedElementBytes(datatype);
    return { name, datatype, shape, data: bytes.subarray(from * size, (from + count) * size) };
  }

  function encode(tensors: readonly RawTensor[], asJson: boolean): Output {
    if (!asJson) return { contentType: TENSORS_TYPE, bytes: encodeTensors({ tensors, outputs: null }) };
    const members = tensors.map((tensor) => `${JSON.stringify(tensor.name)}:${nestedJson(tensor)}`);
    return { contentType: JSON_TYPE, bytes: Buffer.from(`{${members.join(',')}}`) };
  }

  function pick(outputs: Readonly<Record<string, Tensor>>, name: string): Tensor {
    const tensor = Object.hasOwn(outputs, name) ? outputs[name] : undefined;
    if (!tensor) throw new PosternError('output_invalid', `the model gave no output "${name}"`);
    const spec = known().outputs.find((one) => one.name === name);
    if (spec && elementOf(spec.datatype) !== tensor.type) {
      throw new PosternError(
        'output_invalid',
        `the output "${name}" is ${datatypeOf(tensor.type)}; ${spec.datatype} was expected`,
      );
    }
    return tensor;
  }

  return {
    type: 'tensors',
    check(info: RunnerInfo) {
      specs = specsOf(info, manifest);
    },
    metadata: () => (specs === null ? null : { platform: PLATFORMS[manifest.runner], ...specs }),
    async prepare(bytes, contentType, parameters) {
      const { inputs, outputs } = known();
      const names = Object.keys(parameters);
      if (names.length > 0) throw invalid(`the model takes no parameters, but "${names[0]}" was given`);
      const read = readInputs(bytes, contentType, inputs);
      const wanted = read.outputs ?? outputs.map(({ name }) => name);
      const stranger = wanted.find((name) => !outputs.some((output) => output.name === name));
      if (stranger !== undefined) {
        throw invalid(`there is no output "${stranger}", only ${outputs.map(({ name }) => name).join(', ')}`);
      }
      return Promise.resolve({
        rows: rowsOf(read.tensors),
        group: batched ? read.tensors.map(({ shape }) => shape.slice(1).join('x')).join(' ') : undefined,
        tensors: read.tensors,
        outputs: wanted,
        asJson: contentType === JSON_TYPE,
      });
    },
    assemble(items) {
      const feeds: Record<string, Tensor> = {};
      known().inputs.forEach(({ name, datatype }, index) => {
        const parts = items.map((item) => item.tensors[index]!);
        const memory = new Uint8Array(parts.reduce((sum, { data }) => sum + data.byteLength, 0));
        let offset = 0;
        for (const { data } of parts) {
          memory.set(data, offset);
          offset += data.byteLength;
        }
        const dims = [...parts[0]!.shape];
        if (items.length > 1) dims[0] = items.reduce((sum, { rows }) => sum + rows, 0);
        const type = elementOf(datatype);
        feeds[name] = { type, dims, data: viewAs(type, memory.buffer) };
      });
      return feeds;
    },
    finish(outputs, items) {
      const rows = items.reduce((sum, item) => sum + item.rows, 0);
      // Before anything is answered: one item's rows are only its own when all are there.
      if (batched) {
        for (const name of new Set(items.flatMap((item) => item.outputs))) {
          const { dims } = pick(outputs, name);
          if (dims[0] === rows) continue;
          throw new PosternError(
            'output_invalid',
            `${rows} rows went in, and the output "${name}" has ${dims[0] ?? 'no'}: the first dimension must be the row`,
          );
        }
      }
      let first = 0;
      return items.map((item) => {
        const start = first;
        first += item.rows;
        try {
          const tensors = item.outputs.map((name) => share(pick(outputs, name), name, start, item, items.length === 1));
          return encode(tensors, item.asJson);
        } catch (thrown) {
          return toPosternError(thrown, 'output_invalid');
        }
      });
    },
    part(outputs, item) {
      const tensors = Object.keys(outputs).map((name) => share(pick(outputs, name), name, 0, item, true));
      return encode(tensors, item.asJson);
    },
    sample() {
      if (sampleText !== null) return Promise.resolve(sampleOf(JSON_TYPE, Buffer.from(sampleText)));
      const tensors = known().inputs.map(emptyTensor);
      return Promise.resolve(sampleOf(TENSORS_TYPE, encodeTensors({ tensors, outputs: null })));
    },
  };
}

const sampleOf = (contentType: string, input: Uint8Array): BytesInput => ({
  contentType,
  input,
  parameters: NO_PARAMETERS,
});

/** Zeros and empty texts; a dimension of any size is 1. */
function emptyTensor({ name, datatype, shape: open }: TensorSpec): RawTensor {
  const shape = open.map((size) => (size === -1 ? 1 : size));
  const elements = elementsOf(shape);
  const data =
    datatype === 'BYTES'
      ? joinTexts(Array.from({ length: elements }, () => ''))
      : new Uint8Array(elements * fixedElementBytes(datatype));
  return { name, datatype, shape, data };
}

async function readSample(folder: string, file: string | undefined): Promise<string | null> {
  if (file === undefined) return null;
  const text = await readSmallFile(join(folder, file), MAX_SAMPLE_BYTES);
  if (text === null) throw new PosternError('model_invalid', `warm_up.input: there is no file ${file}`);
  return text;
}

const invalid = (message: string): PosternError => new PosternError('input_invalid', message);
