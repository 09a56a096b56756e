/**
 * Streams through real processes whose links and lives are cut under way: every part arrives once and in order, or the reader
 * is told that the output begins again.
 */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { createClient, type Client } from '../../src/client/client.ts';
import type { PredictionEvent } from '../../src/client/stream.ts';
import { PosternSystem, untilModel, type Gateway, type Process } from '../support/postern.ts';
import { openProxy, type Proxy } from '../support/proxy.ts';

const PART_BYTES = 6;
const PARTS = 120;
const INPUT = Array.from({ length: PARTS }, (_, n) => `${String(n).padStart(PART_BYTES - 1, '0')} `).join('');

/** A prediction that comes back in 120 numbered parts, one every `delayMs`. */
async function startStream(gateway: Gateway, delayMs: number): Promise<string> {
  const file = `data:text/plain,${encodeURIComponent(INPUT)}`;
  const response = await fetch(`${gateway.url}/v1/models/local/echo/predictions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ input: { file, chunk_bytes: PART_BYTES, delay_ms: delayMs } }),
  });
  assert.equal(response.status, 202);
  return ((await response.json()) as { id: string }).id;
}

/** Reads to the end. `at` is called with the number of every part, before the next one is read. */
async function readAll(client: Client, id: string, at: (seq: number) => unknown): Promise<PredictionEvent[]> {
  const events: PredictionEvent[] = [];
  for await (const event of client.stream(id)) {
    events.push(event);
    if (event.type === 'output') await at(Number(event.data));
  }
  return events;
}

const textOf = (events: readonly PredictionEvent[]): string =>
  events.map((event) => (event.type === 'output' ? event.data : '')).join('');
const count = (events: readonly PredictionEvent[], type: PredictionEvent['type']): number =>
  events.filter((event) => event.type === type).length;

suite('a stream', { timeout: 180_000 }, () => {
  const system = new PosternSystem({ env: { POSTERN_STORE: 'sqlite' } });
  let gateway: Gateway;
  let worker: Process;
  let identity: string;
  let link: Proxy;
  let http: Proxy;
  let client: Client;

  before(async () => {
    gateway = await system.gateway();
    [link, http] = [await openProxy(gateway.tunnelPort), await openProxy(gateway.httpPort)];
    client = createClient({ gateway: `http://127.0.0.1:${http.port}` });
    identity = system.issue('gpu-1');
    worker = system.worker(gateway, identity, { TARGET_PORT: String(link.port) });
    await untilModel(gateway.url, 'echo');
  });
  after(async () => {
    await system.remove();
    await Promise.all([link.close(), http.close()]);
  });

  void test('whose links are cut again and again loses no part, tells none twice, and keeps their order', async () => {
    const id = await startStream(gateway, 15);
    const events = await readAll(client, id, (seq) => {
      // The worker's link and the reader's connection in turn: the newest of each.
      if (seq % 20 === 10) link.connections.at(-1)?.cut();
      if (seq % 20 === 0 && seq > 0) http.connections.at(-1)?.cut();
    });
    assert.equal(textOf(events), INPUT);
    assert.equal(count(events, 'output'), PARTS);
    assert.equal(count(events, 'reset'), 0, 'the attempt went on through every cut');
    assert.deepEqual(events.at(-1), { type: 'done', reason: null });
    const { output } = await client.prediction(id);
    assert.deepEqual((output as string[]).join(''), INPUT);
  });

  void test('goes on at a gateway that was killed and started again', async () => {
    const id = await startStream(gateway, 40);
    const events = await readAll(client, id, async (seq) => {
      if (seq !== 30) return;
      await gateway.kill();
      gateway = await system.gateway(gateway);
    });
    assert.equal(textOf(events), INPUT);
    assert.equal(count(events, 'reset'), 0, 'the worker held on to its attempt');
    assert.equal((await client.prediction(id)).attempt, 1);
  });

  void test('whose worker was killed begins again, and says so', async () => {
    const id = await startStream(gateway, 30);
    let killed = false;
    const events = await readAll(client, id, async (seq) => {
      if (seq !== 30 || killed) return;
      killed = true;
      await worker.kill();
      worker = system.worker(gateway, identity, { TARGET_PORT: String(link.port) });
    });
    const reset = events.findIndex(({ type }) => type === 'reset');
    assert.deepEqual(events[reset], { type: 'reset', attempt: 2 });
    assert.equal(textOf(events.slice(reset)), INPUT);
    assert.ok(INPUT.startsWith(textOf(events.slice(0, reset))));
    assert.equal(count(events, 'reset'), 1);
  });

  void test('is there for as many readers as come, early and late, and takes their leaving lightly', async () => {
    const id = await startStream(gateway, 10);
    const late = Promise.withResolvers<PredictionEvent[]>();
    const leaver = new AbortController();
    const left = client
      .stream(id, { signal: leaver.signal })
      .next()
      .then(() => leaver.abort());
    const early = readAll(client, id, (seq) => {
      if (seq === 60) readAll(client, id, () => undefined).then(late.resolve, late.reject);
    });
    for (const events of [await early, await late.promise]) assert.equal(textOf(events), INPUT);
    await left;
    assert.equal(textOf(await readAll(client, id, () => undefined)), INPUT, 'and after its end');
  });

  void test('that is canceled ends, and frees its slot', async () => {
    const id = await startStream(gateway, 200);
    const events = await readAll(client, id, (seq) => (seq === 2 ? client.cancel(id) : undefined));
    assert.deepEqual(events.at(-1), { type: 'done', reason: 'canceled' });
  });
});
