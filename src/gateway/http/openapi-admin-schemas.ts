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
