/** The part of the OpenAPI document that describes what passes through to local servers: `/services` and `/openai/v1`. */
import type { ErrorCode } from '../../errors.ts';
import { answer, JSON_TYPE, problems } from './openapi-answers.ts';
import { PARAMETERS, ref } from './openapi-schemas.ts';

const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;
const REST = { name: 'rest', in: 'path', required: true, schema: { type: 'string' } };
const BODY = { content: { '*/*': { schema: { type: 'string', format: 'binary' } } } };
const OWN = { description: 'What the service answers, as it comes: status, headers and body.' };

const CODES = [
  ...(['bad_request', 'not_found', 'model_not_found', 'method_not_allowed', 'body_too_large'] as const),
  ...([
    'request_timeout',
    'quota_exceeded',
    'upgrade_refused',
    'service_failed',
    'worker_lost',
    'gateway_lost',
  ] as const),
  ...(['no_worker', 'model_unavailable', 'draining', 'overloaded', 'model_timeout'] as const),
];

/** The same problems, in the type and with the member that clients of OpenAI look for. */
export function openAiProblems(...codes: readonly ErrorCode[]): Record<string, object> {
  const error = { type: 'object', description: '`message`, `type`, `param`, `code`.' };
  const schema = { allOf: [ref('Problem'), { type: 'object', properties: { error } }] };
  return Object.fromEntries(
    Object.entries(problems(...codes)).map(([status, response]) => [
      status,
      { ...response, content: { [JSON_TYPE]: { schema } } },
    ]),
  );
}

function passed(tag: string, summary: string, description: string, parameters: readonly object[]): object {
  return Object.fromEntries(
    METHODS.map((method) => [
      method,
      {
        tags: [tag],
        summary,
        description,
        parameters,
        ...(method === 'get' || method === 'delete' ? {} : { requestBody: BODY }),
        responses: { default: OWN, ...(tag === 'OpenAI' ? openAiProblems : problems)(...CODES) },
      },
    ]),
  );
}

const SERVICE =
  'Passed to a local HTTP server of a worker that offers this path, and recorded nowhere. Bodies go both ways as streams; a caller that leaves ends the work. `Authorization`, cookies and headers that the service does not ask for stay here.';
const OPENAI =
  'Passed, unchanged, to the service that names the `model` of the body, streams too. Errors of the gateway itself have the form of OpenAI’s (`error.message`, `error.type`, `error.code`).';

export const SERVICE_PATHS: Readonly<Record<string, object>> = {
  '/services/{name}': passed('Services', 'The root of a local server', SERVICE, [PARAMETERS.name]),
  '/services/{name}/{rest}': passed('Services', 'Any path of a local server', SERVICE, [PARAMETERS.name, REST]),
  '/openai/v1/models': {
    get: {
      tags: ['OpenAI'],
      summary: 'Models of the services that speak the API of OpenAI',
      responses: { 200: answer('All that the key may use.', { type: 'object' }) },
    },
  },
  '/openai/v1/models/{rest}': {
    get: {
      tags: ['OpenAI'],
      summary: 'One of them',
      parameters: [REST],
      responses: { 200: answer('It.', { type: 'object' }), ...openAiProblems('model_not_found') },
    },
  },
  '/openai/v1/{rest}': passed('OpenAI', 'Chat, completions, embeddings, and the rest', OPENAI, [REST]),
};
