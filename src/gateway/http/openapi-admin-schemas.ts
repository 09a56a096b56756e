/** The shapes of the administrator's part. */
import { ROLLOUT_SCHEMAS } from './openapi-rollout-schemas.ts';

import { COLUMNS, PERIOD_MS } from '../activity/series.ts';

const text = (description: string): object => ({ type: 'string', description });
const time = (description: string): object => ({ type: ['string', 'null'], format: 'date-time', description });
const ref = (name: string): object => ({ $ref: `#/components/schemas/${name}` });
const limit = (description: string): object => ({
  type: ['number', 'null'],
  description: `${description} \`null\`: no limit.`,
});
const object = (properties: Record<string, object>, more: object = {}): object => ({
  type: 'object',
  properties,
  ...more,
});

const TERMS = {
  name: { type: 'string', minLength: 1, maxLength: 64, description: 'Who or what has it, for people.' },
  scopes: {
    type: 'array',
    items: { type: 'string', enum: ['predict', 'read', 'admin'] },
    description: '`predict`: make predictions, read and cancel its own. `read`: change nothing. `admin`: everything.',
  },
  models: {
    type: ['array', 'null'],
    items: { type: 'string' },
    description: 'Models that it is for. `null`: all.',
  },
  rate_per_s: limit('Requests a second on the long run.'),
  burst_requests: limit('Requests at once after a pause; by default as many as in one second.'),
  max_undecided_jobs: limit('Predictions that may be undecided at once.'),
};

const KEY = {
  id: text('Public: it names the key in lists and in the audit log.'),
  ...TERMS,
  state: { type: 'string', enum: ['active', 'revoked', 'expired'] },
  created_at: time('Made.'),
  created_by: text('As in the audit log.'),
  expires_at: time('Its end.'),
  revoked_at: time('Ended before its time.'),
  last_used_at: time('To the minute.'),
};

const WORKER = {
  name: text('Under which it was invited.'),
  standing: {
    type: 'string',
    enum: ['invited', 'joined', 'revoked', 'locked'],
    description: '`locked`: its certificate was used in two places, and neither counts.',
  },
  models: { type: ['array', 'null'], items: { type: 'string' }, description: 'What it may run. `null`: all.' },
  created_at: time('On record since; null: it has not joined.'),
  invited_until: time('Until when its open invitation counts.'),
  generation: { type: ['integer', 'null'], description: 'Number of its newest certificate.' },
  certificate_ends_at: time('Of its newest certificate. It is renewed before.'),
  late_renewals: { type: 'integer', description: 'Renewals after the end of a certificate.' },
  last_seen_at: time('When it was last heard.'),
  revoked_at: time('Shut out.'),
  locked_at: time('Locked.'),
  lock_reason: { type: ['string', 'null'], description: 'Why it is locked.' },
  session: { description: 'Its session with this gateway, or null.', oneOf: [ref('Worker'), { type: 'null' }] },
};

const ms = (description: string): object => ({ type: 'number', description });
const maybe = (type: string, description: string): object => ({ type: [type, 'null'], description });

const PREDICTION = {
  id: text('Sorts by time of making.'),
  model: text('Its name.'),
  version: maybe('string', 'The version that runs or ran it.'),
  status: text('As in `Prediction`.'),
  cancel_requested: { type: 'boolean', description: 'The worker has not let go of it yet.' },
  caller: text('The id of the key, or `anonymous`.'),
  caller_name: maybe('string', 'The name of the key, while it counts.'),
  priority: { type: 'integer', description: 'Higher goes first.' },
  rows: { type: 'integer', description: 'Of a batch.' },
  content_type: text('Of the input.'),
  worker: maybe('string', 'Who has or had it.'),
  attempt: { type: 'integer', description: 'Attempts begun so far.' },
  past_attempts: { type: 'array', items: { type: 'object' }, description: 'As in `Prediction`.' },
  progress: { type: ['object', 'null'], description: 'As in `Prediction`.' },
  error: maybe('string', 'Why it failed, for people.'),
  error_code: maybe('string', 'Why it failed, for programs.'),
  output_bytes: maybe('integer', 'Size of the output.'),
  created_at: time('Accepted.'),
  started_at: time('Given to a worker.'),
  completed_at: time('Decided.'),
  deadline_at: time('After it, nobody wants the answer.'),
  next_attempt_at: time('It is not tried again before.'),
  queue_position: maybe('integer', 'Jobs of the same model that go first. Not in lists.'),
  timings: {
    description: 'Where the time of a succeeded one went. The parts add up to the total.',
    oneOf: [
      object({
        queue_ms: ms('Waiting for a worker.'),
        link_ms: ms('On the link, both ways.'),
        batch_wait_ms: ms('On the worker, waiting for a place in a batch.'),
        decode_ms: ms('Decoding the input.'),
        compute_ms: ms('The model itself.'),
        return_ms: ms('From the arrival of the result until it was recorded.'),
        total_ms: ms('From acceptance to decision.'),
      }),
      { type: 'null' },
    ],
  },
};

export const ADMIN_SCHEMAS: Readonly<Record<string, object>> = {
  ...ROLLOUT_SCHEMAS,
  Login: object(
    { key: text('An API key with the scope `admin`.') },
    { required: ['key'], additionalProperties: false },
  ),
  AdminSession: object({
    key: object({ id: text('Of the key.'), name: text('Of the key.') }),
    expires_at: time('Over in any case.'),
    idle_until: time('Over without a request until then.'),
    csrf_token: text('To be sent as `X-CSRF-Token` with every write.'),
  }),
  WhoAmI: object({
    caller: text('The id of the key, or `anonymous` where no key is asked for.'),
    key: { description: 'The key, or null.', oneOf: [object({ id: text(''), name: text('') }), { type: 'null' }] },
    session: { description: 'The login of the console, or null.', oneOf: [ref('AdminSession'), { type: 'null' }] },
  }),
  Key: object(KEY),
  KeyList: object({ results: { type: 'array', items: ref('Key') } }),
  NewKey: object(
    {
      ...TERMS,
      expires_at: { type: ['string', 'number', 'null'], description: 'ISO 8601 with a zone, or epoch seconds.' },
    },
    { required: ['name'], additionalProperties: false },
  ),
  MadeKey: object({ ...KEY, key: text('The key itself, this once.') }),
  AdminWorker: object(WORKER),
  AdminWorkerList: object({ results: { type: 'array', items: ref('AdminWorker') } }),
  Gateway: object({
    id: text('Of one process: after a restart it has another one.'),
    answers: { type: 'boolean', description: 'It is the one that answers this.' },
    release: text('Which build it is.'),
    state: {
      type: 'string',
      enum: ['serving', 'draining'],
      description: '`draining`: it finishes what runs, and takes nothing new.',
    },
    joined_at: time('Serves since.'),
    heartbeat_age_ms: ms('Since it was last heard. After 6,000 it is not listed any more.'),
    tunnel_address: maybe('string', 'Where workers reach it and no other one.'),
    peer_address: maybe('string', 'Where other gateways send it what they cannot serve.'),
    sessions: { type: 'integer', description: 'Workers that are connected to it.' },
    models: {
      type: 'array',
      description: 'What is ready on them.',
      items: object({
        name: text('Of the model.'),
        version: text('Of it.'),
        sessions: { type: 'integer', description: 'Workers that serve it.' },
        credit_rows: { type: 'integer', description: 'Rows that they would still take.' },
        in_flight_jobs: { type: 'integer', description: 'That they hold now.' },
      }),
    },
  }),
  GatewayList: object({ results: { type: 'array', items: ref('Gateway') } }),
  AdminPrediction: object(PREDICTION, { required: ['id', 'model', 'status', 'caller', 'created_at', 'timings'] }),
  AdminPredictionPage: object({
    results: { type: 'array', items: ref('AdminPrediction') },
    next_cursor: maybe('string', '`cursor` of the next page; null: this was the last.'),
  }),
  Series: object({
    period_ms: { type: 'integer', const: PERIOD_MS },
    at: { type: 'array', items: { type: 'number' }, description: 'Epoch milliseconds of each point, oldest first.' },
    columns: object(
      Object.fromEntries(
        COLUMNS.map((column) => [column, { type: 'array', items: { type: ['number', 'null'] } }] as const),
      ),
      { description: 'A value for each point. Rates and times are of its five seconds, null where there was nothing.' },
    ),
  }),
  AuditEntry: object({
    seq: { type: 'integer', description: 'From 1, without gaps.' },
    at: time('When.'),
    actor: text('Who: `cli:<user>`, `key:<id>`, `worker:<name>`, `gateway`, `anonymous`.'),
    action: text('What was done.'),
    target: text('To what.'),
    detail: { type: 'object', description: 'More about it. Never a secret.' },
    hash: text('Of this entry and of the hash before it.'),
  }),
  AuditPage: object({
    results: { type: 'array', items: ref('AuditEntry') },
    next_before: { type: ['integer', 'null'], description: '`before` of the next page; null: this was the last.' },
    head: text('`<seq>:<hash>` of the newest entry.'),
  }),
};
