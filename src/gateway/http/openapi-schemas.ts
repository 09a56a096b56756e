/** The shapes of the HTTP API for the OpenAPI document. Prose belongs here, so that the reference page can show it. */
import { ERROR_CODES } from '../../errors.ts';
import { ADMIN_SCHEMAS } from './openapi-admin-schemas.ts';
import { MAX_WAIT_S } from './parameters.ts';

const text = (description: string, more: object = {}): object => ({ type: 'string', description, ...more });
const number = (description: string): object => ({ type: 'number', description });
const time = (description: string): object => ({ type: ['string', 'null'], format: 'date-time', description });
const object = (properties: Record<string, object>, more: object = {}): object => ({
  type: 'object',
  properties,
  ...more,
});
const list = (items: object): object => ({ type: 'array', items });
export const ref = (name: string): object => ({ $ref: `#/components/schemas/${name}` });

const status = {
  type: 'string',
  enum: ['starting', 'processing', 'succeeded', 'failed', 'canceled', 'aborted'],
  description:
    '`starting`: accepted, waits. `processing`: a worker has it. `aborted`: its deadline passed before it ran. The last four never change again.',
};

const page = (item: string): object =>
  object({
    results: list(ref(item)),
    next: { type: ['string', 'null'], description: 'Address of the next page.' },
    previous: { type: 'null' },
  });

const DELIVERY = {
  id: text('The `webhook-id` of every attempt.'),
  event: text('', { enum: ['start', 'completed'] }),
  status: text('`pending`: it is tried (again) at `next_attempt_at`.', {
    enum: ['pending', 'delivered', 'failed'],
  }),
  attempts: { type: 'integer', description: 'Attempts begun.' },
  answer: { type: ['integer', 'null'], description: 'Status of the latest answer.' },
  error: { type: ['string', 'null'], description: 'Why the latest attempt did not succeed.' },
  created_at: time('When it happened.'),
  next_attempt_at: time('When it is tried next.'),
  ended_at: time('Since when it is over.'),
};

export const SCHEMAS: Readonly<Record<string, object>> = {
  ...ADMIN_SCHEMAS,
  Prediction: object(
    {
      id: text('Sorts by time of making (UUIDv7).'),
      model: text('`owner/name`.'),
      version: { type: ['string', 'null'], description: 'The version that runs or ran it.' },
      status,
      input: {
        type: 'object',
        description: 'Type of the input, and the parameters beside it. The bytes are not kept.',
      },
      output: {
        description:
          'What the model answered: JSON as it is; text as a string; other types as a data URL up to 1 MiB, beyond it the address in `urls.output`. In lists, outputs over 16 KiB are `null`.',
      },
      error: { type: ['string', 'null'], description: 'Why it failed, for people.' },
      error_code: {
        type: ['string', 'null'],
        description: 'Why it failed, for programs: a code of the table of errors.',
      },
      logs: text('Always empty; there for clients that expect it.'),
      data_removed: { type: 'boolean', description: 'Always false; there for clients that expect it.' },
      source: text('Always `api`; there for clients that expect it.'),
      progress: {
        type: ['object', 'null'],
        description: 'How far it is, where the model says so.',
        properties: { fraction: { type: ['number', 'null'] }, message: { type: ['string', 'null'] } },
      },
      queue_position: {
        type: ['integer', 'null'],
        description: 'Jobs of the same model that go first; null when it does not wait.',
      },
      attempt: { type: 'integer', description: 'Attempts begun so far.' },
      worker: { type: ['string', 'null'], description: 'Who has or had it.' },
      next_attempt_at: time(
        'It failed with an error that may pass, and is not tried again before. null when it need not wait.',
      ),
      past_attempts: {
        type: 'array',
        description: 'Attempts that were lost or failed, oldest first, the last 20.',
        items: object({
          attempt: { type: 'integer', description: 'Its number.' },
          worker: text('Who had it.'),
          error_code: text('Why it ended, for programs.'),
          error: text('Why it ended, for people: cut to 200 characters.'),
          ended_at: text('When it ended.'),
        }),
      },
      created_at: time('Accepted.'),
      started_at: time('First given to a worker.'),
      completed_at: time('Decided.'),
      deadline_at: time('After it, nobody wants the answer.'),
      metrics: object({
        predict_time: number('Seconds of work: decoding and the model.'),
        total_time: number('Seconds from acceptance to decision.'),
        queue_ms: number('Waiting for a worker.'),
        link_ms: number('On the link, both ways.'),
        worker_queue_ms: number('Waiting on the worker.'),
        decode_ms: number('Decoding the input.'),
        batch_ms: number('Waiting for the batch to fill.'),
        compute_ms: number('The model itself.'),
      }),
      webhook: text('Who is told of it. Only where a webhook was asked for.'),
      webhook_events_filter: list(text('Of what.', { enum: ['start', 'completed'] })),
      webhook_deliveries: list(object(DELIVERY)),
      urls: object({
        get: text('Itself.'),
        cancel: text('POST here to cancel it.'),
        stream: text('The prediction as it goes on, as server-sent events.'),
        output: text('The output, as it is.'),
      }),
    },
    {
      required: [
        'id',
        'model',
        'version',
        'status',
        'input',
        'output',
        'error',
        'error_code',
        'created_at',
        'metrics',
        'urls',
      ],
    },
  ),
  WebhookSecret: object({ key: text('`whsec_` and 32 bytes in base64.') }, { required: ['key'] }),
  Delivery: object({ ...DELIVERY, prediction: text('Of what.'), url: text('To whom.') }),
  DeliveryPage: page('Delivery'),
  PredictionPage: page('Prediction'),
  NewPrediction: object(
    {
      input: {
        description:
          'An object with a data URL, or the `https://` address of a file, in `image`, `file` or `input` is that file, and its other members are parameters. Any other JSON goes to the model as it is.',
      },
      model: text(
        '`owner/name`, `name`, with `:version` or `@version` if one is wanted. Not needed where the address names it.',
      ),
      version: text('A version; or, as Replicate has it, the model and its version in one.'),
      deadline: {
        description: 'ISO 8601 with a zone, or epoch seconds. After it the prediction is given up.',
        type: ['string', 'number'],
      },
      webhook: text('A public `https://` address that is told of it: see webhooks.'),
      webhook_events_filter: {
        type: 'array',
        items: { type: 'string', enum: ['start', 'output', 'logs', 'completed'] },
        description: 'Of what. All, unless it is said; `output` and `logs` never happen here.',
      },
      priority: { type: 'integer', minimum: -100, maximum: 100, default: 0, description: 'Higher goes first.' },
    },
    { required: ['input'], additionalProperties: false },
  ),
  Form: object(
    {
      image: text('The file. `file` and `input` are other names for it.', { format: 'binary' }),
      model: text('As in JSON.'),
      version: text('As in JSON.'),
      deadline: text('As in JSON.'),
      priority: text('As in JSON.'),
    },
    {
      additionalProperties: {
        description: 'Any other field is a parameter; it is read as JSON where it looks like it.',
      },
    },
  ),
  Model: object({
    owner: text('Always `local`.'),
    name: text('Name in addresses.'),
    url: text('Itself.'),
    description: { type: ['string', 'null'] },
    kind: text('What it takes and gives: `image-classification`, `echo`, ….'),
    state: text('`ready` when a connected worker serves it; `away` when none is connected.', {
      enum: ['loading', 'ready', 'draining', 'failed', 'away'],
    }),
    versions: list(
      object({
        version: text('Name.'),
        state: text('As above.'),
        workers: { type: 'integer', description: 'Workers that have it loaded, or tried to.' },
        weight: { type: 'integer', description: 'Percent of the predictions that name no version.' },
        serving_workers: { type: 'integer', description: 'Workers on which it gets such predictions now.' },
      }),
    ),
    waiting_jobs: { type: 'integer' },
    processing_jobs: { type: 'integer' },
    last_seen_at: time('When a worker with this model was last heard.'),
  }),
  ModelPage: page('Model'),
  Worker: object({
    name: text('From its certificate.'),
    session: text('One run of the worker.'),
    state: text('', { enum: ['connected', 'draining', 'away'] }),
    agent: text('Software and release.'),
    address: text('Where it dialled from.'),
    connected_at: time(''),
    last_seen_at: time(''),
    round_trip_ms: { type: ['number', 'null'] },
    certificate_ends_at: time(''),
    models: list({ type: 'object' }),
    not_allowed: list(object({ name: text('A model that it serves and was not invited for.'), version: text('') })),
  }),
  WorkerList: object({ results: list(ref('Worker')) }),
  Problem: object(
    {
      type: text('Address of the explanation.'),
      title: text('Constant for the code.'),
      status: { type: 'integer' },
      detail: text('What came, what was expected, what to do.'),
      code: { type: 'string', enum: Object.keys(ERROR_CODES), description: 'Stable; for programs.' },
      retryable: { type: 'boolean', description: 'Would the same request perhaps succeed later?' },
      retry_after: { type: 'integer', description: 'Seconds, as in Retry-After.' },
      prediction: text('Id of the prediction that ended with this error.'),
      request_id: text('As in X-Request-Id; the log has it too.'),
    },
    { required: ['type', 'title', 'status', 'detail', 'code', 'retryable', 'request_id'] },
  ),
  Health: object({
    status: text(''),
    workers: { type: 'integer', description: 'Connected workers.' },
    local: {
      ...list({ type: 'string', enum: ['files', 'photos', 'webhook_keys'] }),
      description:
        'Only with `DATABASE_URL`: what lies on this machine alone, so that other gateways on the database do not find it. Set `BLOB_URL` to share files and photos.',
    },
  }),
};

const parameter = (where: 'path' | 'query' | 'header', name: string, description: string, schema: object): object => ({
  name,
  in: where,
  description,
  required: where === 'path',
  schema,
});

export const PARAMETERS = {
  owner: parameter('path', 'owner', 'Free: all models here are local.', { type: 'string', example: 'local' }),
  workerName: parameter('path', 'name', 'Name of the worker.', { type: 'string' }),
  name: parameter('path', 'name', 'Name of the model.', { type: 'string', example: 'plants' }),
  id: parameter('path', 'id', 'Id of the prediction.', { type: 'string' }),
  deliveryId: parameter('path', 'id', 'Id of the delivery, `webhook-id` of its attempts.', { type: 'string' }),
  deliveryStatus: parameter('query', 'status', 'Only these.', {
    type: 'string',
    enum: ['pending', 'delivered', 'failed'],
  }),
  prefer: parameter(
    'header',
    'Prefer',
    `\`wait=n\` holds the answer back until the prediction is decided, at most n seconds (1 to ${MAX_WAIT_S}); \`wait\` is ${MAX_WAIT_S}.`,
    {
      type: 'string',
      example: 'wait=10',
    },
  ),
  cancelAfter: parameter('header', 'Cancel-After', 'Give up after so long: `90`, `90s`, `5m`, `1h30m`.', {
    type: 'string',
  }),
  idempotencyKey: parameter(
    'header',
    'Idempotency-Key',
    'The same key and body make the same prediction, for 24 hours.',
    {
      type: 'string',
      maxLength: 255,
    },
  ),
  wait: parameter(
    'query',
    'wait',
    `Hold the answer back until the prediction is decided, at most so many seconds (0 to ${MAX_WAIT_S}).`,
    {
      type: 'number',
      minimum: 0,
      maximum: MAX_WAIT_S,
    },
  ),
  lastEventId: parameter(
    'header',
    'Last-Event-ID',
    'The `id` of the last event that you have; what follows it is sent.',
    {
      type: 'string',
    },
  ),
  ifNoneMatch: parameter('header', 'If-None-Match', 'The ETag of what you have; 304 when nothing changed.', {
    type: 'string',
  }),
  limit: parameter('query', 'limit', 'Predictions on a page.', {
    type: 'integer',
    minimum: 1,
    maximum: 100,
    default: 20,
  }),
  cursor: parameter('query', 'cursor', 'From `next` of the page before.', { type: 'string' }),
  status: parameter('query', 'status', 'Only those in this status.', { type: 'string', enum: status.enum }),
  model: parameter('query', 'model', 'Only those of this model.', { type: 'string' }),
  caller: parameter('query', 'caller', 'Only those of this caller: the id of a key, or `anonymous`.', {
    type: 'string',
    maxLength: 64,
  }),
  keyId: parameter('path', 'id', 'Of the key.', { type: 'string' }),
  entries: parameter('query', 'limit', 'Entries on a page.', {
    type: 'integer',
    minimum: 1,
    maximum: 500,
    default: 50,
  }),
  before: parameter('query', 'before', 'Only entries before this number.', { type: 'integer', minimum: 1 }),
} as const;
