/** Identifications, shares and the ranking in the OpenAPI document. */
import type { OpenApiPart } from '../../gateway/ports.ts';
import { text, time, textOrNull, flag, count, ref, list, path, query, whole } from './openapi-shapes.ts';

const answer = (schema: object, description = 'It.'): object => ({
  description,
  content: { 'application/json': { schema } },
});
const jpeg = { description: 'JPEG.', content: { 'image/jpeg': { schema: { type: 'string', format: 'binary' } } } };
const nothing = { description: 'Done.' };
const unchanged = { description: 'Unchanged.' };

/** Codes by status, as `docs/errors.md` has them. */
const problem = (...codes: readonly string[]): object => ({
  description: codes.map((code) => `\`${code}\``).join(', '),
  content: { 'application/problem+json': { schema: ref('Problem') } },
});
const limited = { 429: problem('rate_limited') };
const bad = { 400: problem('bad_parameter') };
const foreign = { 403: problem('forbidden') };
const storage = { 503: problem('storage_full', 'storage_failed', 'draining') };
const noGuide = { 404: problem('guide_not_found') };
const noIdentification = { 404: problem('identification_not_found', 'guide_not_found') };
const noBody = {
  400: problem('bad_json', 'bad_request', 'bad_parameter'),
  415: problem('unsupported_media_type'),
  413: problem('body_too_large'),
};

const owner = {
  name: 'X-Guide-Owner',
  in: 'header',
  description: 'The owner’s token, made by the caller: 32 random bytes as base64url. Without it the cookie counts.',
  schema: { type: 'string', pattern: '^[A-Za-z0-9_-]{43}$' },
};
const guide = path('guide', 'Id of the guide.');
const id = path('id', 'Id of the identification.');
const n = path('n', 'Number of the photo, from 0.');
const token = path('token', 'What the link ends with.');
const size = query('size', 'The photo, or a small one.', { type: 'string', enum: ['full', 'thumb'] });

function operation(
  summary: string,
  parameters: readonly object[],
  responses: Readonly<Record<number, object>>,
  requestBody?: object,
): object {
  const body = requestBody === undefined ? {} : { requestBody };
  return { tags: ['Field guide'], summary, parameters, ...body, responses };
}

const json = (schema: object): object => ({ required: true, content: { 'application/json': { schema } } });

const identification = answer(ref('GuideIdentification'));

export const IDENTIFY_PATHS: OpenApiPart['paths'] = {
  '/api/guides/{guide}/status': {
    get: operation('Can photos be sent, how, and when was a worker last seen', [guide], {
      200: answer(ref('GuideStatus')),
      ...bad,
      ...noGuide,
    }),
  },
  '/api/guides/{guide}/identifications': {
    post: {
      ...operation(
        'Send one to five photos of one plant',
        [
          guide,
          owner,
          {
            name: 'Idempotency-Key',
            in: 'header',
            description: 'Sent again with the same key, it is the same identification.',
            schema: { type: 'string', maxLength: 255 },
          },
        ],
        {
          202: answer(ref('GuideIdentification'), 'Recorded. `Location` is its address.'),
          400: problem('bad_multipart', 'bad_parameter', 'missing_input'),
          401: problem('unauthorized'),
          ...foreign,
          ...noGuide,
          408: problem('request_timeout'),
          413: problem('body_too_large'),
          415: problem('unsupported_media_type'),
          422: problem('not_an_image', 'image_truncated', 'image_too_large', 'empty_input', 'input_invalid'),
          429: problem('rate_limited', 'quota_exceeded', 'queue_full'),
          503: problem('overloaded', 'draining', 'storage_full', 'storage_failed'),
        },
        {
          required: true,
          content: {
            'application/json': {
              schema: {
                type: 'object',
                required: ['uploads'],
                properties: { uploads: { ...list(text), minItems: 1, maxItems: 5 } },
              },
            },
            'multipart/form-data': {
              schema: {
                type: 'object',
                required: ['photo'],
                properties: {
                  photo: { type: 'array', minItems: 1, maxItems: 5, items: { type: 'string', format: 'binary' } },
                },
              },
            },
          },
        },
      ),
      security: [{}, { key: [] }],
    },
  },
  '/api/guides/{guide}/uploads': {
    post: {
      ...operation(
        'Forms with which photos are sent to S3 directly, where `upload.mode` is `presigned`',
        [guide],
        {
          201: answer(
            whole({
              items: list(whole({ upload: text, url: text, fields: { type: 'object' }, expires_at: time })),
            }),
            'One for each photo. Send all `fields`, then `file`; then name the uploads.',
          ),
          ...noBody,
          401: problem('unauthorized'),
          ...foreign,
          ...noGuide,
          ...limited,
          ...storage,
        },
        json({
          type: 'object',
          required: ['photos'],
          properties: {
            photos: {
              ...list(whole({ type: text, bytes: { type: 'integer', minimum: 1 } })),
              minItems: 1,
              maxItems: 5,
            },
          },
        }),
      ),
      security: [{}, { key: [] }],
    },
  },
  '/api/identifications': {
    get: operation(
      'One’s own identifications, newest first',
      [
        owner,
        query('limit', 'Identifications on a page.', { type: 'integer', minimum: 1, maximum: 50, default: 20 }),
        query('cursor', '`next` of the page before.'),
      ],
      { 200: answer(whole({ items: list(ref('GuideIdentification')), next: textOrNull })), ...bad },
    ),
    delete: operation('Forget everything of mine', [owner], {
      204: nothing,
      ...bad,
      ...foreign,
      ...limited,
      ...storage,
    }),
  },
  '/api/identifications/{id}': {
    get: operation(
      'One of one’s own; waits for news when asked to',
      [
        id,
        owner,
        query('wait', 'Seconds to wait for something else than `If-None-Match` says, or for the end.', {
          type: 'number',
          minimum: 0,
          maximum: 60,
        }),
      ],
      { 200: identification, 304: unchanged, ...bad, ...noIdentification },
    ),
    delete: operation('Forget it and its photos', [id, owner], {
      204: nothing,
      ...bad,
      ...foreign,
      ...noIdentification,
      ...limited,
      ...storage,
    }),
  },
  '/api/identifications/{id}/retry': {
    post: operation('Once more with the same photos, after it failed', [id, owner], {
      202: identification,
      400: problem('bad_request', 'bad_parameter'),
      ...foreign,
      404: problem('identification_not_found', 'photo_not_found', 'guide_not_found'),
      ...limited,
      ...storage,
    }),
  },
  '/api/identifications/{id}/feedback': {
    post: operation(
      'Was it right?',
      [id, owner],
      {
        200: identification,
        ...noBody,
        ...foreign,
        404: problem('identification_not_found', 'entry_not_found', 'guide_not_found'),
        409: problem('not_decided'),
        ...limited,
        ...storage,
      },
      json({
        type: 'object',
        required: ['verdict'],
        properties: { verdict: { type: 'string', enum: ['right', 'wrong'] }, entry: textOrNull },
        additionalProperties: false,
      }),
    ),
    delete: operation('Take the feedback back', [id, owner], {
      200: identification,
      ...bad,
      ...foreign,
      ...noIdentification,
      409: problem('not_decided'),
      ...limited,
      ...storage,
    }),
  },
  '/api/identifications/{id}/share': {
    post: operation(
      'A link for others, with the photos or without',
      [id, owner],
      {
        200: answer(ref('GuideShareLink')),
        ...noBody,
        ...foreign,
        ...noIdentification,
        409: problem('not_decided'),
        ...limited,
        ...storage,
      },
      json({ type: 'object', properties: { photos: { ...flag, default: false } }, additionalProperties: false }),
    ),
    delete: operation('End the link', [id, owner], {
      204: nothing,
      ...bad,
      ...foreign,
      ...noIdentification,
      ...limited,
      ...storage,
    }),
  },
  '/api/identifications/{id}/photos/{n}': {
    get: operation('A photo of one’s own', [id, n, owner, size], {
      200: jpeg,
      304: unchanged,
      ...bad,
      404: problem('identification_not_found', 'photo_not_found'),
    }),
  },
  '/api/shares/{token}': {
    get: operation('What is behind a link', [token], {
      200: answer(
        whole({
          guide: text,
          date: { type: 'string', format: 'date' },
          outcome: ref('GuideOutcome'),
          photos: list(whole({ n: count, width: count, height: count, url: textOrNull, thumb: textOrNull })),
        }),
      ),
      ...bad,
      404: problem('share_not_found', 'guide_not_found'),
    }),
  },
  '/api/shares/{token}/photos/{n}': {
    get: operation('A photo that its owner chose to share', [token, n, size], {
      200: jpeg,
      304: unchanged,
      ...bad,
      404: problem('share_not_found', 'photo_not_found'),
    }),
  },
  '/api/guides/{guide}/ranking': {
    get: operation(
      'What is found most often',
      [
        guide,
        query('window', 'Since when.', { type: 'string', enum: ['day', 'week', 'all'], default: 'week' }),
        query('limit', 'Entries on a page.', { type: 'integer', minimum: 1, maximum: 100, default: 20 }),
        query('cursor', '`next` of the page before.'),
      ],
      {
        200: answer(
          whole({
            window: text,
            made_at: time,
            total: count,
            items: list(whole({ rank: count, entry: ref('GuideEntrySummary'), finds: count, views: count })),
            next: textOrNull,
          }),
        ),
        304: unchanged,
        ...bad,
        ...noGuide,
        410: problem('cursor_expired'),
      },
    ),
  },
  '/api/guides/{guide}/entries/{entry}/views': {
    post: operation('Somebody read this page', [guide, path('entry', 'Id of the entry.'), owner], {
      204: nothing,
      ...bad,
      ...foreign,
      404: problem('guide_not_found', 'entry_not_found'),
      ...storage,
    }),
  },
};
