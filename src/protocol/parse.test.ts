import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PosternError } from '../errors.ts';
import { message as messageSchema } from './messages.ts';
import { checkMessage, isHot, parseMessage } from './parse.ts';

const parse = (text: string): unknown => {
  const bytes = Buffer.from(text);
  return parseMessage(bytes, 0, bytes.length);
};

/** Mostly right, often at a bound, sometimes wrong. */
const odd = fc.oneof(
  fc.constantFrom<unknown>(null, true, '', 'x', 0, -1, 1, 1.5, 64, 1e6, 1e6 + 1, 2 ** 26, 2 ** 26 + 1, 2 ** 53, [], {}),
  fc.string({ maxLength: 70 }),
  fc.double(),
  fc.jsonValue(),
);
const mostly = <T>(good: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 12, arbitrary: good }, { weight: 1, arbitrary: odd });
const id = mostly(fc.string({ minLength: 1, maxLength: 66 }));
const attempt = mostly(fc.integer({ min: 1, max: 1_000_000 }));
const model = mostly(fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,70}$/));
const version = mostly(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$/));
const rows = mostly(fc.integer({ min: 1, max: 1_000_000 }));
const bytes = mostly(fc.integer({ min: 0, max: 2 ** 26 }));
const duration = mostly(fc.double({ min: 0, max: 1e9, noNaN: true }));
const contentType = mostly(fc.string({ minLength: 1, maxLength: 260 }));
const flag = mostly(fc.boolean());
const piece = mostly(fc.integer({ min: 0, max: 16_385 }));
const headers = mostly(fc.array(mostly(fc.string()), { maxLength: 6 }));
const extra = fc.option(fc.dictionary(fc.string({ maxLength: 9 }), odd, { maxKeys: 2 }), { freq: 6, nil: {} });

const hot = fc.oneof(
  fc.record(
    {
      type: fc.constant('assign'),
      job: id,
      attempt,
      model,
      version,
      rows,
      contentType,
      bytes,
      timeoutMs: duration,
      parameters: mostly(fc.dictionary(fc.oneof(fc.string(), fc.constant('__proto__')), fc.jsonValue())),
    },
    { requiredKeys: ['type', 'job', 'attempt', 'model', 'version', 'rows', 'contentType', 'bytes'] },
  ),
  fc.record({
    type: fc.constant('result'),
    job: id,
    attempt,
    contentType,
    bytes,
    timings: mostly(fc.record({ queueMs: duration, decodeMs: duration, batchMs: duration, computeMs: duration })),
  }),
  fc.record({ type: fc.constant('grant'), model, version, rows }),
  fc.record({ type: fc.constant('body'), exchange: rows, more: flag, bytes: piece }),
  fc.record({ type: fc.constant('taken'), exchange: rows, count: mostly(fc.integer({ min: 1, max: 524_289 })) }),
  fc.record({ type: fc.constant('response'), exchange: rows, status: rows, headers, more: flag, bytes: piece }),
  fc.record({
    type: fc.constant('request'),
    exchange: rows,
    model,
    version,
    method: mostly(fc.constantFrom('GET', 'post', '', 'PROPFIND')),
    path: mostly(fc.oneof(fc.webPath(), fc.string(), fc.constant('/a?b=c'))),
    headers,
    more: flag,
    bytes: piece,
  }),
  fc.record(
    {
      type: fc.constant('ack'),
      attempts: mostly(fc.array(mostly(fc.tuple(id, attempt)), { minLength: 1, maxLength: 5 })),
      partials: mostly(fc.array(fc.tuple(id, attempt, rows))),
    },
    { requiredKeys: ['type', 'attempts'] },
  ),
);

void test('what the checks by hand wave through, the schemas accept as it is; the rest the schemas decide', () => {
  let waved = 0;
  let accepted = 0;
  fc.assert(
    fc.property(hot, extra, (fields, more) => {
      const text = JSON.stringify({ ...more, ...fields });
      const value: unknown = JSON.parse(text);
      const bySchema = messageSchema.safeParse(value);
      if (bySchema.success) accepted++;
      if (isHot(value, text)) {
        waved++;
        assert(bySchema.success, text);
        assert.deepEqual(value, bySchema.data);
      }
      if (bySchema.success) assert.deepEqual(parse(text), bySchema.data);
      else assert.throws(() => parse(text), { name: 'PosternError', code: 'message_invalid' });
    }),
    { numRuns: 3_000, seed: 20_261_120 },
  );
  // The property says nothing if the generator makes only rubbish, or the shortcut is never taken.
  assert(accepted > 300 && waved > 300, `${accepted} accepted, ${waved} waved through`);
});

void test('any bytes at all give a message or message_invalid', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.json().map((text) => Buffer.from(text)),
      ),
      (input) => {
        try {
          const buffer = Buffer.from(input);
          parseMessage(buffer, 0, buffer.length);
        } catch (error) {
          assert(error instanceof PosternError && error.code === 'message_invalid');
        }
      },
    ),
    { numRuns: 2_000 },
  );
});

void test('keys that a later version adds are dropped', () => {
  assert.deepEqual(parse('{"type":"grant","model":"m","version":"1","rows":2,"colour":"red"}'), {
    type: 'grant',
    model: 'm',
    version: '1',
    rows: 2,
  });
});

void test('a key that means something to objects is not smuggled in by parameters', () => {
  const base = '"type":"assign","job":"j","attempt":1,"model":"m","version":"1","rows":1,"contentType":"x","bytes":0';
  for (const key of ['__proto__', '\\u005f_proto__']) {
    for (const parameters of [`{"${key}":{"admin":true}}`, `{"a":[{"${key}":{"admin":true}}]}`]) {
      const { parameters: got } = parse(`{${base},"parameters":${parameters}}`) as {
        parameters: Record<string, unknown>;
      };
      assert.equal(Object.hasOwn(got, '__proto__'), false);
      assert.equal(JSON.stringify(got).includes('admin'), false);
    }
  }
});

void test('a legal replacement character is kept, bad UTF-8 is refused', () => {
  assert.deepEqual(parse('{"type":"failure","job":"j","attempt":1,"code":"c","message":"\ufffd","retryable":true}'), {
    type: 'failure',
    job: 'j',
    attempt: 1,
    code: 'c',
    message: '\ufffd',
    retryable: true,
  });
  const bad = Buffer.from('7b2274797065223a22ff227d', 'hex');
  assert.throws(() => parseMessage(bad, 0, bad.length), /UTF-8/);
});

void test('nesting that no stack holds is refused like any other misfit', () => {
  const deep = '['.repeat(300_000) + ']'.repeat(300_000);
  const base = '"type":"assign","job":"j","attempt":1,"model":"m","version":"1","rows":1,"contentType":"x","bytes":0';
  assert.throws(() => parse(deep), { code: 'message_invalid' });
  assert.throws(() => checkMessage(JSON.parse(`{${base},"parameters":{"a":${deep}}}`)), { code: 'message_invalid' });
});
