/** The shapes of the administrator's part. */
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

export const ADMIN_SCHEMAS: Readonly<Record<string, object>> = {
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
