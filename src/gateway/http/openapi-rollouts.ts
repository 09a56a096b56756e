/** `/v1/admin/models` in the OpenAPI document. */
import { answer, JSON_TYPE, problems } from './openapi-answers.ts';

const ref = (name: string): object => ({ $ref: `#/components/schemas/${name}` });
const tags = ['Administration'];
const model = {
  in: 'path',
  name: 'name',
  required: true,
  description: 'Name of the model.',
  schema: { type: 'string', example: 'plants' },
};

export const ROLLOUT_PATHS: Readonly<Record<string, Readonly<Record<string, object>>>> = {
  '/v1/admin/models': {
    get: {
      tags,
      summary: 'Which versions are deployed, and what each worker has',
      responses: { 200: answer('By name.', ref('DeployedModelList')) },
    },
  },
  '/v1/admin/models/{name}': {
    get: {
      tags,
      summary: 'The same of one model',
      parameters: [model],
      responses: { 200: answer('It, as it stands.', ref('DeployedModel')), ...problems('model_not_found') },
    },
  },
  '/v1/admin/models/{name}/deploy': {
    post: {
      tags,
      summary: 'Deploy a version',
      description:
        'Answers at once; every worker that has the version loads it, tries it with a real inference, and changes over when it is ready: ask again to see how far each is. Until then, and where it cannot be loaded, the version before goes on serving; when no worker can load it, the decision is taken back and `failure` says why.',
      parameters: [model],
      requestBody: { required: true, content: { [JSON_TYPE]: { schema: ref('Deploy') } } },
      responses: {
        200: answer('It, as it stands now.', ref('DeployedModel')),
        ...problems('bad_json', 'bad_parameter', 'model_not_found', 'rollout_refused'),
        ...problems('unsupported_media_type', 'body_too_large', 'storage_full', 'storage_failed'),
      },
    },
  },
  '/v1/admin/models/{name}/rollback': {
    post: {
      tags,
      summary: 'Go back to the version before',
      description:
        'All of the work goes back to it: at once where it is still loaded, which it is for a while after it was replaced. Called again, it goes forward again.',
      parameters: [model],
      responses: {
        200: answer('It, as it stands now.', ref('DeployedModel')),
        ...problems('model_not_found', 'rollout_refused', 'storage_full', 'storage_failed'),
      },
    },
  },
};
