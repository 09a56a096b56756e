/** From a decision to a receiver: a real store in memory, a real receiver on loopback, and a clock that the test moves. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Webhook as Verifier } from 'standardwebhooks';
import { createManualClock } from '../../../test/support/manual-clock.ts';
import { startWebServer, type WebServer } from '../../../test/support/web-server.ts';
import { systemClock } from '../../clock.ts';
import type { DeliveryView } from '../../dispatch/delivery.ts';
import type { Webhook } from '../../dispatch/webhook.ts';
import { silentLogger } from '../../logger.ts';
import { createMemoryStore } from '../../store/memory.ts';
import { createOutbound } from '../outbound/outbound.ts';
import { parseAllowRule } from '../outbound/rules.ts';
import { webhookKeysPath } from './place.ts';
import { createWebhookSecrets, OVERLAP_MS } from './secrets.ts';
import { createWebhookSender } from './sender.ts';
import { MAX_DELIVERY_ATTEMPTS, WAITS_MS } from './schedule.ts';

const TIMINGS = { queueMs: 1, linkMs: 2, workerQueueMs: 3, decodeMs: 4, batchMs: 5, computeMs: 6 };

/** A store, a sender and secrets; jobs are run to their end by the test. */
async function startBench(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'postern-webhooks-'));
  // Signatures are checked against the real time.
  const clock = createManualClock(Date.now());
  const store = createMemoryStore({ clock });
  const secrets = createWebhookSecrets(webhookKeysPath(folder), clock);
  const outbound = createOutbound({
    clock: systemClock,
    rules: { allow: [parseAllowRule('127.0.0.1')!], plainHttp: false },
  });
  const sender = createWebhookSender({
    deliveries: store.deliveries,
    outbound,
    secrets,
    clock,
    logger: silentLogger,
    random: () => 0.5,
  });
  await store.start();
  await sender.start();
  t.after(async () => {
    const stopped = sender.stop().then(() => true);
    const turn = (): Promise<false> => new Promise((resolve) => setImmediate(() => resolve(false)));
    // A stop waits for attempts that run, by the clock that stands still here.
    while (!(await Promise.race([stopped, turn()]))) clock.advance(1_000);
    await store.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  let count = 0;

  async function decide(webhook: Webhook, output = '{"label":"rose"}'): Promise<string> {
    count += 1;
    const id = `job-${count}`;
    const input = { contentType: 'image/jpeg', bytes: Buffer.from('photo') };
    const given = { id, model: 'plants', version: null, input, parameters: {}, rows: 1, priority: 0, caller: 'anna' };
    await store.submit([{ ...given, deadlineAt: null, idempotencyKey: null, webhook }]);
    const request = { session: 's', worker: 'w', model: 'plants', version: '1', maxRows: 1, capacityRows: 1 };
    const [claimed] = await store.claim([{ ...request, leaseMs: 18_000, solo: false }]);
    const job = claimed!.jobs[0]!;
    const end = { contentType: 'application/json', bytes: Buffer.from(output) };
    const fence = { job: id, attempt: job.attempt, session: 's' };
    await store.settle([{ fence, outcome: { type: 'succeeded', output: end, timings: TIMINGS } }]);
    sender.wake();
    return id;
  }

  /** The delivery of a job's decision, as soon as it is what the test waits for. */
  async function delivery(id: string, is: (view: DeliveryView) => boolean): Promise<DeliveryView> {
    for (;;) {
      const found = (await store.deliveries.ofJob(id)).find((view) => view.event === 'completed' && is(view));
      if (found !== undefined) return found;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  return { clock, store, secrets, sender, folder, decide, delivery };
}

const hookOf = ({ port }: WebServer, events: Webhook['events'] = ['completed']): Webhook => ({
  url: `http://127.0.0.1:${port}/hook?x=1`,
  events,
  base: 'http://gateway.test',
});
test('a receiver is told what the API would say, and can verify it with a library that is not ours', async (t) => {
  const { secrets, folder, decide, delivery } = await startBench(t);
  const receiver = await startWebServer(t);
  const id = await decide(hookOf(receiver, ['start', 'completed']));
  const completed = await receiver.received.find(({ body }) => body.includes('succeeded'));
  const started = await receiver.received.find(({ body }) => body.includes('processing'));
  const verifier = new Verifier(await secrets.secretOf('anna'));
  for (const { body, headers } of [started, completed]) verifier.verify(body, headers as Record<string, string>);
  assert.equal(completed.method, 'POST');
  assert.equal(completed.path, '/hook?x=1');
  assert.equal(completed.headers['content-type'], 'application/json; charset=utf-8');
  assert.equal(completed.headers['webhook-id'], `msg_${id}_completed`);
  assert.equal(started.headers['webhook-id'], `msg_${id}_start`);
  const prediction = JSON.parse(completed.body.toString()) as Record<string, unknown>;
  assert.deepEqual(
    [prediction.id, prediction.status, prediction.output, (prediction.urls as { get: string }).get],
    [id, 'succeeded', { label: 'rose' }, `http://gateway.test/v1/predictions/${id}`],
  );
  const done = await delivery(id, ({ status }) => status === 'delivered');
  assert.deepEqual([done.attempt, done.answer], [1, 200]);
  // Somebody else's secret, and a body that was changed.
  const other = new Verifier(await secrets.secretOf('ben'));
  assert.throws(() => other.verify(completed.body, completed.headers as Record<string, string>));
  const forged = completed.body.toString().replace('rose', 'lily');
  assert.throws(() => verifier.verify(forged, completed.headers as Record<string, string>));
  assert.equal(statSync(webhookKeysPath(folder)).mode & 0o777, 0o600);
});

test('after a rotation both secrets verify for a day, and a second rotation ends the first', async (t) => {
  const { clock, secrets, decide } = await startBench(t);
  const receiver = await startWebServer(t);
  const first = await secrets.secretOf('anna');
  await secrets.rotate({ actor: 'cli:test', at: clock.now() });
  const second = await secrets.secretOf('anna');
  assert.notEqual(first, second);
  const id = await decide(hookOf(receiver));
  const { body, headers } = await receiver.received.find((one) => one.headers['webhook-id'] === `msg_${id}_completed`);
  for (const secret of [first, second]) new Verifier(secret).verify(body, headers as Record<string, string>);
  clock.advance(OVERLAP_MS);
  assert.equal((await secrets.keysOf('anna')).length, 1);
  await secrets.rotate({ actor: 'cli:test', at: clock.now() });
  await secrets.rotate({ actor: 'cli:test', at: clock.now() });
  assert.equal((await secrets.keysOf('anna')).length, 2);
});

test('a receiver that fails is asked again by the schedule, with the same id, until it has failed for good', async (t) => {
  const { clock, decide, delivery } = await startBench(t);
  const receiver = await startWebServer(t, { respond: (_request, response) => response.writeHead(500).end() });
  const id = await decide(hookOf(receiver));
  let at = clock.now();
  for (const [index, waitMs] of WAITS_MS.entries()) {
    const view = await delivery(
      id,
      ({ attempt, answer, nextAt }) => attempt === index + 1 && answer === 500 && nextAt === at + waitMs,
    );
    assert.equal(view.reason, 'its server answered 500');
    clock.advance(waitMs);
    at += waitMs;
  }
  const dead = await delivery(id, ({ status }) => status === 'failed');
  assert.deepEqual(
    [dead.attempt, dead.reason],
    [MAX_DELIVERY_ATTEMPTS, 'its server answered 500; it was tried 8 times'],
  );
  const ids = new Set(receiver.received.entries.map(({ headers }) => headers['webhook-id']));
  assert.equal(receiver.received.entries.length, MAX_DELIVERY_ATTEMPTS);
  assert.equal(ids.size, 1);
});

test('what a receiver answers is heeded: gone, later, elsewhere', async (t) => {
  const { clock, decide, delivery } = await startBench(t);
  const ends = async (status: number, headers: Record<string, string> = {}): Promise<DeliveryView> => {
    const receiver = await startWebServer(t, {
      respond: (_request, response) => response.writeHead(status, headers).end(),
    });
    const id = await decide(hookOf(receiver));
    return delivery(id, ({ answer }) => answer === status);
  };
  assert.equal((await ends(202)).status, 'delivered');
  assert.equal((await ends(410)).status, 'failed');
  const now = clock.now();
  assert.equal((await ends(429, { 'retry-after': '600' })).nextAt, now + 600_000);
  assert.equal((await ends(503, { 'retry-after': '9999999999' })).nextAt, now + 24 * 3_600_000);
  assert.equal((await ends(503, { 'retry-after': 'soon' })).nextAt, now + 5_000);
  const moved = await ends(307, { location: 'http://127.0.0.1:1/' });
  assert.deepEqual([moved.status, moved.nextAt], ['pending', now + 5_000]);
});

test('an address that is private is not called, and that is final', async (t) => {
  const { decide, delivery } = await startBench(t);
  const inner = await startWebServer(t, { host: '127.0.0.2' });
  const id = await decide({ url: `http://127.0.0.2:${inner.port}/`, events: ['completed'], base: '' });
  const dead = await delivery(id, ({ status }) => status === 'failed');
  assert.equal(dead.reason, 'its host is not on the public internet');
  assert.equal(inner.connections(), 0);
});

test('a receiver that never answers holds four attempts, and nobody else waits', async (t) => {
  const { decide, delivery } = await startBench(t);
  const silent = await startWebServer(t, { respond: () => undefined });
  const good = await startWebServer(t);
  for (let count = 0; count < 20; count += 1) await decide(hookOf(silent));
  const id = await decide(hookOf(good));
  await delivery(id, ({ status }) => status === 'delivered');
  await silent.received.until(() => silent.received.entries.length === 4);
  assert.equal(silent.connections(), 4);
});
