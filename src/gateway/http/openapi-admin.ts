/** The administrator's part of the OpenAPI document. */
import { answer, JSON_TYPE, problems } from './openapi-answers.ts';
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
