/**
 * Models that take no tensors (photos, texts, whatever comes) for callers who speak nothing else: one input of BYTES with
 * one element, the file; one output of BYTES with one element, the answer as the model gave it.
 */
import { PosternError } from '../../../errors.ts';
import type { Payload } from '../../../dispatch/job.ts';
import { joinTexts, splitTexts, type RawTensor } from '../../../protocol/datatypes.ts';
import type { TensorSpec } from '../../../protocol/messages.ts';

export const BYTES_INPUT: TensorSpec = { name: 'input', datatype: 'BYTES', shape: [1] };
export const BYTES_OUTPUT: TensorSpec = { name: 'output', datatype: 'BYTES', shape: [1] };

export function payloadOf(inputs: readonly RawTensor[]): Payload {
  const [input] = inputs;
  const fits = inputs.length === 1 && input?.name === BYTES_INPUT.name && input.datatype === 'BYTES';
  const elements = fits ? splitTexts(input.data) : [];
  if (elements.length !== 1) {
    throw new PosternError(
      'input_invalid',
      'This model takes one input, "input" of BYTES with the shape [1]: the file as it is.',
    );
  }
  if (elements[0]!.byteLength === 0) throw new PosternError('empty_input', 'The input has zero bytes.');
  return { contentType: 'application/octet-stream', bytes: elements[0]! };
}

export function tensorsOf({ bytes }: Payload): RawTensor[] {
  return [{ ...BYTES_OUTPUT, data: joinTexts([bytes]) }];
}
