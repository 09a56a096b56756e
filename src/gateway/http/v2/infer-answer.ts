/** The answer to an inference request: JSON, with the tensors' bytes behind it where they were asked for in binary. */
import type { Job } from '../../../dispatch/job.ts';
import type { RawTensor } from '../../../protocol/datatypes.ts';
import { flatJson } from '../../../protocol/json-tensors.ts';
import { JSON_HEADERS, type Answer } from '../route.ts';
import { bestOf } from './classes.ts';
import type { InferRequest } from './infer-request.ts';

export function inferAnswer(
  request: InferRequest,
  job: Job,
  tensors: readonly RawTensor[],
  { batched, more }: { readonly batched: boolean; readonly more: readonly string[] },
): Answer {
  const binary: Uint8Array[] = [];
  const outputs = tensors.map((tensor) => {
    const wanted = request.outputs?.find(({ name }) => name === tensor.name);
    const shown = wanted?.classes ? bestOf(tensor, wanted.classes, batched) : tensor;
    const { name, datatype, shape, data } = shown;
    const head = `{"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":[${shape.join(',')}]`;
    if (!(wanted?.binary ?? request.binaryOutputs)) return `${head},"data":${flatJson(shown)}}`;
    binary.push(data);
    return `${head},"parameters":{"binary_data_size":${data.byteLength}}}`;
  });
  const text =
    `{"model_name":"${job.model}","model_version":"${job.servedVersion ?? job.version ?? ''}"` +
    (request.id === null ? '' : `,"id":${JSON.stringify(request.id)}`) +
    `,"outputs":[${outputs.join(',')}]}`;
  if (binary.length === 0) return { status: 200, headers: [...JSON_HEADERS, ...more], body: text };
  const json = Buffer.from(text);
  return {
    status: 200,
    headers: [
      'content-type',
      'application/octet-stream',
      'cache-control',
      'no-store',
      'inference-header-content-length',
      String(json.length),
      ...more,
    ],
    body: [json, ...binary],
  };
}
