/** The part of the OpenAPI document that describes `/v2`, the Open Inference Protocol. */
import { DATATYPES } from '../../protocol/datatypes.ts';
import { ERROR_CODES, type ErrorCode } from '../../errors.ts';
import { PARAMETERS, ref } from './openapi-schemas.ts';

const JSON_TYPE = 'application/json';
export const VERSION = { name: 'version', in: 'path', required: true, schema: { type: 'string' } };

const tensor = (more: object): object => ({
  type: 'object',
  required: ['name', 'datatype', 'shape'],
  properties: {
    name: { type: 'string' },
    datatype: { type: 'string', enum: DATATYPES },
    shape: { type: 'array', items: { type: 'integer' } },
    ...more,
  },
});
const data = {
  type: 'array',
  items: {},
  description:
    'The elements, flat or nested as the shape says. "NaN", "Infinity" and "-Infinity" are texts; so are whole numbers beyond 2^53 in a request.',
};
const parameters = { type: 'object', additionalProperties: true };

export const V2_SCHEMAS: Readonly<Record<string, object>> = {
  InferenceRequest: {
    type: 'object',
    required: ['inputs'],
    properties: {
      id: { type: 'string', description: 'Echoed.' },
      parameters: {
        ...parameters,
        description: '`binary_data_output`, `timeout` (microseconds, at most 60 s); anything else goes to the model.',
      },
      inputs: {
        type: 'array',
        items: tensor({ data, parameters: { ...parameters, description: '`binary_data_size`' } }),
      },
      outputs: {
        type: 'array',
        description: 'Which outputs, in which form. Without it: all.',
        items: {
          type: 'object',
          properties: {
            name: { type: 'string' },
            parameters: { ...parameters, description: '`binary_data`, `classification`' },
          },
        },
      },
    },
  },
  InferenceResponse: {
    type: 'object',
    properties: {
      model_name: { type: 'string' },
      model_version: { type: 'string' },
      id: { type: 'string' },
      outputs: { type: 'array', items: tensor({ data, parameters }) },
    },
  },
  ModelMetadata: {
    type: 'object',
    properties: {
      name: { type: 'string' },
      versions: { type: 'array', items: { type: 'string' } },
      platform: { type: 'string' },
      inputs: { type: 'array', items: tensor({}), description: '-1 in a shape: any size.' },
      outputs: { type: 'array', items: tensor({}) },
    },
  },
  InferenceError: {
    allOf: [ref('Problem'), { type: 'object', properties: { error: { type: 'string', description: 'The detail.' } } }],
  },
};

/** The problems of an operation in this protocol's own form. */
export function inferenceProblems(...codes: ErrorCode[]): Record<string, object> {
  const byStatus = Map.groupBy(codes, (code) => ERROR_CODES[code].status);
  return Object.fromEntries(
    [...byStatus].map(([status, its]) => [
      String(status),
      {
        description: its.map((code) => `\`${code}\`: ${ERROR_CODES[code].title}.`).join(' '),
        content: { [JSON_TYPE]: { schema: ref('InferenceError') } },
      },
    ]),
  );
}

const answer = (description: string, schema: object): object => ({
  description,
  content: { [JSON_TYPE]: { schema } },
});
const get = (summary: string, schema: object, codes: ErrorCode[] = [], path: object[] = []): object => ({
  tags: ['Open Inference Protocol'],
  summary,
  parameters: path,
  responses: { 200: answer('It.', schema), ...inferenceProblems(...codes) },
});

const INFER_CODES: ErrorCode[] = [
  'bad_request',
  'bad_json',
  'bad_parameter',
  'bad_tensor',
  'missing_input',
  'model_not_found',
  'request_timeout',
  'body_too_large',
  'unsupported_media_type',
  'input_invalid',
  'empty_input',
  'queue_full',
  'model_failed',
  'output_invalid',
  'no_worker',
  'gateway_lost',
  'draining',
  'overloaded',
  'deadline_exceeded',
];

function ofModel(path: string, more: object[]): Record<string, object> {
  const inPath = [PARAMETERS.name, ...more];
  const anything = { type: 'object' };
  return {
    [path]: { get: get('Inputs and outputs of a model', ref('ModelMetadata'), ['model_not_found'], inPath) },
    [`${path}/ready`]: { get: get('Is a model served now?', anything, ['model_not_found', 'no_worker'], inPath) },
    [`${path}/config`]: { get: get('A model as Triton configures it', anything, ['model_not_found'], inPath) },
    [`${path}/infer`]: {
      post: {
        tags: ['Open Inference Protocol'],
        summary: 'Run a model',
        description:
          'Answered on the line and recorded nowhere: a caller that leaves takes the work along. With the header `Inference-Header-Content-Length` the body is so many bytes of JSON and then the tensors of `binary_data_size`; outputs in binary are answered the same way.',
        parameters: inPath,
        requestBody: {
          required: true,
          content: {
            [JSON_TYPE]: { schema: ref('InferenceRequest') },
            'application/octet-stream': { schema: { type: 'string', format: 'binary' } },
          },
        },
        responses: { 200: answer('The outputs.', ref('InferenceResponse')), ...inferenceProblems(...INFER_CODES) },
      },
    },
  };
}

export const V2_PATHS: Readonly<Record<string, object>> = {
  '/v2': { get: get('The server and its extensions', { type: 'object' }) },
  '/v2/health/live': { get: get('Does the process answer?', { type: 'object' }) },
  '/v2/health/ready': { get: get('Does it take work?', { type: 'object' }, ['draining']) },
  '/v2/repository/index': {
    post: {
      tags: ['Open Inference Protocol'],
      summary: 'All models and their versions',
      responses: { 200: answer('All of them.', { type: 'array', items: { type: 'object' } }) },
    },
  },
  ...ofModel('/v2/models/{name}', []),
  ...ofModel('/v2/models/{name}/versions/{version}', [VERSION]),
};
