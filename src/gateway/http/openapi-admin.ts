/** The administrator's part of the OpenAPI document. */
import { answer, JSON_TYPE, plain, problems } from './openapi-answers.ts';
import { ROLLOUT_PATHS } from './openapi-rollouts.ts';
import { PARAMETERS, ref } from './openapi-schemas.ts';

const body = (schema: object): object => ({ required: true, content: { [JSON_TYPE]: { schema } } });
const tags = ['Administration'];

export const ADMIN_PATHS: Readonly<Record<string, Readonly<Record<string, object>>>> = {
  '/admin/login': {
    post: {
      tags,
      summary: 'Log the console in',
      description:
        'Takes an admin key once, and sets a cookie that stands for it: HttpOnly, SameSite=Strict, Secure over HTTPS; over after 12 hours, or 2 without a request. Writes with the cookie need the header `X-CSRF-Token`.',
      requestBody: body(ref('Login')),
      responses: {
        200: answer('Logged in; with `Set-Cookie`.', ref('AdminSession')),
        ...problems('bad_parameter', 'unauthorized', 'forbidden', 'unsupported_media_type', 'rate_limited'),
      },
    },
  },
  '/admin/logout': {
    post: {
      tags,
      summary: 'Log the console out',
      responses: { 204: { description: 'The session is over, and the cookie removed.' }, ...problems('forbidden') },
    },
  },
  '/v1/admin/whoami': {
    get: { tags, summary: 'Who calls', responses: { 200: answer('The caller.', ref('WhoAmI')) } },
  },
  '/v1/admin/keys': {
    get: {
      tags,
      summary: 'All API keys',
      responses: { 200: answer('Newest first, ended ones included.', ref('KeyList')) },
    },
    post: {
      tags,
      summary: 'Make an API key',
      description: 'The answer holds the key, this once: only its digest is kept.',
      requestBody: body(ref('NewKey')),
      responses: {
        201: answer('Made. Running gateways know it within a second.', ref('MadeKey')),
        ...problems('bad_json', 'bad_parameter', 'unsupported_media_type', 'body_too_large'),
      },
    },
  },
  '/v1/admin/keys/{id}/revoke': {
    post: {
      tags,
      summary: 'End an API key',
      description: 'For good. Requests that wait or stream with it are cut within a second, on every gateway.',
      parameters: [PARAMETERS.keyId],
      responses: { 200: answer('It, as it stands now.', ref('Key')), ...problems('not_found') },
    },
  },
  ...ROLLOUT_PATHS,
  '/v1/admin/workers': {
    get: {
      tags,
      summary: 'All workers: invited, joined, locked out',
      description:
        'With what each may run, its certificate, and the session of those that are connected to this gateway.',
      responses: { 200: answer('By name.', ref('AdminWorkerList')) },
    },
  },
  '/v1/admin/workers/{name}/revoke': {
    post: {
      tags,
      summary: 'Shut a worker out',
      description:
        'For good: its sessions end within a second, on every gateway, what it ran is run elsewhere, and open invitations for the name are void.',
      parameters: [PARAMETERS.workerName],
      responses: {
        200: answer('It, as it stands now.', ref('AdminWorker')),
        204: { description: 'It had only been invited: the invitation is void.' },
        ...problems('not_found'),
      },
    },
  },
  '/v1/admin/gateways': {
    get: {
      tags,
      summary: 'The gateways on one database',
      description:
        'Those that live, as this one knows them: a list that is at most two seconds old, or the last one while the database cannot be reached. A gateway without a shared database lists itself.',
      responses: { 200: answer('This one first.', ref('GatewayList')) },
    },
  },
  '/v1/admin/predictions': {
    get: {
      tags,
      summary: 'Everybody’s predictions, newest first',
      description: 'Whose each one is and where its time went; without input and output.',
      parameters: [PARAMETERS.limit, PARAMETERS.cursor, PARAMETERS.status, PARAMETERS.model, PARAMETERS.caller],
      responses: { 200: answer('A page.', ref('AdminPredictionPage')), ...problems('bad_parameter') },
    },
  },
  '/v1/admin/predictions/{id}': {
    get: {
      tags,
      summary: 'One of them',
      parameters: [PARAMETERS.id],
      responses: { 200: answer('As it stands.', ref('AdminPrediction')), ...problems('prediction_not_found') },
    },
  },
  '/v1/admin/predictions/{id}/cancel': {
    post: {
      tags,
      summary: 'Cancel somebody’s prediction',
      description: 'As its caller can, and with an entry in the audit log.',
      parameters: [PARAMETERS.id],
      responses: { 200: answer('As it stands now.', ref('AdminPrediction')), ...problems('prediction_not_found') },
    },
  },
  '/v1/admin/predictions/{id}/retry': {
    post: {
      tags,
      summary: 'Try a failed prediction again',
      description:
        'As a new prediction with the same input, parameters, priority and webhook, for the same caller, without a deadline. Asked for again, it answers with the same new prediction. With an entry in the audit log.',
      parameters: [PARAMETERS.id],
      responses: {
        202: answer('The new one.', ref('AdminPrediction')),
        ...problems('prediction_not_found', 'retry_refused', 'model_not_found', 'quota_exceeded', 'queue_full'),
        ...problems('draining', 'overloaded', 'storage_full', 'storage_failed'),
      },
    },
  },
  '/v1/admin/live': {
    get: {
      tags,
      summary: 'What goes on, live',
      description:
        'Server-sent events: `snapshot` (about once a second: this gateway, its workers and models, the latest five seconds), `point` (every five seconds: what `/v1/admin/series` has one more of), and `reconnect` (this gateway stops: ask again). A viewer that does not keep up misses some. At most 32 viewers.',
      responses: { 200: plain('The events.', 'text/event-stream', {}), ...problems('draining', 'overloaded') },
    },
  },
  '/v1/admin/series': {
    get: {
      tags,
      summary: 'The last hour of this gateway, in points of five seconds',
      responses: { 200: answer('By column.', ref('Series')) },
    },
  },
  '/v1/admin/audit': {
    get: {
      tags,
      summary: 'The audit log, newest first',
      description:
        'Each entry holds the hash of itself and of the one before. Keep `head` elsewhere, and `postern audit verify --head` tells later whether anything was changed or cut off.',
      parameters: [PARAMETERS.entries, PARAMETERS.before],
      responses: { 200: answer('A page.', ref('AuditPage')), ...problems('bad_parameter') },
    },
  },
};
