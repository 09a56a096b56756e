/** `/v1/scaling` for the OpenAPI document. */
import { BOUNDS, type TargetBound, type TargetName } from '../scaling/targets.ts';
import { answer, problems } from './openapi-answers.ts';

const number = (description: string): object => ({ type: 'number', description });
const integer = (description: string): object => ({ type: 'integer', description });
const object = (properties: Record<string, object>): object => ({ type: 'object', properties });
const REASON = {
  type: 'string',
  enum: ['enough', 'queue', 'busy', 'idle', 'blocked', 'steadying', 'bound'],
  description:
    'Why so many. `queue`: work waits too long. `busy`: there is too little room. `idle`: fewer were enough for long. `blocked`: work waits though workers have room, and more would not help. `steadying`: another number is needed, but not for long enough yet. `bound`: the least or the most that was asked for.',
};

const TARGETS: Readonly<Record<TargetName, string>> = {
  target_queue_s: 'What waits is to be worked off within so long.',
  target_busy: 'Share of the rows that workers take at once that may be taken, in the mean.',
  min_workers: 'The least, for each model.',
  max_workers: 'The most, for each model.',
  target_loop: 'Share of the time in which the event loop of a gateway may compute.',
  target_connections: 'Connections of callers that a gateway may have.',
  min_gateways: 'The least.',
  max_gateways: 'The most.',
  up_s: 'More are wanted once they were needed for so long without a break.',
  down_s: 'Fewer are wanted once fewer were enough for so long; what was wanted is not given up before.',
};

const targetSchema = ({ whole, min, max, ...bound }: TargetBound): object => ({
  type: whole === true ? 'integer' : 'number',
  minimum: min,
  maximum: max,
  default: bound.default,
});

const query = (name: string, description: string, schema: object): object => ({
  name,
  in: 'query',
  description,
  required: false,
  schema,
});

export const SCALING_PATHS: Readonly<Record<string, object>> = {
  '/v1/scaling': {
    get: {
      tags: ['Running it'],
      summary: 'How many workers and gateways are wanted',
      description:
        'For whatever starts and stops machines. Of all gateways on the database together; at most some seconds old, whoever asks and however often. Fewer machines than there are: end them by SIGTERM, so that they drain.',
      parameters: [
        query('model', 'This model alone.', { type: 'string', example: 'plants' }),
        ...Object.entries(TARGETS).map(([name, description]) =>
          query(name, description, targetSchema(BOUNDS[name as TargetName])),
        ),
      ],
      responses: {
        200: answer('The verdict.', { $ref: '#/components/schemas/ScalingVerdict' }),
        ...problems('bad_parameter', 'model_not_found', 'storage_failed'),
      },
    },
  },
};

export const SCALING_SCHEMAS: Readonly<Record<string, object>> = {
  ScalingVerdict: object({
    at: { type: 'string', format: 'date-time', description: 'When this gateway looked.' },
    targets: object(Object.fromEntries(Object.entries(TARGETS).map(([name, text]) => [name, number(text)]))),
    models: {
      type: 'array',
      description: 'By name.',
      items: object({
        model: { type: 'string' },
        workers: integer('That have it ready, each counted once.'),
        wanted_workers: integer('So many should be there.'),
        reason: REASON,
        queue_s: number('The larger of the next two; never missing.'),
        oldest_s: number('How long the oldest job has waited.'),
        work_off_s: {
          type: ['number', 'null'],
          description: 'Waiting rows by rows a second of the last minute. `null`: no row was ended in it.',
        },
        waiting_jobs: integer('All that wait.'),
        waiting_rows: integer('Of those that might be claimed now.'),
        in_flight_jobs: integer('That a worker holds.'),
        free_rows: integer('That workers would take on top.'),
        capacity_rows: integer('That workers take at once.'),
        busy_rows: number('At workers, in the mean of the last minute.'),
        rows_per_s: number('Ended, in the mean of the last minute.'),
      }),
    },
    gateways: object({
      count: integer('That serve.'),
      wanted: integer('So many should be there.'),
      reason: REASON,
      members: {
        type: 'array',
        description: 'The one that answers first.',
        items: object({
          id: { type: 'string' },
          state: { type: 'string', enum: ['serving', 'draining'] },
          requests_in_flight: integer('Being answered.'),
          connections: integer('Of callers.'),
          sessions: integer('Of workers.'),
          loop: number('Share of the time in which the event loop computes.'),
          cpu_cores: number('Cores of processor that it takes.'),
        }),
      },
    }),
  }),
};
