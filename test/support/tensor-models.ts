/** A model repository of small networks that take tensors, for tests through real processes. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { graphModel, identityModel, type TensorSpec } from './onnx.ts';

export interface TensorModel {
  readonly name: string;
  readonly network: Buffer;
  /** Over a working manifest. */
  readonly manifest?: Readonly<Record<string, unknown>>;
}

/** One row of a pair of values in each datatype. */
export const EVERY_DATATYPE: TensorSpec[] = (
  [
    'BOOL',
    'UINT8',
    'UINT16',
    'UINT32',
    'UINT64',
    'INT8',
    'INT16',
    'INT32',
    'INT64',
    'FP16',
    'FP32',
    'FP64',
    'BYTES',
  ] as const
).map((datatype) => ({ name: datatype.toLowerCase(), datatype, shape: ['rows', 2] }));

const pair = (name: string): TensorSpec => ({ name, datatype: 'FP32', shape: ['rows', 3] });

export const TENSOR_MODELS: readonly TensorModel[] = [
  // Gives every input back under `<name>_out`.
  { name: 'same', network: identityModel(EVERY_DATATYPE) },
  {
    name: 'sum',
    network: graphModel({
      nodes: [
        { op: 'Add', inputs: ['a', 'b'], output: 'sum' },
        { op: 'Sub', inputs: ['a', 'b'], output: 'difference' },
      ],
      inputs: [pair('a'), pair('b')],
      outputs: [pair('sum'), pair('difference')],
    }),
  },
  // No rows: any shape of two dimensions, run by itself.
  {
    name: 'whole',
    network: identityModel([{ name: 'x', datatype: 'FP32', shape: ['height', 'width'] }]),
    manifest: { batch: { max_rows: 1 } },
  },
  // The distinct values of all rows: as many as there are, not as there are rows.
  {
    name: 'forgetful',
    network: graphModel({
      nodes: [{ op: 'Unique', inputs: ['x'], output: 'y' }],
      inputs: [pair('x')],
      outputs: [{ name: 'y', datatype: 'FP32', shape: ['some'] }],
    }),
    manifest: { warm_up: { runs: 1 } },
  },
];

export async function makeTensorModels(
  models: readonly TensorModel[] = TENSOR_MODELS,
): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'postern-tensors-'));
  for (const { name, network, manifest } of models) {
    const folder = join(path, name, '1');
    await mkdir(folder, { recursive: true });
    const common = { postern: 1, name, version: '1', kind: 'tensors', runner: 'onnx', file: 'model.onnx', threads: 1 };
    await writeFile(join(folder, 'postern.yaml'), stringify({ ...common, batch: { max_rows: 8 }, ...manifest }));
    await writeFile(join(folder, 'model.onnx'), network);
  }
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}
