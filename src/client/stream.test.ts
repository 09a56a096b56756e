import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { createClient, type Client } from './client.ts';
import { EventParser } from './events.ts';

/** A gateway that answers each asking by the next of these, and remembers what it was asked with. */
async function scripted(t: TestContext, answers: readonly ((response: ServerResponse) => void)[]) {
  const asked: (string | undefined)[] = [];
  const delays: number[] = [];
  const server = createServer((request, response) => {
    const id = request.headers['last-event-id'];
    const answer = answers[Math.min(asked.push(typeof id === 'string' ? id : undefined), answers.length) - 1]!;
    answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const client = createClient({
    gateway: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    random: () => 0.5,
    delay: (delayMs) => {
      delays.push(delayMs);
      return Promise.resolve();
    },
  });
  return { client, asked, delays };
}

const says =
  (text: string) =>
  (response: ServerResponse): void =>
    void response.writeHead(200, { 'content-type': 'text/event-stream', connection: 'close' }).end(text);
const breaksAfter =
  (text: string) =>
  (response: ServerResponse): void => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(text, () => response.destroy());
  };
const output = (id: string, data: string): string => `event: output\nid: ${id}\ndata: ${data}\n\n`;
const status = 'event: status\ndata: {"id":"p","status":"processing","attempt":1}\n\n';
const done = 'event: done\nid: 1-done\ndata: {}\n\n';

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function read(client: Client): Promise<string[]> {
  const told: string[] = [];
  for await (const event of client.stream('p')) told.push(event.type === 'output' ? event.data : event.type);
  return told;
}

void test('a stream that breaks is taken up where it broke, with the pause that the gateway asked for', async (t) => {
  const { client, asked, delays } = await scripted(t, [
    breaksAfter(`retry: 700\n\n${status}${output('1-0', 'a')}${output('1-1', 'b')}event: output\nid: 1-2\nda`),
    says(`retry: 700\n\n${status}${output('1-2', 'c')}`),
    says(`${status}event: reconnect\ndata: {}\n\n`),
    (response) => response.writeHead(503).end(),
    (response) => response.destroy(),
    (response) => response.writeHead(503).end(),
    (response) => response.writeHead(503).end(),
    says(`${output('1-3', 'd')}${done}`),
  ]);
  assert.deepEqual(await read(client), ['status', 'a', 'b', 'status', 'c', 'status', 'd', 'done']);
  assert.deepEqual(asked, [undefined, '1-1', '1-2', '1-2', '1-2', '1-2', '1-2', '1-2']);
  assert.equal(delays[0], 700);
});

void test('all kinds of events arrive as they are meant; unknown ones are left out', async (t) => {
  const { client } = await scripted(t, [
    says(
      'event: progress\ndata: {"fraction":0.5,"message":"half"}\n\nevent: novelty\ndata: {}\n\n' +
        'event: reset\ndata: {"attempt":2}\n\nevent: error\ndata: {"detail":"no","code":"model_failed"}\n\n' +
        'event: done\nid: 2-done\ndata: {"reason":"error"}\n\n',
    ),
  ]);
  assert.deepEqual(await collect(client.stream('p')), [
    { type: 'progress', fraction: 0.5, message: 'half' },
    { type: 'reset', attempt: 2 },
    { type: 'error', detail: 'no', code: 'model_failed' },
    { type: 'done', reason: 'error' },
  ]);
});

void test('a stream that never brings anything is given up, one that is not there at once', async (t) => {
  const broken = await scripted(t, [says(status)]);
  await assert.rejects(read(broken.client), { code: 'unreachable' });
  assert.equal(broken.asked.length, 20);
  const missing = await scripted(t, [(response) => response.writeHead(404).end('{"code":"prediction_not_found"}')]);
  await assert.rejects(read(missing.client), { code: 'prediction_not_found' });
  assert.equal(missing.asked.length, 1);
});

void test('who had everything hears nothing, and who aborts gets the reason', async (t) => {
  const { client } = await scripted(t, [(response) => response.writeHead(204).end()]);
  assert.deepEqual(await collect(client.stream('p', { lastEventId: '1-done' })), []);
  const open = await scripted(t, [(response) => void response.writeHead(200).write(status)]);
  const abort = new AbortController();
  const reason = new Error('enough');
  await assert.rejects(
    async () => {
      for await (const _ of open.client.stream('p', { signal: abort.signal })) abort.abort(reason);
    },
    (thrown) => thrown === reason,
  );
});

void test('a reader that stops early lets the connection go', async (t) => {
  const closed = Promise.withResolvers<void>();
  const { client } = await scripted(t, [
    (response) => {
      response.once('close', () => closed.resolve());
      response.writeHead(200).write(status + output('1-0', 'a'));
    },
  ]);
  for await (const event of client.stream('p')) if (event.type === 'output') break;
  await closed.promise;
});

void test('events are read from pieces of any size, with any ends of lines', () => {
  const text =
    ': hello\n\nretry: 5\nid: 7\nevent: x\ndata: a\ndata:b\ndata\n\ndata: second\n\nevent: none\n\nid\ndata: 3\n\n';
  for (const ends of ['\n', '\r\n', '\r']) {
    for (const size of [1, 2, 3, 1_000]) {
      const parser = new EventParser();
      const events = [];
      const all = text.replaceAll('\n', ends);
      for (let at = 0; at < all.length; at += size) events.push(...parser.push(all.slice(at, at + size)));
      assert.deepEqual(events, [
        { event: 'x', data: 'a\nb\n', id: '7' },
        { event: 'message', data: 'second', id: '7' },
        { event: 'message', data: '3', id: '' },
      ]);
      assert.equal(parser.retryMs, 5);
    }
  }
});
