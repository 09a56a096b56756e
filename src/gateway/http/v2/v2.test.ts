/** Bad requests to `/v2`: each is told clearly, in the protocol's form, and reaches no worker. */
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { test } from 'node:test';
import { startHttp, until, type RunningHttp } from '../../../../test/support/http-service.ts';
import { tensorOf } from '../../../../test/support/tensors.ts';
import { TIMINGS } from '../../../../test/support/fake-predictions.ts';
import { decodeTensors, encodeTensors, TENSORS_TYPE } from '../../../protocol/tensors.ts';
import type { ModelReport } from '../../../protocol/messages.ts';
import type { TestContext } from 'node:test';

const REPORT: ModelReport = {
  name: 'plants',
  version: '1',
  state: 'ready',
  kind: 'tensors',
  maxRows: 8,
  platform: 'onnx_onnxv1',
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
};
const INFER = '/v2/models/plants/infer';
const X = { name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] };

async function startV2(t: TestContext, ready = true): Promise<RunningHttp> {
  const running = await startHttp(t, { maxBodyBytes: 10_000 });
  Object.assign(running.fake, { report: (name: string) => (name === 'plants' ? { report: REPORT, ready } : null) });
  const bytes = encodeTensors({ tensors: [tensorOf('y', 'FP32', [[3, 4]])], outputs: null });
  running.fake.ending = { type: 'succeeded', output: { contentType: TENSORS_TYPE, bytes }, timings: TIMINGS };
  return running;
}

interface Case {
  readonly name: string;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly expected: string;
}

const bad = (input: object): object => ({ inputs: [{ ...X, ...input }] });
const withoutData = { data: undefined };
const binary = (size: number, after: number, input: object = {}): Pick<Case, 'body' | 'headers'> => {
  const head = JSON.stringify(bad({ ...withoutData, parameters: { binary_data_size: size }, ...input }));
  return {
    body: Buffer.concat([Buffer.from(head), Buffer.alloc(after)]),
    headers: { 'inference-header-content-length': String(head.length) },
  };
};

const CASES: readonly Case[] = [
  { name: 'no body', body: undefined, expected: '400 missing_input' },
  { name: 'no JSON', body: '{"inputs":', expected: '400 bad_json' },
  { name: 'no UTF-8', body: Buffer.from([0x7b, 0xff, 0x7d]), expected: '400 bad_json' },
  { name: 'a list', body: [], expected: '400 bad_request' },
  { name: 'no inputs', body: {}, expected: '400 bad_request' },
  { name: 'an empty list of inputs', body: { inputs: [] }, expected: '400 missing_input' },
  { name: 'an unknown key', body: { inputs: [X], input: 1 }, expected: '400 bad_parameter' },
  { name: 'the same input twice', body: { inputs: [X, X] }, expected: '400 bad_request' },
  { name: 'too many inputs', body: { inputs: Array.from({ length: 65 }, () => X) }, expected: '400 bad_request' },
  { name: 'a nameless input', body: bad({ name: '' }), expected: '400 bad_request' },
  { name: 'an unknown datatype', body: bad({ datatype: 'FLOAT' }), expected: '400 bad_tensor' },
  { name: 'a datatype by the name of a method', body: bad({ datatype: 'toString' }), expected: '400 bad_tensor' },
  { name: 'a shape below zero', body: bad({ shape: [-1, 2] }), expected: '400 bad_tensor' },
  { name: 'a shape that is no list', body: bad({ shape: 2 }), expected: '400 bad_tensor' },
  { name: 'a shape beyond all numbers', body: bad({ shape: [2 ** 40, 2 ** 40] }), expected: '400 bad_tensor' },
  { name: 'too few elements', body: bad({ data: [1] }), expected: '400 bad_tensor' },
  { name: 'too many elements', body: bad({ data: [1, 2, 3] }), expected: '400 bad_tensor' },
  { name: 'a text among numbers', body: bad({ data: [1, 'two'] }), expected: '400 bad_tensor' },
  { name: 'a gigabyte announced in JSON', body: bad({ shape: [268_435_456] }), expected: '400 bad_tensor' },
  { name: 'neither data nor size', body: bad(withoutData), expected: '400 missing_input' },
  { name: 'shared memory', body: bad({ parameters: { shared_memory_region: 'a' } }), expected: '400 bad_parameter' },
  { name: 'data and size', ...binary(8, 8, { data: [1, 2] }), expected: '400 bad_tensor' },
  { name: 'binary data cut off', ...binary(8, 7), expected: '400 bad_tensor' },
  { name: 'binary data of another length than the shape', ...binary(4, 4), expected: '400 bad_tensor' },
  { name: 'binary data that belongs to nobody', ...binary(8, 12), expected: '400 bad_tensor' },
  { name: 'a gigabyte announced in binary', ...binary(1_073_741_824, 8), expected: '400 bad_tensor' },
  { name: 'a size below zero', ...binary(-1, 8), expected: '400 bad_parameter' },
  {
    name: 'BYTES whose element is cut off',
    ...binary(5, 5, { datatype: 'BYTES', shape: [1] }),
    expected: '400 bad_tensor',
  },
  {
    name: 'a header longer than the body',
    body: { inputs: [X] },
    headers: { 'inference-header-content-length': '99999' },
    expected: '400 bad_tensor',
  },
  {
    name: 'a header length that is no number',
    body: { inputs: [X] },
    headers: { 'inference-header-content-length': '-1' },
    expected: '400 bad_parameter',
  },
  { name: 'a body over the limit', body: ' '.repeat(10_001), expected: '413 body_too_large' },
  { name: 'gzip that is none', body: 'x', headers: { 'content-encoding': 'gzip' }, expected: '400 bad_request' },
  { name: 'brotli', body: 'x', headers: { 'content-encoding': 'br' }, expected: '415 unsupported_media_type' },
  { name: 'a negative timeout', body: { inputs: [X], parameters: { timeout: -1 } }, expected: '400 bad_parameter' },
  {
    name: 'classification of everything',
    body: { inputs: [X], outputs: [{ name: 'y', parameters: { classification: 1e9 } }] },
    expected: '400 bad_parameter',
  },
];

const bodyOf = (body: unknown): string | Buffer<ArrayBuffer> | undefined =>
  body === undefined || typeof body === 'string' || Buffer.isBuffer(body)
    ? (body as string | Buffer<ArrayBuffer> | undefined)
    : JSON.stringify(body);

test('bad requests', async (t) => {
  const { base, fake } = await startV2(t);
  for (const { name, body, headers = {}, expected } of CASES) {
    await t.test(`${name}: ${expected}`, async () => {
      const sent = bodyOf(body);
      const response = await fetch(base + INFER, {
        method: 'POST',
        headers,
        ...(sent === undefined ? {} : { body: sent }),
      });
      const answer = (await response.json()) as { error: string; code: string };
      assert.equal(`${response.status} ${answer.code}`, expected, answer.error);
      assert.equal(typeof answer.error, 'string');
    });
  }
  assert.equal(fake.submitted.length, 0);
});

test('a good request reaches the worker as tensors, unrecorded, and is answered in the form that was asked for', async (t) => {
  const { base, fake } = await startV2(t);
  const { body, headers } = binary(8, 8);
  const plain = await fetch(base + INFER, { method: 'POST', headers: headers!, body: bodyOf(body)! });
  assert.deepEqual(await plain.json(), {
    model_name: 'plants',
    model_version: '1',
    outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 2], data: [3, 4] }],
  });
  const { input, rows, recorded } = fake.submitted[0]!;
  assert.deepEqual([input.contentType, rows, recorded], [TENSORS_TYPE, 1, false]);
  assert.deepEqual(decodeTensors(input.bytes).tensors[0]?.shape, [1, 2]);

  const raw = await fetch(base + INFER, {
    method: 'POST',
    headers: { 'inference-header-content-length': '0' },
    body: Buffer.alloc(24),
  });
  const headerBytes = Number(raw.headers.get('inference-header-content-length'));
  const bytes = Buffer.from(await raw.arrayBuffer());
  assert.equal(bytes.length, headerBytes + 8);
  assert.deepEqual(
    [...new Float32Array(bytes.subarray(headerBytes).buffer.slice(bytes.byteOffset + headerBytes))],
    [3, 4],
  );
  assert.equal(fake.submitted[1]?.rows, 3);
});

test('without a worker the answer is no_worker, and nothing waits', async (t) => {
  const { base, fake } = await startV2(t, false);
  const response = await fetch(base + INFER, { method: 'POST', body: JSON.stringify({ inputs: [X] }) });
  assert.deepEqual([response.status, response.headers.get('retry-after')], [503, '1']);
  assert.equal(((await response.json()) as { code: string }).code, 'no_worker');
  assert.equal((await fetch(`${base}/v2/models/plants/ready`)).status, 503);
  assert.equal((await fetch(`${base}/v2/models/nothing`)).status, 404);
  assert.equal(fake.submitted.length, 0);
});

test('a caller that leaves, and one whose time is over, take their work along', async (t) => {
  const { base, fake } = await startV2(t);
  fake.ending = null;
  const caller = httpRequest(base + INFER, { method: 'POST' });
  caller.on('error', () => undefined);
  caller.end(JSON.stringify({ inputs: [X] }));
  await until(() => fake.waiting === 1);
  caller.destroy();
  await until(() => fake.waiting === 0);
  while ((await fake.get('job-1'))?.status !== 'canceled') await new Promise(setImmediate);

  const late = await fetch(base + INFER, {
    method: 'POST',
    body: JSON.stringify({ inputs: [X], parameters: { timeout: 1_000 } }),
  });
  assert.equal(late.status, 504);
  assert.equal(((await late.json()) as { code: string }).code, 'deadline_exceeded');
  assert.equal((await fake.get('job-2'))?.status, 'canceled');
});
