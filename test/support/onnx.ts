/**
 * Writes tiny ONNX networks, so that tests of the ONNX runner need neither Python nor binaries in the repository.
 * Only the few fields of ONNX's protobuf that these need (onnx.proto3: ModelProto, GraphProto, NodeProto, TensorProto).
 */

/** One protobuf field, already encoded. */
type Field = Buffer;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  bytes.push(value);
  return Buffer.from(bytes);
}

const number = (field: number, value: number): Field => Buffer.concat([varint(field * 8), varint(value)]);
const bytes = (field: number, value: Buffer | string): Field => {
  const body = Buffer.from(value as string);
  return Buffer.concat([varint(field * 8 + 2), varint(body.length), body]);
};
const message = (field: number, ...parts: Field[]): Field => bytes(field, Buffer.concat(parts));

/** TensorProto.DataType, by the names of the Open Inference Protocol. */
export const ONNX_TYPES = {
  FP32: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  BYTES: 8,
  BOOL: 9,
  FP16: 10,
  FP64: 11,
  UINT32: 12,
  UINT64: 13,
  BF16: 16,
} as const;
const FLOAT = ONNX_TYPES.FP32;
const INT64 = ONNX_TYPES.INT64;

/** A dimension is a number, or a name where any size goes. */
function valueInfo(field: number, name: string, dims: readonly (number | string)[], type: number = FLOAT): Field {
  const shape = dims.map((dim) => message(1, typeof dim === 'number' ? number(1, dim) : bytes(2, dim)));
  return message(field, bytes(1, name), message(2, message(1, number(1, type), message(2, ...shape))));
}

function tensor(name: string, dims: readonly number[], values: Float32Array | BigInt64Array): Field {
  const raw = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  const type = values instanceof Float32Array ? FLOAT : INT64;
  return message(5, ...dims.map((dim) => number(1, dim)), number(2, type), bytes(8, name), bytes(9, raw));
}

/** `integers` are attributes of lists of whole numbers: kernel_shape, pads, …. */
function node(op: string, inputs: string[], output: string, integers: Record<string, number[]> = {}): Field {
  const attributes = Object.entries(integers).map(([name, values]) =>
    message(5, bytes(1, name), ...values.map((value) => number(8, value)), number(20, 7)),
  );
  return message(1, ...inputs.map((name) => bytes(1, name)), bytes(2, output), bytes(4, op), ...attributes);
}

export interface ColourModelOptions {
  readonly width: number;
  readonly height: number;
  /** One row of three weights (red, green, blue) for each class. */
  readonly weights: readonly (readonly [number, number, number])[];
  /** Convolutions of 32 channels in front, for a network that takes its time. Default 0. */
  readonly extraConvolutions?: number;
  readonly inputName?: string;
  readonly outputName?: string;
  /** First dimension: a number fixes it. */
  readonly batch?: number | string;
  /** Divides the logits by zero. */
  readonly notFinite?: boolean;
}

/** logits = weights · mean colour of the image: every expected output can be worked out by hand. */
export function colourModel(options: ColourModelOptions): Buffer {
  const { width, height, weights, inputName = 'image', outputName = 'logits', batch = 'batch' } = options;
  const nodes: Field[] = [];
  const tensors: Field[] = [];
  const classes = weights.length;

  let sink = inputName;
  let channels = 3;
  for (let layer = 0; layer < (options.extraConvolutions ?? 0); layer++) {
    const filter = new Float32Array(32 * channels * 9).fill(0.01);
    tensors.push(tensor(`filter${layer}`, [32, channels, 3, 3], filter));
    nodes.push(node('Conv', [sink, `filter${layer}`], `conv${layer}`, { pads: [1, 1, 1, 1] }));
    sink = `conv${layer}`;
    channels = 32;
  }
  nodes.push(node('GlobalAveragePool', [inputName], 'means'), node('Flatten', ['means'], 'colour'));
  tensors.push(
    tensor(
      'weights',
      [3, classes],
      Float32Array.from({ length: 3 * classes }, (_, i) => weights[i % classes]![Math.floor(i / classes)]!),
    ),
  );
  nodes.push(node('MatMul', ['colour', 'weights'], 'linear'));
  let last = 'linear';
  if (sink !== inputName) {
    // The convolutions are computed but weigh nothing: the answer stays what the mean colour says.
    nodes.push(node('GlobalAveragePool', [sink], 'pooled'), node('Flatten', ['pooled'], 'flat'));
    tensors.push(tensor('nothing', [32, classes], new Float32Array(32 * classes)));
    nodes.push(node('MatMul', ['flat', 'nothing'], 'zero'), node('Add', ['linear', 'zero'], 'sum'));
    last = 'sum';
  }
  tensors.push(tensor('divisor', [1], Float32Array.of(options.notFinite ? 0 : 1)));
  nodes.push(node('Div', [last, 'divisor'], outputName));

  const graph = message(
    7,
    ...nodes,
    bytes(2, 'colour'),
    ...tensors,
    valueInfo(11, inputName, [batch, 3, height, width]),
    valueInfo(12, outputName, [batch, classes]),
  );
  return model(graph);
}

/** ir_version 8 with operator set 17: what ONNX Runtime has read since 1.13. */
function model(graph: Field): Buffer {
  return Buffer.concat([number(1, 8), graph, message(8, bytes(1, ''), number(2, 17))]);
}

export interface TensorSpec {
  readonly name: string;
  readonly datatype: keyof typeof ONNX_TYPES;
  readonly shape: readonly (number | string)[];
}

/** One node for each output; its inputs and output by name. */
export interface NodeSpec {
  readonly op: string;
  readonly inputs: string[];
  readonly output: string;
  readonly integers?: Record<string, number[]>;
}

/** Any small graph of operators without weights. */
export function graphModel(parts: {
  readonly nodes: readonly NodeSpec[];
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}): Buffer {
  const info = (field: number, { name, datatype, shape }: TensorSpec): Field =>
    valueInfo(field, name, shape, ONNX_TYPES[datatype]);
  return model(
    message(
      7,
      ...parts.nodes.map(({ op, inputs, output, integers }) => node(op, inputs, output, integers)),
      bytes(2, 'graph'),
      ...parts.inputs.map((spec) => info(11, spec)),
      ...parts.outputs.map((spec) => info(12, spec)),
    ),
  );
}

/** Gives every input back under `<name>_out`. */
export function identityModel(inputs: readonly TensorSpec[]): Buffer {
  return graphModel({
    nodes: inputs.map(({ name }) => ({ op: 'Identity', inputs: [name], output: `${name}_out` })),
    inputs,
    outputs: inputs.map((spec) => ({ ...spec, name: `${spec.name}_out` })),
  });
}
