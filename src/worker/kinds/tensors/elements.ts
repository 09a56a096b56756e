/** The datatypes of callers beside the element types of runners, and the one memory seen as both. */
import type { Datatype } from '../../../protocol/datatypes.ts';
import type { ElementType, Tensor } from '../../runner.ts';

const VIEWS = {
  bool: Uint8Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
  string: Uint8Array,
} as const satisfies Record<ElementType, unknown>;

const ELEMENT_OF = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  BF16: 'bfloat16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
} as const satisfies Record<Datatype, ElementType>;

const DATATYPE_OF = new Map(
  Object.entries(ELEMENT_OF).map(([datatype, type]) => [type as string, datatype as Datatype]),
);

export const elementOf = (datatype: Datatype): ElementType => ELEMENT_OF[datatype];
/** undefined: a type that callers have no word for. */
export const datatypeOf = (type: string): Datatype | undefined => DATATYPE_OF.get(type);

/** `memory` begins at its first element, as fresh memory does. */
export function viewAs(type: ElementType, memory: ArrayBuffer): Tensor['data'] {
  return new VIEWS[type](memory);
}

export function bytesOf({ data }: Tensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
