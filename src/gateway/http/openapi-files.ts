/** The part of the OpenAPI document that describes `/v1/files`. */
import { answer, problems } from './openapi-answers.ts';
import { PARAMETERS, ref } from './openapi-schemas.ts';

const ID = { ...PARAMETERS.id, description: 'Of the file.' };

export const FILE_SCHEMAS: Readonly<Record<string, object>> = {
  File: {
    type: 'object',
    properties: {
      id: { type: 'string' },
      name: { type: 'string' },
      content_type: { type: 'string' },
      size: { type: 'integer', description: 'Bytes.' },
      etag: { type: 'string' },
      checksums: { type: 'object', properties: { sha256: { type: 'string' }, md5: { type: 'string' } } },
      metadata: { type: 'object', description: 'What came with it.' },
      created_at: { type: 'string', format: 'date-time' },
      expires_at: { type: 'string', format: 'date-time', description: 'From then on it is gone.' },
      urls: {
        type: 'object',
        description: '`get` may be given as an input of a prediction.',
        properties: { get: { type: 'string' }, download: { type: 'string' } },
      },
    },
  },
  FilePage: {
    type: 'object',
    properties: {
      results: { type: 'array', items: ref('File') },
      next: { type: ['string', 'null'], description: 'Address of the next page.' },
      previous: { type: 'null' },
    },
  },
};

export const FILE_PATHS: Readonly<Record<string, Readonly<Record<string, object>>>> = {
  '/v1/files': {
    post: {
      tags: ['Files'],
      summary: 'Upload a file',
      description:
        'To be named as the input of predictions, by `urls.get`. As a form with the file in `content`, or as the body itself.',
      requestBody: {
        required: true,
        content: {
          'multipart/form-data': {
            schema: {
              type: 'object',
              properties: {
                content: { type: 'string', format: 'binary' },
                filename: { type: 'string' },
                type: { type: 'string' },
                metadata: { type: 'string', description: 'A JSON object.' },
              },
            },
          },
          '*/*': { schema: { type: 'string', format: 'binary' } },
        },
      },
      responses: {
        201: answer('Kept.', ref('File')),
        ...problems(
          'bad_multipart',
          'bad_parameter',
          'missing_input',
          'empty_input',
          'request_timeout',
          'body_too_large',
          'file_quota_exceeded',
          'overloaded',
          'storage_full',
          'storage_failed',
        ),
      },
    },
    get: {
      tags: ['Files'],
      summary: 'List files, newest first',
      parameters: [PARAMETERS.cursor],
      responses: { 200: answer('A page.', ref('FilePage')), ...problems('bad_parameter') },
    },
  },
  '/v1/files/{id}': {
    get: {
      tags: ['Files'],
      summary: 'What is known of a file',
      parameters: [ID],
      responses: { 200: answer('It.', ref('File')), ...problems('file_not_found') },
    },
    delete: {
      tags: ['Files'],
      summary: 'Delete a file',
      parameters: [ID],
      responses: { 204: { description: 'It is gone.' }, ...problems('file_not_found') },
    },
  },
  '/v1/files/{id}/download': {
    get: {
      tags: ['Files'],
      summary: 'The file itself',
      parameters: [ID],
      responses: {
        200: {
          description: 'In the type that it came in.',
          content: { '*/*': { schema: { type: 'string', format: 'binary' } } },
        },
        ...problems('file_not_found'),
      },
    },
  },
};
