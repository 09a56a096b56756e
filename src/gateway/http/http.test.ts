/** The API over real sockets: the main ways to ask, and what comes back. Bad input has its own file. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { describe, test } from 'node:test';
import { PosternError } from '../../errors.ts';
import { ROSE, succeeded } from '../../../test/support/fake-predictions.ts';
import { startHttp, until } from '../../../test/support/http-service.ts';

const JPEG = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 1, 2, 3]);

interface Prediction {
  id: string;
  model: string;
  status: string;
  input: Record<string, unknown>;
  output: unknown;
  error: string | null;
  error_code: string | null;
  metrics: Record<string, number>;
  queue_position: number | null;
  next_attempt_at: string | null;
  past_attempts: unknown[];
  urls: Record<string, string>;
}

async function read(response: Response): Promise<Prediction> {
  return (await response.json()) as Prediction;
}

describe('making a prediction', () => {
  test('a form with a file and "Prefer: wait" answers the decided prediction', async (t) => {
    const { base, fake } = await startHttp(t);
    const form = new FormData();
    form.set('image', new Blob([JPEG], { type: 'image/jpeg' }), 'rose.jpg');
    form.set('top_k', '3');
    const response = await fetch(`${base}/v1/models/local/plants/predictions`, {
      method: 'POST',
      body: form,
      headers: { prefer: 'wait' },
    });
    assert.equal(response.status, 201);
    const prediction = await read(response);
    assert.equal(prediction.status, 'succeeded');
    assert.equal(prediction.model, 'local/plants');
    assert.deepEqual(prediction.output, JSON.parse(ROSE));
    assert.deepEqual(prediction.input, { image: { content_type: 'image/jpeg' }, top_k: 3 });
    assert.equal(prediction.error, null);
    assert.equal(prediction.metrics.compute_ms, 8.25);
    assert.equal(prediction.metrics.predict_time, 0.01125);
    assert.equal(prediction.metrics.total_time, 0.5);
    assert.equal(prediction.urls.get, `${base}/v1/predictions/${prediction.id}`);
    assert.equal(response.headers.get('location'), prediction.urls.get);
    assert.match(
      response.headers.get('server-timing') ?? '',
      /queue;dur=0.1, link;dur=0.5, .*decode;dur=3, batch;dur=0, compute;dur=8.25/,
    );
    const [sent] = fake.submitted;
    assert.deepEqual(Buffer.from(sent?.input.bytes ?? []), JPEG);
    assert.equal(sent?.input.contentType, 'image/jpeg');
    assert.deepEqual(sent?.parameters, { top_k: 3 });
  });

  test('the raw bytes are an input too, with parameters in the query', async (t) => {
    const { base, fake } = await startHttp(t);
    const url = `${base}/v1/models/anyone/plants/predictions?top_k=2&flip=true&note=rose`;
    const response = await fetch(url, {
      method: 'POST',
      body: JPEG,
      headers: { prefer: 'wait=5', 'content-type': 'Image/JPEG; q=1' },
    });
    assert.equal(response.status, 201);
    assert.equal(fake.submitted[0]?.input.contentType, 'image/jpeg');
    assert.deepEqual(fake.submitted[0]?.parameters, { top_k: 2, flip: true, note: 'rose' });
  });

  test('JSON with a data URL is split into bytes and parameters', async (t) => {
    const { base, fake } = await startHttp(t);
    for (const target of [
      { model: 'local/plants' },
      { version: 'local/plants:1' },
      { version: 'plants@1' },
      { model: 'plants', version: '1' },
    ]) {
      const body = JSON.stringify({
        ...target,
        input: { image: `data:image/jpeg;base64,${JPEG.toString('base64')}`, top_k: 1 },
      });
      const response = await fetch(`${base}/v1/predictions`, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json', prefer: 'wait' },
      });
      assert.equal(response.status, 201, JSON.stringify(target));
      const sent = fake.submitted.at(-1);
      assert.deepEqual(Buffer.from(sent?.input.bytes ?? []), JPEG);
      assert.deepEqual(
        [sent?.model, sent?.version, sent?.parameters],
        ['plants', 'version' in target ? '1' : null, { top_k: 1 }],
      );
    }
  });

  test('any other JSON input goes to the model as it is', async (t) => {
    const { base, fake } = await startHttp(t);
    const body = JSON.stringify({ model: 'echo', input: { x: [1, 2, { y: null }] } });
    await fetch(`${base}/v1/predictions`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
    assert.equal(fake.submitted[0]?.input.contentType, 'application/json');
    assert.equal(Buffer.from(fake.submitted[0].input.bytes).toString(), '{"x":[1,2,{"y":null}]}');
  });

  test('without "Prefer: wait" an undecided prediction is 202 with its address and place in the queue', async (t) => {
    const { base, fake } = await startHttp(t);
    fake.ending = null;
    const response = await fetch(`${base}/v1/models/local/plants/predictions`, {
      method: 'POST',
      body: JPEG,
      headers: { 'content-type': 'image/jpeg' },
    });
    assert.equal(response.status, 202);
    const prediction = await read(response);
    assert.equal(prediction.status, 'starting');
    assert.equal(prediction.queue_position, 0);
    assert.equal(response.headers.get('location'), `${base}/v1/predictions/${prediction.id}`);
  });

  test('a prediction tells of its earlier attempts, and when the next one may be', async (t) => {
    const { base, fake } = await startHttp(t);
    fake.ending = null;
    const response = await fetch(`${base}/v1/models/local/plants/predictions`, {
      method: 'POST',
      body: JPEG,
      headers: { 'content-type': 'image/jpeg' },
    });
    const made = await read(response);
    assert.deepEqual([made.next_attempt_at, made.past_attempts], [null, []]);
    const past = { attempt: 1, worker: 'gpu-1', code: 'worker_lost', message: 'a "quoted" end', endedAt: 0 } as const;
    fake.change(made.id, { nextAttemptAt: 1_000, pastAttempts: [past], attempt: 1 });
    const waiting = await read(await fetch(`${base}/v1/predictions/${made.id}`));
    assert.equal(waiting.next_attempt_at, '1970-01-01T00:00:01.000Z');
    assert.deepEqual(waiting.past_attempts, [
      {
        attempt: 1,
        worker: 'gpu-1',
        error_code: 'worker_lost',
        error: 'a "quoted" end',
        ended_at: '1970-01-01T00:00:00.000Z',
      },
    ]);
  });

  test('deadlines, idempotency key and priority reach the engine', async (t) => {
    const { base, fake } = await startHttp(t);
    const before = Date.now();
    const headers = { 'content-type': 'image/jpeg', 'cancel-after': '1m30s', 'idempotency-key': 'abc' };
    await fetch(`${base}/v1/models/local/plants/predictions?priority=5`, { method: 'POST', body: JPEG, headers });
    const sent = fake.submitted[0];
    assert.ok(sent?.deadlineAt && sent.deadlineAt >= before + 90_000 && sent.deadlineAt < before + 120_000);
    assert.equal(sent.idempotencyKey, 'abc');
    assert.equal(sent.priority, 5);
  });

  test('an input that the model refused is a problem that names the prediction, which can be read', async (t) => {
    const { base, fake } = await startHttp(t);
    fake.ending = {
      type: 'failed',
      error: { code: 'not_an_image', message: 'The bytes are no image.' },
      retryable: false,
    };
    const response = await fetch(`${base}/v1/models/local/plants/predictions`, {
      method: 'POST',
      body: JPEG,
      headers: { 'content-type': 'image/jpeg', prefer: 'wait' },
    });
    assert.equal(response.status, 422);
    assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/);
    const problem = (await response.json()) as { code: string; prediction: string };
    assert.equal(problem.code, 'not_an_image');
    const later = await read(await fetch(`${base}/v1/predictions/${problem.prediction}`));
    assert.deepEqual(
      [later.status, later.error, later.error_code],
      ['failed', 'The bytes are no image.', 'not_an_image'],
    );
  });

  test('an output in another script arrives whole', async (t) => {
    const { base, fake } = await startHttp(t);
    fake.ending = succeeded('{"predictions":[{"label":"장미 🌹","score":1}]}');
    const response = await fetch(`${base}/v1/models/local/plants/predictions`, {
      method: 'POST',
      body: JPEG,
      headers: { 'content-type': 'image/jpeg', prefer: 'wait' },
    });
    assert.deepEqual((await read(response)).output, { predictions: [{ label: '장미 🌹', score: 1 }] });
  });

  test('a model that failed is a failed prediction, not a problem', async (t) => {
    const { base, fake } = await startHttp(t);
    fake.ending = { type: 'failed', error: { code: 'model_failed', message: 'It "failed".' }, retryable: false };
    const response = await fetch(`${base}/v1/models/local/plants/predictions`, {
      method: 'POST',
      body: JPEG,
      headers: { 'content-type': 'image/jpeg', prefer: 'wait' },
    });
    assert.equal(response.status, 201);
    const prediction = await read(response);
    assert.deepEqual(
      [prediction.status, prediction.error, prediction.error_code],
      ['failed', 'It "failed".', 'model_failed'],
    );
  });

  test('a caller that leaves while it waits ends the wait and nothing else', async (t) => {
    const { base, fake } = await startHttp(t);
    fake.ending = null;
    const caller = httpRequest(`${base}/v1/models/local/plants/predictions`, {
      method: 'POST',
      headers: { 'content-type': 'image/jpeg', prefer: 'wait' },
    });
    caller.on('error', () => undefined);
    caller.end(JPEG);
    await until(() => fake.waiting === 1);
    caller.destroy();
    await until(() => fake.waiting === 0);
    assert.equal((await read(await fetch(`${base}/v1/predictions/job-1`))).status, 'starting');
  });
});

describe('reading predictions', () => {
  test('a long poll answers as soon as the prediction is decided', async (t) => {
    const { base, fake } = await startHttp(t);
    fake.ending = null;
    await fetch(`${base}/v1/models/local/plants/predictions`, {
      method: 'POST',
      body: JPEG,
      headers: { 'content-type': 'image/jpeg' },
    });
    const polled = fetch(`${base}/v1/predictions/job-1?wait=60`);
    await until(() => fake.waiting === 1);
    fake.decide('job-1', succeeded());
    assert.equal((await read(await polled)).status, 'succeeded');
  });

  test('an unchanged prediction is 304 for its ETag, a changed one is not', async (t) => {
    const { base, fake } = await startHttp(t);
    fake.ending = null;
    await fetch(`${base}/v1/models/local/plants/predictions`, {
      method: 'POST',
      body: JPEG,
      headers: { 'content-type': 'image/jpeg' },
    });
    const url = `${base}/v1/predictions/job-1`;
    const etag = (await fetch(url)).headers.get('etag') ?? '';
    const again = await fetch(url, { headers: { 'if-none-match': etag } });
    assert.equal(again.status, 304);
    assert.equal(await again.text(), '');
    fake.change('job-1', { status: 'processing', attempt: 1, progress: { fraction: 0.5, message: 'decoding' } });
    const changed = await fetch(url, { headers: { 'if-none-match': etag } });
    assert.equal(changed.status, 200);
    assert.equal((await read(changed)).status, 'processing');
  });

  test('the output is served as it is, and a binary one as a data URL too', async (t) => {
    const { base, fake } = await startHttp(t);
    fake.ending = succeeded('PNG', 'image/png');
    await fetch(`${base}/v1/models/local/plants/predictions`, {
      method: 'POST',
      body: JPEG,
      headers: { 'content-type': 'image/jpeg' },
    });
    assert.equal((await read(await fetch(`${base}/v1/predictions/job-1`))).output, 'data:image/png;base64,UE5H');
    const output = await fetch(`${base}/v1/predictions/job-1/output`);
    assert.equal(output.headers.get('content-type'), 'image/png');
    assert.equal(await output.text(), 'PNG');
  });

  test('the list goes newest first, page by page', async (t) => {
    const { base } = await startHttp(t);
    for (let count = 0; count < 5; count += 1) {
      await fetch(`${base}/v1/models/local/plants/predictions`, {
        method: 'POST',
        body: JPEG,
        headers: { 'content-type': 'image/jpeg' },
      });
    }
    const seen: string[] = [];
    let next: string | null = `${base}/v1/predictions?limit=2&model=local/plants&status=succeeded`;
    while (next) {
      const page = (await (await fetch(next)).json()) as { results: Prediction[]; next: string | null; previous: null };
      seen.push(...page.results.map((prediction) => prediction.id));
      next = page.next;
    }
    assert.deepEqual(seen, ['job-5', 'job-4', 'job-3', 'job-2', 'job-1']);
  });

  test('a cancel answers the canceled prediction', async (t) => {
    const { base, fake } = await startHttp(t);
    fake.ending = null;
    await fetch(`${base}/v1/models/local/plants/predictions`, {
      method: 'POST',
      body: JPEG,
      headers: { 'content-type': 'image/jpeg' },
    });
    const response = await fetch(`${base}/v1/predictions/job-1/cancel`, { method: 'POST' });
    assert.equal(response.status, 200);
    assert.equal((await read(response)).status, 'canceled');
  });
});

describe('running the service', () => {
  test('models, workers, health and metrics answer', async (t) => {
    const { base } = await startHttp(t);
    const models = (await (await fetch(`${base}/v1/models`)).json()) as { results: { name: string; state: string }[] };
    assert.deepEqual(
      models.results.map(({ name, state }) => [name, state]),
      [
        ['plants', 'ready'],
        ['echo', 'ready'],
      ],
    );
    assert.equal((await fetch(`${base}/v1/models/local/plants`)).status, 200);
    assert.deepEqual(await (await fetch(`${base}/v1/workers`)).json(), { results: [] });
    for (const path of ['/livez', '/readyz', '/health']) assert.equal((await fetch(base + path)).status, 200, path);
    await fetch(`${base}/v1/models/local/plants/predictions`, {
      method: 'POST',
      body: JPEG,
      headers: { 'content-type': 'image/jpeg' },
    });
    const page = await (await fetch(`${base}/metrics`)).text();
    assert.match(page, /postern_predictions_total\{model="plants",status="succeeded"\} 1/);
    assert.match(page, /postern_http_requests_total\{route="\/livez",method="GET",status="200"\} 1/);
    assert.match(page, /postern_prediction_seconds_count\{part="compute"\} 1/);
    assert.match(page, /postern_queue_jobs\{model="plants"\} 0/);
  });

  test("the request id is the caller's own, or a new one", async (t) => {
    const { base } = await startHttp(t);
    assert.equal(
      (await fetch(`${base}/livez`, { headers: { 'x-request-id': 'mine-1' } })).headers.get('x-request-id'),
      'mine-1',
    );
    const made = (await fetch(`${base}/livez`, { headers: { 'x-request-id': 'not ok!' } })).headers.get('x-request-id');
    assert.match(made ?? '', /^[0-9a-f]{16}-/);
  });

  test('a drain answers what is in flight, refuses readiness and new connections', async (t) => {
    const { base, fake, service } = await startHttp(t);
    fake.ending = null;
    const waiting = fetch(`${base}/v1/models/local/plants/predictions`, {
      method: 'POST',
      body: JPEG,
      headers: { 'content-type': 'image/jpeg', prefer: 'wait' },
    });
    await until(() => fake.waiting === 1);
    service.beginDrain();
    const ready = await fetch(`${base}/readyz`);
    assert.equal(ready.status, 503);
    assert.equal(ready.headers.get('connection'), 'close');
    const drained = service.drain(10_000);
    await assert.rejects(fetch(`${base}/livez`));
    fake.decide('job-1', succeeded());
    const answered = await waiting;
    assert.equal(answered.status, 201);
    await drained;
  });

  test('a taken port is refused with a code and what to do', async (t) => {
    const { service } = await startHttp(t);
    await assert.rejects(
      startHttp(t, { port: service.port }),
      (error: unknown) => error instanceof PosternError && error.code === 'address_in_use',
    );
  });

  test('stopping ends open connections, and twice is fine', async (t) => {
    const { base, fake, service } = await startHttp(t);
    fake.ending = null;
    const caller = httpRequest(`${base}/v1/models/local/plants/predictions`, {
      method: 'POST',
      headers: { 'content-type': 'image/jpeg', prefer: 'wait' },
    });
    const closed = once(caller, 'error');
    caller.end(JPEG);
    await until(() => fake.waiting === 1);
    await Promise.all([service.stop(), service.stop(), closed]);
  });
});
