/** What an attacker has that was let in: a live session that is taken back, models beyond the invitation, others' jobs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openRecords, POLL_MS } from '../../../src/identity/records.ts';
import { openWorkers } from '../../../src/identity/workers.ts';
import { systemClock } from '../../../src/clock.ts';
import { createEngine } from '../../../src/gateway/engine.ts';
import { createWorkerListener } from '../../../src/gateway/listener.ts';
import { silentLogger } from '../../../src/logger.ts';
import { makeHello } from '../../../src/protocol/hello.ts';
import { createMemoryStore } from '../../../src/store/memory.ts';
import { openIdentityScene } from '../../support/identity-scene.ts';
import { eventually } from '../../support/leaks.ts';
import { HELLO, openRawWorker } from '../../support/raw-peer.ts';
import { ECHO, TIMINGS } from '../../support/tunnel.ts';

async function openGateway() {
  const scene = await openIdentityScene();
  const { identity } = scene;
  const engine = createEngine({
    clock: systemClock,
    logger: silentLogger,
    store: createMemoryStore({ clock: systemClock }),
    permissions: identity.access,
  });
  const listener = createWorkerListener({
    config: { host: '127.0.0.1', port: 0, gateway: 'test', leaseMs: 30_000 },
    identity,
    events: engine,
    logger: silentLogger,
    clock: systemClock,
  });
  scene.records.watch(systemClock, (error) => assert.ifError(error));
  await engine.start();
  await listener.start();
  const open = async (tls: object) => {
    const worker = await openRawWorker(listener.port, tls, makeHello(HELLO));
    await worker.next('welcome');
    return worker;
  };
  const close = async (): Promise<void> => {
    await listener.stop();
    await engine.stop();
    await scene.close();
  };
  return { scene, engine, listener, open, close };
}

const request = (model: string) => ({
  model,
  version: null,
  input: { contentType: 'text/plain', bytes: Buffer.from('x') },
  parameters: {},
  priority: 0,
  caller: 'anonymous',
  deadlineAt: null,
  idempotencyKey: null,
});

void test('a live session of a worker that another process revokes is closed at the next look into the records', async () => {
  const gateway = await openGateway();
  try {
    assert.ok(POLL_MS < 500, 'looks often enough to close it within a second');
    const { tls } = await gateway.scene.join('gpu-1');
    const worker = await gateway.open(tls);
    const other = openRecords(gateway.scene.folder);
    openWorkers(other).revoke('gpu-1', { actor: 'test', at: Date.now() });
    assert.equal((await worker.closed)?.code, 'worker_revoked');
    other.close();
    const again = await openRawWorker(gateway.listener.port, tls, makeHello({ ...HELLO, epoch: 2 }));
    assert.equal((await again.closed)?.code, 'worker_revoked');
  } finally {
    await gateway.close();
  }
});

void test('what a revoked worker held is run by another one at once, whether it was connected or away', async () => {
  const gateway = await openGateway();
  try {
    const { workers } = gateway.scene.identity;
    const asleep = await gateway.open((await gateway.scene.join('gpu-1')).tls);
    const thief = await gateway.open((await gateway.scene.join('gpu-2')).tls);
    const jobs: string[] = [];
    for (const [index, worker] of [asleep, thief].entries()) {
      worker.connection.send({ type: 'models', models: [ECHO] });
      worker.connection.send({ type: 'grant', model: 'echo', version: '1', rows: 1 });
      await eventually(() => gateway.engine.workers().filter(({ models }) => models.length === 1).length === index + 1);
      jobs.push((await gateway.engine.submit(request('echo'))).id);
      await worker.next('assign');
    }
    asleep.connection.destroy();
    await eventually(() => gateway.engine.workers().some(({ state }) => state === 'away'));
    // Until here both jobs belong to workers that may come back: a third one is given neither.
    const good = await gateway.open((await gateway.scene.join('gpu-3')).tls);
    good.connection.send({ type: 'models', models: [ECHO] });
    good.connection.send({ type: 'grant', model: 'echo', version: '1', rows: 2 });
    await eventually(() =>
      gateway.engine.workers().some(({ name, models }) => name === 'gpu-3' && models.length === 1),
    );
    for (const [index, name] of ['gpu-1', 'gpu-2'].entries()) {
      workers.revoke(name, { actor: 'test', at: Date.now() });
      await good.received.find((message) => message.type === 'assign' && message.job === jobs[index]);
    }
    for (const id of jobs) assert.equal((await gateway.engine.get(id))?.worker, 'gpu-3');
  } finally {
    await gateway.close();
  }
});

void test('a model outside the invitation is shown as not allowed, told to the worker, and sent no work', async () => {
  const gateway = await openGateway();
  try {
    const { tls } = await gateway.scene.join('gpu-1', ['echo']);
    const worker = await gateway.open(tls);
    worker.connection.send({ type: 'models', models: [ECHO, { ...ECHO, name: 'plants' }] });
    worker.connection.send({ type: 'grant', model: 'plants', version: '1', rows: 8 });
    worker.connection.send({ type: 'grant', model: 'echo', version: '1', rows: 8 });
    assert.deepEqual((await worker.next('denied')).models, ['plants']);
    const [view] = gateway.engine.workers();
    assert.deepEqual(
      [view?.models.map(({ name }) => name), view?.notAllowed.map(({ name }) => name)],
      [['echo'], ['plants']],
    );
    await assert.rejects(gateway.engine.submit(request('plants')), /model_not_found|no worker/);

    // Allowed from here on, without a new session; and the credit of before counts.
    const { workers } = gateway.scene.identity;
    workers.allow('gpu-1', new Set(['echo', 'plants']), { actor: 'test', at: 1 });
    await gateway.engine.submit(request('plants'));
    assert.equal((await worker.next('assign')).model, 'plants');
    // Taken back: what it runs it may end, and nothing more of the model comes.
    workers.allow('gpu-1', new Set(['echo']), { actor: 'test', at: 1 });
    const waiting = await gateway.engine.submit(request('plants'));
    await gateway.engine.submit(request('echo'));
    await worker.received.find((message) => message.type === 'assign' && message.model === 'echo');
    assert.equal((await gateway.engine.get(waiting.id))?.status, 'starting');
  } finally {
    await gateway.close();
  }
});

void test('a result for the job of another worker changes nothing', async () => {
  const gateway = await openGateway();
  try {
    const [a, b] = [await gateway.scene.join('gpu-1'), await gateway.scene.join('gpu-2')];
    const victim = await gateway.open(a.tls);
    victim.connection.send({ type: 'models', models: [ECHO] });
    victim.connection.send({ type: 'grant', model: 'echo', version: '1', rows: 1 });
    await eventually(() => gateway.engine.workers()[0]?.models.length === 1);
    const thief = await gateway.open(b.tls);
    const job = await gateway.engine.submit(request('echo'));
    await victim.next('assign');
    thief.connection.send(
      { type: 'result', job: job.id, attempt: 1, contentType: 'text/plain', bytes: 1, timings: TIMINGS },
      Buffer.from('!'),
    );
    // Acked so that it forgets it: an answer that says nothing, and the job is where it was.
    await thief.next('ack');
    assert.equal((await gateway.engine.get(job.id))?.status, 'processing');
    victim.connection.send(
      { type: 'result', job: job.id, attempt: 1, contentType: 'text/plain', bytes: 1, timings: TIMINGS },
      Buffer.from('x'),
    );
    await victim.next('ack');
    const done = await gateway.engine.get(job.id);
    assert.deepEqual([done?.status, Buffer.from(done?.output?.bytes ?? []).toString()], ['succeeded', 'x']);
  } finally {
    await gateway.close();
  }
});
