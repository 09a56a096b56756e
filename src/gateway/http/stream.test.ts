import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test, type TestContext } from 'node:test';
import { succeeded } from '../../../test/support/fake-predictions.ts';
import { MODEL, refused, send, startHttp, until, type RunningHttp } from '../../../test/support/http-service.ts';
import { readPosition, sseEvent } from './sse.ts';

interface Event {
  readonly event: string;
  readonly data: string;
  readonly id: string | undefined;
}

/** A job that runs, and how to read its stream. */
async function startJob(t: TestContext): Promise<{ running: RunningHttp; id: string }> {
  const running = await startHttp(t);
  running.fake.ending = null;
  const { id } = (await (await send(running, 'image/jpeg', 'x', MODEL)).json()) as { id: string };
  return { running, id };
}

const runs = ({ running, id }: { running: RunningHttp; id: string }, attempt = 1): void =>
  running.fake.change(id, { status: 'processing', attempt });

async function open({ running, id }: { running: RunningHttp; id: string }, lastEventId?: string): Promise<Response> {
  const headers = lastEventId === undefined ? undefined : { 'last-event-id': lastEventId };
  return fetch(`${running.base}/v1/predictions/${id}/stream`, { headers });
}

/** Events one by one; `retry` and comments are passed over. */
async function* events(response: Response): AsyncGenerator<Event> {
  let text = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n');
      text = text.slice(end + 2);
      const of = (name: string) =>
        lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
      if (of('event').length > 0) yield { event: of('event')[0]!, data: of('data').join('\n'), id: of('id')[0] };
    }
  }
}

async function all(response: Response): Promise<string[]> {
  const told: string[] = [];
  for await (const { event, data, id } of events(response))
    told.push(`${event}${id === undefined ? '' : ` ${id}`} ${data}`);
  return told;
}

void test('a reader hears states, progress and parts as they come, and the end', async (t) => {
  const job = await startJob(t);
  const { fake } = job.running;
  const response = await open(job);
  assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
  assert.equal(response.headers.get('cache-control'), 'no-store');
  const reading = events(response);
  const next = async () => ((await reading.next()).value as Event | undefined) ?? null;
  assert.deepEqual(await next(), {
    event: 'status',
    id: undefined,
    data: `{"id":"${job.id}","status":"starting","attempt":0}`,
  });
  runs(job);
  assert.equal((await next())?.data, `{"id":"${job.id}","status":"processing","attempt":1}`);
  fake.part(job.id, 'text/plain', 'Hello');
  assert.deepEqual(await next(), { event: 'output', id: '1-0', data: 'Hello' });
  fake.change(job.id, { progress: { fraction: 0.5, message: null } });
  assert.deepEqual(await next(), { event: 'progress', id: undefined, data: '{"fraction":0.5,"message":null}' });
  fake.part(job.id, 'text/plain', ' two\nlines');
  assert.deepEqual(await next(), { event: 'output', id: '1-1', data: ' two\nlines' });
  fake.decide(job.id, succeeded('["Hello"," two\\nlines","!"]'));
  assert.match((await next())!.data, /succeeded/);
  assert.deepEqual(await next(), { event: 'output', id: '1-2', data: '!' }, 'what the log missed is in the result');
  assert.deepEqual(await next(), { event: 'done', id: '1-done', data: '{}' });
  assert.equal(await next(), null);
  assert.equal(fake.reading, 0);
});

void test('a late reader gets all of it, one that comes back gets the rest, and one that had all is told to stay away', async (t) => {
  const job = await startJob(t);
  runs(job);
  for (const part of ['a', 'b', 'c']) job.running.fake.part(job.id, 'text/plain', part);
  const late = all(await open(job));
  const back = all(await open(job, '1-1'));
  await until(() => job.running.fake.reading === 2);
  job.running.fake.decide(job.id, succeeded('["a","b","c"]'));
  const ends = (told: string[]) => told.filter((line) => !line.startsWith('status'));
  assert.deepEqual(ends(await late), ['output 1-0 a', 'output 1-1 b', 'output 1-2 c', 'done 1-done {}']);
  assert.deepEqual(ends(await back), ['output 1-2 c', 'done 1-done {}']);
  // After the end, and with nothing in memory, the stored result says the same.
  job.running.fake.dropParts(job.id);
  assert.deepEqual(ends(await all(await open(job))), [
    'output 1-0 a',
    'output 1-1 b',
    'output 1-2 c',
    'done 1-done {}',
  ]);
  assert.deepEqual(ends(await all(await open(job, '1-0'))), ['output 1-1 b', 'output 1-2 c', 'done 1-done {}']);
  assert.equal((await open(job, '1-done')).status, 204);
  assert.equal(job.running.fake.reading, 0);
});

void test('a new attempt begins again, and says so to whoever has heard of the old one', async (t) => {
  const job = await startJob(t);
  runs(job);
  job.running.fake.part(job.id, 'text/plain', 'old');
  const reading = all(await open(job));
  await until(() => job.running.fake.reading === 1);
  const back = await open(job, '1-0');
  job.running.fake.dropParts(job.id);
  runs(job, 2);
  job.running.fake.part(job.id, 'text/plain', 'new');
  job.running.fake.decide(job.id, {
    type: 'failed',
    error: { code: 'model_failed', message: 'it "did"' },
    retryable: false,
  });
  job.running.fake.change(job.id, { attempt: 2 });
  const expected = ['reset {"attempt":2}', 'output 2-0 new'];
  for (const told of [await reading, await all(back)]) {
    const from = told.indexOf(expected[0]!);
    assert.ok(from > 0, told.join('\n'));
    assert.equal(told.filter((line) => line.startsWith('reset')).length, 1);
    assert.deepEqual(told.slice(-2), [
      'error {"detail":"it \\"did\\"","code":"model_failed"}',
      `done ${told.at(-1)!.split(' ')[1]} {"reason":"error"}`,
    ]);
  }
});

void test('outputs that were not streamed come as one, arrays of texts text by text', async (t) => {
  const running = await startHttp(t);
  const told = async (text: string, type?: string) => {
    running.fake.ending = succeeded(text, type);
    const { id } = (await (await send(running, 'image/jpeg', 'x', MODEL)).json()) as { id: string };
    return (await all(await open({ running, id }))).slice(1);
  };
  assert.deepEqual(await told('{"a":[1]}'), ['output 1-all {"a":[1]}', 'done 1-done {}']);
  assert.deepEqual(await told('[1,2]'), ['output 1-all [1,2]', 'done 1-done {}']);
  assert.deepEqual(await told('["x","y"]'), ['output 1-0 x', 'output 1-1 y', 'done 1-done {}']);
  assert.deepEqual(await told('plain', 'text/plain'), ['output 1-all plain', 'done 1-done {}']);
  assert.deepEqual(await told('png', 'image/png'), ['output 1-all data:image/png;base64,cG5n', 'done 1-done {}']);
});

void test('parts of bytes resume by their offset in the stored output', async (t) => {
  const job = await startJob(t);
  runs(job);
  job.running.fake.part(job.id, 'audio/wav', 'RIFF');
  const reading = events(await open(job));
  const first: Event[] = [];
  for await (const event of reading) if (first.push(event) === 2) break;
  assert.equal(first[1]!.id, '1-0-4');
  job.running.fake.dropParts(job.id);
  job.running.fake.decide(job.id, succeeded('RIFFdata', 'audio/wav'));
  const rest = await all(await open(job, first[1]!.id));
  assert.deepEqual(rest.slice(1), [`output 1-1-8 data:audio/wav;base64,${btoa('data')}`, 'done 1-done {}']);
});

void test('a canceled prediction ends its stream', async (t) => {
  const job = await startJob(t);
  const told = all(await open(job));
  await until(() => job.running.fake.reading === 1);
  await fetch(`${job.running.base}/v1/predictions/${job.id}/cancel`, { method: 'POST' });
  assert.equal((await told).at(-1), 'done 1-done {"reason":"canceled"}');
});

void test('a drain tells readers to come back, and lets them go', async (t) => {
  const job = await startJob(t);
  const told = all(await open(job));
  await until(() => job.running.fake.reading === 1);
  job.running.service.beginDrain();
  await job.running.service.drain(10_000);
  assert.equal((await told).at(-1), 'reconnect {"reason":"draining"}');
  assert.equal(job.running.fake.reading, 0);
});

void test('what is not there is not found, and who leaves is forgotten', async (t) => {
  const job = await startJob(t);
  await refused(job.running, await open({ ...job, id: 'nothing' }), 'prediction_not_found');
  const head = await fetch(`${job.running.base}/v1/predictions/${job.id}/stream`, { method: 'HEAD' });
  assert.match(head.headers.get('content-type') ?? '', /event-stream/);
  const leave = new AbortController();
  const response = await fetch(`${job.running.base}/v1/predictions/${job.id}/stream`, { signal: leave.signal });
  await until(() => job.running.fake.reading === 1);
  leave.abort();
  await assert.rejects(response.text());
  await until(() => job.running.fake.reading === 0);
});

void test('a reader that does not read holds back its own stream and nothing else', async (t) => {
  const job = await startJob(t);
  runs(job);
  const slow = connect(job.running.port, '127.0.0.1');
  slow.on('error', () => undefined);
  slow.write(`GET /v1/predictions/${job.id}/stream HTTP/1.1\r\nhost: x\r\n\r\n`);
  await until(() => job.running.fake.reading === 1);
  await once(slow, 'readable');
  const part = 'x'.repeat(64 * 1024);
  for (let count = 0; count < 400; count += 1) job.running.fake.part(job.id, 'text/plain', part);
  // 25 MiB are far beyond what sockets buffer: this one is behind now. Another reads all.
  const other = all(await open(job));
  await until(() => job.running.fake.reading === 2);
  job.running.fake.decide(job.id, succeeded(JSON.stringify(Array.from({ length: 400 }, () => part))));
  assert.equal((await other).filter((line) => line.startsWith('output')).length, 400);
  slow.destroy();
  await until(() => job.running.fake.reading === 0);
});

void test('ids that are none of ours are the beginning', () => {
  for (const id of [undefined, '', 'x', '1', '1-', '-1-0', '1-0-', '99999999-0', '1-0\n'])
    assert.equal(readPosition(id), null, id);
  assert.deepEqual(readPosition('3-7'), { type: 'part', attempt: 3, seq: 7, offset: 0 });
});

void test('an event of several lines is read as it was written', () => {
  assert.equal(
    sseEvent('output', 'a\r\nb\rc\n', '1-0'),
    'event: output\nid: 1-0\ndata: a\ndata: b\ndata: c\ndata: \n\n',
  );
});
