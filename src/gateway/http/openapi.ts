/** The OpenAPI 3.1 document. Written by hand; a test holds it against the routes and the table of errors. */
import { ADMIN_PATHS } from './openapi-admin.ts';
import { answer, JSON_TYPE, plain, problems } from './openapi-answers.ts';
import { FILE_PATHS, FILE_SCHEMAS } from './openapi-files.ts';
import { SECURITY, withSecurity } from './openapi-security.ts';
import type { OpenApiPart } from '../ports.ts';
import { PARAMETERS, ref, SCHEMAS } from './openapi-schemas.ts';
import { SCALING_PATHS, SCALING_SCHEMAS } from './openapi-scaling.ts';
import { SERVICE_PATHS } from './openapi-services.ts';
import { V2_PATHS, V2_SCHEMAS, VERSION } from './openapi-v2.ts';

const CREATE_PROBLEMS = problems(
  ...([
    'bad_request',
    'bad_json',
    'bad_multipart',
    'bad_parameter',
    'deadline_in_past',
    'missing_input',
    'model_not_found',
    'input_url_refused',
    'input_url_failed',
    'webhook_refused',
  ] as const),
  ...(['request_timeout', 'body_too_large', 'unsupported_media_type', 'idempotency_mismatch', 'not_an_image'] as const),
  ...([
    'image_truncated',
    'image_too_large',
    'empty_input',
    'input_invalid',
    'headers_too_large',
    'queue_full',
  ] as const),
  ...(['draining', 'overloaded', 'storage_full', 'storage_failed', 'internal'] as const),
);

const BODY = {
  required: true,
  content: {
    'multipart/form-data': { schema: ref('Form') },
    [JSON_TYPE]: { schema: ref('NewPrediction') },
    'image/*': {
      schema: { type: 'string', format: 'binary', description: 'The image itself. Parameters go into the query.' },
    },
    'application/octet-stream': { schema: { type: 'string', format: 'binary' } },
    'application/vnd.postern.tensors': { schema: { type: 'string', format: 'binary' } },
  },
};

function create(summary: string, parameters: readonly object[]): object {
  return {
    tags: ['Predictions'],
    summary,
    description:
      'Records a prediction. With `Prefer: wait` the answer is the decided prediction, or a problem when the input is at fault; it then carries `Server-Timing`. Without it, or when the time is over, the answer is 202 and `Location`.',
    parameters: [...parameters, PARAMETERS.prefer, PARAMETERS.cancelAfter, PARAMETERS.idempotencyKey],
    requestBody: BODY,
    responses: {
      201: answer('Decided.', ref('Prediction')),
      202: answer('Recorded, not decided yet.', ref('Prediction')),
      ...CREATE_PROBLEMS,
    },
  };
}

const PATHS: Readonly<Record<string, Readonly<Record<string, object>>>> = {
  '/v1/models/{owner}/{name}/predictions': {
    post: create('Make a prediction of a model', [PARAMETERS.owner, PARAMETERS.name]),
  },
  '/v1/predictions': {
    post: create('Make a prediction, the model named in the body', []),
    get: {
      tags: ['Predictions'],
      summary: 'List predictions, newest first',
      parameters: [PARAMETERS.limit, PARAMETERS.cursor, PARAMETERS.status, PARAMETERS.model],
      responses: { 200: answer('A page.', ref('PredictionPage')), ...problems('bad_parameter') },
    },
  },
  '/v1/predictions/{id}': {
    get: {
      tags: ['Predictions'],
      summary: 'Read a prediction, or wait for it',
      parameters: [PARAMETERS.id, PARAMETERS.wait, PARAMETERS.ifNoneMatch],
      responses: {
        200: answer('As it stands.', ref('Prediction')),
        304: { description: 'Unchanged.' },
        ...problems('bad_parameter', 'prediction_not_found'),
      },
    },
  },
  '/v1/predictions/{id}/output': {
    get: {
      tags: ['Predictions'],
      summary: 'The output as it is',
      parameters: [PARAMETERS.id],
      responses: {
        200: plain('In the type that the model gave it.', '*/*', {}),
        ...problems('not_found', 'prediction_not_found'),
      },
    },
  },
  '/v1/predictions/{id}/stream': {
    get: {
      tags: ['Predictions'],
      summary: 'Follow a prediction',
      description:
        'Server-sent events: `status`, `progress`, `output` (a part of the output, or all of it), `reset` (a new attempt: the output begins again), `error`, `reconnect` (this gateway stops: ask again), and at last `done`. A reader that comes late gets the whole output so far; one that comes back with `Last-Event-ID` gets what it missed, and 204 when there is nothing more.',
      parameters: [PARAMETERS.id, PARAMETERS.lastEventId],
      responses: {
        200: plain('The events.', 'text/event-stream', {}),
        204: { description: 'Nothing follows.' },
        ...problems('prediction_not_found', 'overloaded'),
      },
    },
  },
  '/v1/predictions/{id}/cancel': {
    post: {
      tags: ['Predictions'],
      summary: 'Cancel a prediction',
      description:
        'A prediction that waits is canceled at once, one that runs as soon as the worker has let go of it. A decided one stays as it is.',
      parameters: [PARAMETERS.id],
      responses: { 200: answer('As it stands now.', ref('Prediction')), ...problems('prediction_not_found') },
    },
  },
  '/v1/webhooks/default/secret': {
    get: {
      tags: ['Predictions'],
      summary: 'The secret that your webhooks are signed with',
      description: 'As in the Standard Webhooks specification. Each API key has its own.',
      responses: { 200: answer('It.', ref('WebhookSecret')) },
    },
  },
  '/v1/webhooks/deliveries': {
    get: {
      tags: ['Predictions'],
      summary: 'What became of your webhooks, newest first',
      parameters: [
        {
          ...PARAMETERS.limit,
          description: 'Deliveries on a page.',
          schema: { type: 'integer', minimum: 1, maximum: 500 },
        },
        PARAMETERS.cursor,
        PARAMETERS.deliveryStatus,
      ],
      responses: { 200: answer('A page.', ref('DeliveryPage')), ...problems('bad_parameter') },
    },
  },
  '/v1/webhooks/deliveries/{id}/resend': {
    post: {
      tags: ['Predictions'],
      summary: 'Try a failed delivery again',
      description: 'As if it had never been tried. One that is pending or has arrived stays as it is.',
      parameters: [PARAMETERS.deliveryId],
      responses: { 200: answer('As it stands now.', ref('Delivery')), ...problems('not_found') },
    },
  },
  '/v1/models': {
    get: { tags: ['Models'], summary: 'All models', responses: { 200: answer('All of them.', ref('ModelPage')) } },
  },
  '/v1/models/{owner}/{name}': {
    get: {
      tags: ['Models'],
      summary: 'One model',
      parameters: [PARAMETERS.owner, PARAMETERS.name],
      responses: { 200: answer('It.', ref('Model')), ...problems('model_not_found') },
    },
  },
  '/v1/models/{owner}/{name}/versions': {
    get: {
      tags: ['Models'],
      summary: 'Versions that are served now, newest first',
      parameters: [PARAMETERS.owner, PARAMETERS.name],
      responses: { 200: answer('All of them.', { type: 'object' }), ...problems('model_not_found') },
    },
  },
  '/v1/models/{owner}/{name}/versions/{version}': {
    get: {
      tags: ['Models'],
      summary: 'One version, by its id or name',
      parameters: [PARAMETERS.owner, PARAMETERS.name, VERSION],
      responses: { 200: answer('It.', { type: 'object' }), ...problems('model_not_found') },
    },
  },
  ...FILE_PATHS,
  ...V2_PATHS,
  ...SERVICE_PATHS,
  ...SCALING_PATHS,
  '/v1/workers': {
    get: {
      tags: ['Running it'],
      summary: 'All workers with a session',
      responses: { 200: answer('All of them.', ref('WorkerList')) },
    },
  },
  '/livez': {
    get: {
      tags: ['Running it'],
      summary: 'Does the process answer?',
      responses: { 200: answer('Yes.', ref('Health')) },
    },
  },
  '/readyz': {
    get: {
      tags: ['Running it'],
      summary: 'Does it take jobs?',
      responses: { 200: answer('Yes.', ref('Health')), ...problems('draining', 'storage_full', 'storage_failed') },
    },
  },
  '/health': {
    get: {
      tags: ['Running it'],
      summary: 'The same as /readyz',
      responses: { 200: answer('Yes.', ref('Health')), ...problems('draining', 'storage_full', 'storage_failed') },
    },
  },
  '/metrics': {
    get: {
      tags: ['Running it'],
      summary: 'Figures for Prometheus',
      responses: { 200: plain('Text format.', 'text/plain') },
    },
  },
  '/openapi.json': {
    get: { tags: ['Pages'], summary: 'This document', responses: { 200: answer('OpenAPI 3.1.', { type: 'object' }) } },
  },
  '/docs': {
    get: { tags: ['Pages'], summary: 'This document as a page', responses: { 200: plain('A page.', 'text/html') } },
  },
  '/docs/errors': {
    get: { tags: ['Pages'], summary: 'All error codes', responses: { 200: plain('A page.', 'text/html') } },
  },
  '/': {
    get: {
      tags: ['Pages'],
      summary: 'The web app: field guide and console',
      responses: { 200: plain('A page.', 'text/html') },
    },
  },
};

const merge = (parts: readonly Readonly<Record<string, object>>[]): Record<string, object> =>
  Object.fromEntries(parts.flatMap((part) => Object.entries(part)));

/** @param parts what apps add */
export function openApiDocument(parts: readonly OpenApiPart[] = []): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Postern',
      version: '1',
      description:
        'Predictions by models on private machines that have dialled out to this gateway. Errors are problems (RFC 9457) with a stable `code`.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: [
      'Predictions',
      'Files',
      'Models',
      'Open Inference Protocol',
      'OpenAI',
      'Services',
      'Running it',
      'Administration',
      'Pages',
      ...parts.map(({ tag }) => tag),
    ].map((name) => ({ name })),
    paths: { ...withSecurity({ ...PATHS, ...ADMIN_PATHS }), ...merge(parts.map(({ paths }) => paths)) },
    components: {
      schemas: {
        ...SCHEMAS,
        ...FILE_SCHEMAS,
        ...SCALING_SCHEMAS,
        ...V2_SCHEMAS,
        ...merge(parts.map(({ schemas }) => schemas)),
      },
      securitySchemes: SECURITY,
    },
  };
}
