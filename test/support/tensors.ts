/** Tensors for tests: values in, the datatype's bytes out, and back. */
import type { Datatype, RawTensor } from '../../src/protocol/datatypes.ts';
import { nestedJson, readNested } from '../../src/protocol/json-tensors.ts';

export const tensorOf = (name: string, datatype: Datatype, values: unknown): RawTensor =>
  readNested(name, datatype, values);

/** As JSON has them: whole numbers beyond 2⁵³ lose their last digits here. */
export const valuesOf = (tensor: RawTensor): unknown => JSON.parse(nestedJson(tensor));

/** Two rows of two values, at the ends of what the datatype holds. */
export const EXTREMES: Readonly<Record<Datatype, unknown>> = {
  BOOL: [
    [true, false],
    [false, true],
  ],
  UINT8: [
    [0, 255],
    [1, 2],
  ],
  UINT16: [
    [0, 65_535],
    [1, 2],
  ],
  UINT32: [
    [0, 4_294_967_295],
    [1, 2],
  ],
  UINT64: [
    [0, '18446744073709551615'],
    [1, 2],
  ],
  INT8: [
    [-128, 127],
    [1, 2],
  ],
  INT16: [
    [-32_768, 32_767],
    [1, 2],
  ],
  INT32: [
    [-2_147_483_648, 2_147_483_647],
    [1, 2],
  ],
  INT64: [
    ['-9223372036854775808', '9223372036854775807'],
    [1, -2],
  ],
  FP16: [
    [-65_504, 0.5],
    ['NaN', '-Infinity'],
  ],
  BF16: [
    [-2, 0.5],
    ['NaN', 'Infinity'],
  ],
  FP32: [
    [1.5, -3.4028234663852886e38],
    ['NaN', '-Infinity'],
  ],
  FP64: [
    [0.1, 1.7976931348623157e308],
    ['NaN', 'Infinity'],
  ],
  BYTES: [
    ['', '진달래'],
    ['a\u0000b', 'rose'],
  ],
};
