/** The classification extension: instead of a tensor, its highest values as texts "value:index". */
import { PosternError } from '../../../errors.ts';
import { joinTexts, type RawTensor } from '../../../protocol/datatypes.ts';
import { flatJson } from '../../../protocol/json-tensors.ts';

/** With `batched` the first dimension is the row, and each row has its own best. */
export function bestOf(tensor: RawTensor, count: number, batched: boolean): RawTensor {
  if (tensor.datatype === 'BYTES' || tensor.datatype === 'BOOL') {
    throw new PosternError(
      'bad_parameter',
      `classification needs numbers, and "${tensor.name}" is ${tensor.datatype}.`,
    );
  }
  const texts = flatJson(tensor).slice(1, -1).split(',');
  const values = texts.map((text) => Number(text.replaceAll('"', '')));
  const rows = batched ? (tensor.shape[0] ?? 1) : 1;
  const perRow = rows === 0 ? 0 : values.length / rows;
  const best: string[] = [];
  for (let row = 0; row < rows; row++) {
    const indexes = Array.from({ length: perRow }, (_, index) => index);
    const valueAt = (index: number): number => values[row * perRow + index]!;
    indexes.sort((a, b) => orderOf(valueAt(b)) - orderOf(valueAt(a)) || a - b);
    for (const index of indexes.slice(0, count)) best.push(`${valueAt(index)}:${index}`);
  }
  const kept = Math.min(count, perRow);
  return {
    name: tensor.name,
    datatype: 'BYTES',
    shape: batched ? [rows, kept] : [kept],
    data: joinTexts(best),
  };
}

/** What is no number comes last. Finite, so that differences of infinities are numbers too. */
function orderOf(value: number): number {
  if (Number.isNaN(value)) return -Number.MAX_VALUE;
  return Math.max(-Number.MAX_VALUE / 2, Math.min(Number.MAX_VALUE / 2, value));
}
