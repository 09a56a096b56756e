/** The inputs and outputs of a model: as postern.yaml declares them, checked against the network, or as the network has them. */
import { PosternError } from '../../../errors.ts';
import type { TensorSpec } from '../../../protocol/messages.ts';
import type { TensorsManifest } from '../../manifest.ts';
import type { RunnerInfo, TensorShape } from '../../runner.ts';
import { datatypeOf, elementOf } from './elements.ts';

/** Throws model_invalid with every problem. */
export function specsOf(
  info: RunnerInfo,
  manifest: Pick<TensorsManifest, 'inputs' | 'outputs' | 'batch'>,
): { readonly inputs: TensorSpec[]; readonly outputs: TensorSpec[] } {
  const problems: string[] = [];
  const inputs = sideOf('input', manifest.inputs, info.inputs, problems);
  const outputs = sideOf('output', manifest.outputs, info.outputs, problems);
  for (const { name } of info.inputs) {
    if (!inputs.some((input) => input.name === name)) problems.push(`the network also needs the input "${name}"`);
  }
  if (manifest.batch.max_rows > 1) {
    for (const { name, shape } of [...inputs, ...outputs]) {
      if (shape[0] === -1) continue;
      problems.push(
        `"${name}" has the shape [${shape.join(', ')}]: with batch.max_rows above 1 the first dimension must be -1 (any number of rows)`,
      );
    }
  }
  if (problems.length > 0) throw new PosternError('model_invalid', problems.join('; '));
  return { inputs, outputs };
}

function sideOf(
  side: 'input' | 'output',
  declared: readonly TensorSpec[] | undefined,
  found: readonly TensorShape[],
  problems: string[],
): TensorSpec[] {
  if (declared === undefined) return found.flatMap((tensor) => specOf(side, tensor, problems) ?? []);
  for (const spec of declared) {
    const tensor = found.find(({ name }) => name === spec.name);
    if (!tensor)
      problems.push(`the network has no ${side} "${spec.name}", only ${found.map(({ name }) => name).join(', ')}`);
    else if (elementOf(spec.datatype) !== tensor.type) {
      problems.push(`the ${side} "${spec.name}" is ${spec.datatype} in postern.yaml and ${tensor.type} in the network`);
    } else if (!agree(spec.shape, tensor.dims)) {
      const dims = tensor.dims.map((dim) => dim ?? -1).join(', ');
      problems.push(
        `the ${side} "${spec.name}" is [${spec.shape.join(', ')}] in postern.yaml and [${dims}] in the network`,
      );
    }
  }
  return declared.map(({ name, datatype, shape }) => ({ name, datatype, shape: [...shape] }));
}

/** Some networks do not say their outputs' shape at all, which reads like the shape of a single value. */
function agree(shape: readonly number[], dims: readonly (number | null)[]): boolean {
  if (dims.length === 0) return true;
  if (dims.length !== shape.length) return false;
  return dims.every((dim, index) => dim === null || shape[index] === -1 || dim === shape[index]);
}

function specOf(side: string, { name, type, dims }: TensorShape, problems: string[]): TensorSpec | null {
  const datatype = datatypeOf(type);
  if (datatype !== undefined) return { name, datatype, shape: dims.map((dim) => dim ?? -1) };
  problems.push(`the ${side} "${name}" is ${type}, which has no datatype here`);
  return null;
}
