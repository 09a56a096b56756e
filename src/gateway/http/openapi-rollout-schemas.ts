/** The shapes of `/v1/admin/models` for the OpenAPI document. */
const text = (description: string): object => ({ type: 'string', description });
const maybe = (description: string): object => ({ type: ['string', 'null'], description });
const time = (description: string): object => ({ type: ['string', 'null'], format: 'date-time', description });
const ref = (name: string): object => ({ $ref: `#/components/schemas/${name}` });
const object = (properties: Record<string, object>, more: object = {}): object => ({
  type: 'object',
  properties,
  ...more,
});
const VERSION_STATE = { type: 'string', enum: ['stored', 'loading', 'ready', 'draining', 'failed'] };

export const ROLLOUT_SCHEMAS: Readonly<Record<string, object>> = {
  Deploy: object(
    {
      version: text('Which one. A connected worker must have it in its repository.'),
      weight: {
        type: 'integer',
        minimum: 0,
        maximum: 100,
        default: 100,
        description:
          'Percent of the work that names no version. The rest stays with the version that serves now. 0: it is loaded, for those who name it.',
      },
      allow_downtime: {
        type: 'boolean',
        default: false,
        description:
          'Where the memory does not hold both, unload the one that serves first: predictions wait meanwhile.',
      },
    },
    { required: ['version'], additionalProperties: false },
  ),
  DeployedModel: object({
    name: text('Of the model.'),
    serving: maybe('What callers get now who name no version; null: nothing.'),
    rollout: {
      description: 'What was decided last; null: nothing ever was, and each worker serves its newest version.',
      oneOf: [
        object({
          version: text('The version that was deployed.'),
          weight: { type: 'integer', description: 'Its percentage. The rest is that of `previous`.' },
          previous: maybe('The one before: what a rollback goes back to.'),
          state: {
            type: 'string',
            enum: ['loading', 'active', 'failed'],
            description: '`loading`: not ready on any worker yet. `failed`: what was deployed last is in `failure`.',
          },
          failure: {
            description: 'A deployment that did not come about; null: there is none.',
            oneOf: [object({ version: text('Which.'), reason: text('Why.') }), { type: 'null' }],
          },
          allow_downtime: { type: 'boolean' },
          soak_until: time('Until when `previous` stays loaded.'),
          changed_at: time('When it was decided.'),
          changed_by: text('As in the audit log.'),
        }),
        { type: 'null' },
      ],
    },
    workers: {
      type: 'array',
      description: 'Connected workers that have any version of it.',
      items: object({
        name: text('Of the worker.'),
        takes_deploy: { type: 'boolean', description: 'It can be told what to load; older ones cannot.' },
        versions: {
          type: 'array',
          items: object({
            version: text('Name.'),
            state: { ...VERSION_STATE, description: '`stored`: it lies there and is not loaded.' },
            serves: { type: 'boolean', description: 'It gets work there that names no version.' },
            message: maybe('Why it is not ready.'),
          }),
        },
      }),
    },
  }),
  DeployedModelList: object({ results: { type: 'array', items: ref('DeployedModel') } }),
};
