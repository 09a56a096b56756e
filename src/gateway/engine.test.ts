import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { settle } from '../../test/support/settle.ts';
import { PosternError } from '../errors.ts';
import { silentLogger } from '../logger.ts';
import type { Fence, Job } from '../dispatch/job.ts';
import type { MemoryStoreOptions } from '../store/memory-options.ts';
import { createMemoryStore } from '../store/memory.ts';
import { createEngine } from './engine.ts';
import type { PredictionRequest } from './ports.ts';
import type { GatewaySession } from './worker-ports.ts';

const TIMINGS = { queueMs: 1, decodeMs: 2, batchMs: 3, computeMs: 4 };
const bytes = (text: string): Uint8Array => Buffer.from(text);

function setup(storeOptions: Partial<MemoryStoreOptions> = {}, engineOptions: { maxWaiters?: number } = {}) {
  const clock = createManualClock();
  const store = createMemoryStore({ clock, ...storeOptions });
  return { clock, store, engine: createEngine({ clock, logger: silentLogger, store, ...engineOptions }) };
}

function fakeSession(id: string, worker = 'gpu-1', previous: readonly string[] = []) {
  const sent: { job: Job; version: string; timeoutMs: number | null }[] = [];
  const canceled: { fence: Fence; reason: string }[] = [];
  const acked: Fence[] = [];
  const partsAcked: [string, number, number][] = [];
  const closes: string[] = [];
  const session: GatewaySession = {
    id,
    worker,
    previous,
    agent: 'test',
    address: '127.0.0.1',
    certificateEndsAt: 0,
    connectedAt: 0,
    lastSeenAt: 0,
    roundTripMs: null,
    assign: (job, version, timeoutMs) => void sent.push({ job, version, timeoutMs }),
    deny: () => undefined,
    request: () => assert.fail('no exchanges here'),
    cancel: (fence, reason) => void canceled.push({ fence, reason }),
    ack: (fences) => void acked.push(...fences),
    ackParts: ({ job, attempt }, seq) => void partsAcked.push([job, attempt, seq]),
    drain: () => Promise.resolve(),
    close: (code) => void closes.push(code),
  };
  return { session, sent, canceled, acked, partsAcked, closes };
}

const REPORT = { name: 'plants', version: '1', state: 'ready', kind: 'echo', maxRows: 8 } as const;

function request(over: Partial<PredictionRequest> = {}): PredictionRequest {
  return {
    model: 'plants',
    version: null,
    input: { contentType: 'text/plain', bytes: bytes('rose') },
    parameters: {},
    priority: 0,
    caller: 'anonymous',
    deadlineAt: null,
    idempotencyKey: null,
    webhook: null,
    ...over,
  };
}

function connect(engine: ReturnType<typeof setup>['engine'], fake: ReturnType<typeof fakeSession>, rows = 4): void {
  engine.onOpen(fake.session, false);
  engine.onModels(fake.session, [REPORT]);
  if (rows > 0) engine.onGrant(fake.session, 'plants', '1', rows);
}

const fenceOf = (job: Job): Fence => ({ job: job.id, attempt: job.attempt, session: job.session ?? '' });

test('a job goes to a worker, its result is committed, acked, and given to the caller who waits', async () => {
  const { engine } = setup();
  const fake = fakeSession('s1');
  connect(engine, fake);
  const job = await engine.submit(request());
  assert.equal(job.status, 'starting');
  const waiting = engine.wait(job.id, 10_000);
  await settle();
  assert.equal(fake.sent.length, 1);
  const sent = fake.sent[0]!;
  assert.equal(sent.version, '1');
  engine.onResult(fake.session, fenceOf(sent.job), { contentType: 'text/plain', bytes: bytes('red') }, TIMINGS);
  const decided = await waiting;
  assert.equal(decided?.status, 'succeeded');
  assert.equal(Buffer.from(decided.output?.bytes ?? []).toString(), 'red');
  assert.equal(decided.timings?.computeMs, 4);
  assert.deepEqual(fake.acked, [fenceOf(sent.job)]);
  await engine.stop();
});

test('a model that nobody ever announced is unknown; one whose worker is away takes jobs', async () => {
  const { engine } = setup();
  await assert.rejects(engine.submit(request()), { code: 'model_not_found' });
  const fake = fakeSession('s1');
  connect(engine, fake);
  await assert.rejects(engine.submit(request({ version: '7' })), { code: 'model_not_found' });
  engine.onClose(fake.session, null);
  const job = await engine.submit(request());
  assert.equal(job.status, 'starting');
  assert.equal((await engine.models())[0]?.state, 'away');
  connect(engine, fakeSession('s2'));
  await settle();
  assert.equal((await engine.get(job.id))?.status, 'processing');
  await engine.stop();
});

test('a full queue says when to come back, from the rate that was seen', async () => {
  const { engine, clock } = setup({ queueLimitJobs: 10 });
  const fake = fakeSession('s1');
  connect(engine, fake, 1);
  await engine.start();
  for (let i = 0; i < 200; i += 1) {
    const job = await engine.submit(request());
    await settle();
    const sent = fake.sent.at(-1)!.job;
    assert.equal(sent.id, job.id);
    engine.onResult(fake.session, fenceOf(sent), { contentType: 'text/plain', bytes: bytes('x') }, TIMINGS);
    await settle();
    clock.advance(500);
    if (i < 199) engine.onGrant(fake.session, 'plants', '1', 1);
  }
  for (let i = 0; i < 10; i += 1) await engine.submit(request());
  // Two a second; a tenth of the queue is one job.
  await assert.rejects(engine.submit(request()), { code: 'queue_full', retryAfterS: 1 });
  assert.equal(engine.stats().totals.get('plants')?.refused, 1);
  await engine.stop();
});

test('a deadline in the past is refused; one that passes tells the worker', async () => {
  const { engine, clock } = setup();
  const fake = fakeSession('s1');
  connect(engine, fake);
  await engine.start();
  await assert.rejects(engine.submit(request({ deadlineAt: clock.now() })), { code: 'deadline_in_past' });
  const job = await engine.submit(request({ deadlineAt: clock.now() + 1_500 }));
  const waiting = engine.wait(job.id, 60_000);
  await settle();
  assert.equal(fake.sent[0]?.timeoutMs, 1_500);
  clock.advance(1_000);
  await settle();
  clock.advance(1_000);
  await settle();
  assert.equal((await waiting)?.error?.code, 'deadline_exceeded');
  assert.deepEqual(
    fake.canceled.map(({ reason }) => reason),
    ['deadline'],
  );
  // The slot is taken until the worker says so, and the late result is acked and changes nothing.
  assert.equal(engine.workers()[0]?.models[0]?.inFlightJobs, 1);
  engine.onResult(
    fake.session,
    fenceOf(fake.sent[0].job),
    { contentType: 'text/plain', bytes: bytes('late') },
    TIMINGS,
  );
  await settle();
  assert.equal(engine.workers()[0]?.models[0]?.inFlightJobs, 0);
  assert.equal((await engine.get(job.id))?.output, null);
  assert.equal(fake.acked.length, 1);
  assert.equal(engine.stats().lateMessages, 1);
  await engine.stop();
});

test('a cancel reaches the worker; the job is canceled when the worker confirms', async () => {
  const { engine } = setup();
  const fake = fakeSession('s1');
  connect(engine, fake);
  const job = await engine.submit(request());
  await settle();
  const waiting = engine.wait(job.id, 60_000);
  assert.equal((await engine.cancel(job.id))?.status, 'processing');
  assert.deepEqual(
    fake.canceled.map(({ reason }) => reason),
    ['caller'],
  );
  engine.onCanceled(fake.session, fenceOf(fake.sent[0]!.job));
  assert.equal((await waiting)?.status, 'canceled');
  assert.deepEqual(fake.acked, [], 'a confirmation is not kept, so it is not acked');
  assert.equal((await engine.cancel(job.id))?.status, 'canceled');
  assert.equal(await engine.cancel('nobody'), null);
  await engine.stop();
});

test('canceling a waiting job ends the waits for it', async () => {
  const { engine } = setup();
  connect(engine, fakeSession('s1'), 0);
  const job = await engine.submit(request());
  const waiting = engine.wait(job.id, 60_000);
  await engine.cancel(job.id);
  assert.equal((await waiting)?.status, 'canceled');
  assert.equal(engine.stats().totals.get('plants')?.canceled, 1);
  await engine.stop();
});

for (const [what, output] of [
  ['does not parse', bytes('{"a":')],
  ['is not UTF-8', Uint8Array.from([0x22, 0xff, 0x22])],
] as const) {
  test(`an output that is called JSON and ${what} is refused, and callers never see it`, async () => {
    const { engine } = setup();
    const fake = fakeSession('s1');
    connect(engine, fake);
    const job = await engine.submit(request());
    await settle();
    engine.onResult(
      fake.session,
      fenceOf(fake.sent[0]!.job),
      { contentType: 'application/json', bytes: output },
      TIMINGS,
    );
    const decided = await engine.wait(job.id, 60_000);
    assert.equal(decided?.error?.code, 'output_invalid');
    assert.equal(decided.output, null);
    assert.equal(fake.acked.length, 1);
    await engine.stop();
  });
}

test('a worker cannot speak for the gateway: codes that are not a worker’s become model_failed', async () => {
  const { engine } = setup();
  const fake = fakeSession('s1');
  connect(engine, fake);
  for (const [sent, seen] of [
    ['not_an_image', 'not_an_image'],
    ['queue_full', 'model_failed'],
    ['__proto__', 'model_failed'],
  ] as const) {
    const job = await engine.submit(request());
    await settle();
    engine.onFailure(fake.session, fenceOf(fake.sent.at(-1)!.job), sent, 'because', false);
    assert.equal((await engine.wait(job.id, 60_000))?.error?.code, seen);
  }
  await engine.stop();
});

test('a result of another session changes nothing and is acked, so that its sender can forget it', async () => {
  const { engine } = setup();
  const [mine, other] = [fakeSession('s1', 'gpu-1'), fakeSession('s2', 'gpu-2')];
  connect(engine, mine);
  const job = await engine.submit(request());
  await settle();
  connect(engine, other, 0);
  const forged = { ...fenceOf(mine.sent[0]!.job), session: 's2' };
  engine.onResult(other.session, forged, { contentType: 'text/plain', bytes: bytes('forged') }, TIMINGS);
  await settle();
  assert.equal((await engine.get(job.id))?.status, 'processing');
  assert.deepEqual(other.acked, [forged]);
  await engine.stop();
});

test('a session id that belongs to another worker is refused', async () => {
  const { engine } = setup();
  connect(engine, fakeSession('s1', 'gpu-1'));
  const thief = fakeSession('s1', 'gpu-2');
  engine.onOpen(thief.session, true);
  assert.deepEqual(thief.closes, ['handshake_refused']);
  assert.equal(engine.workers().length, 1);
  await engine.stop();
});

test('a worker that is lost loses its jobs to another one within twenty seconds', async () => {
  const { engine, clock } = setup();
  const [lost, other] = [fakeSession('s1', 'gpu-1'), fakeSession('s2', 'gpu-2')];
  connect(engine, lost);
  await engine.start();
  const job = await engine.submit(request());
  await settle();
  connect(engine, other);
  for (let second = 1; other.sent.length === 0; second += 1) {
    assert.ok(second <= 20, 'twenty seconds are over');
    if (second === 15) engine.onClose(lost.session, new PosternError('peer_dead', 'silent'));
    engine.onHeard(other.session);
    clock.advance(1_000);
    await settle();
  }
  assert.equal(other.sent[0]?.job.id, job.id);
  assert.equal(other.sent[0].job.attempt, 2);
  assert.equal(engine.stats().totals.get('plants')?.retried, 1);
  await engine.stop();
});

test('a link that is back within the lease keeps its attempts, and what was lost on the wire is sent again', async () => {
  const { engine, clock } = setup();
  const first = fakeSession('s1');
  connect(engine, first, 2);
  await engine.start();
  const [kept, dropped] = [await engine.submit(request()), await engine.submit(request())];
  await settle();
  engine.onClose(first.session, new PosternError('connection_lost', 'cut'));
  clock.advance(5_000);
  await settle();
  const second = fakeSession('s1');
  engine.onOpen(second.session, true);
  engine.onResume(second.session, [
    [kept.id, 1],
    ['long gone', 1],
  ]);
  engine.onModels(second.session, [REPORT]);
  engine.onGrant(second.session, 'plants', '1', 1);
  await settle();
  assert.deepEqual(
    second.canceled.map(({ fence, reason }) => [fence.job, reason]),
    [['long gone', 'stale']],
  );
  assert.deepEqual(
    second.sent.map(({ job }) => [job.id, job.attempt]),
    [[dropped.id, 2]],
  );
  const fence = { job: kept.id, attempt: 1, session: 's1' };
  engine.onResult(second.session, fence, { contentType: 'text/plain', bytes: bytes('x') }, TIMINGS);
  assert.equal((await engine.wait(kept.id, 60_000))?.status, 'succeeded');
  await engine.stop();
});

test('everything of one turn is one call to the store', async () => {
  const { store, clock } = setup();
  const calls: string[] = [];
  const engine = createEngine({
    clock,
    logger: silentLogger,
    store: {
      ...store,
      submit: (jobs) => (calls.push(`submit ${jobs.length}`), store.submit(jobs)),
      claim: (requests) => (calls.push(`claim ${requests.length}`), store.claim(requests)),
      settle: (ends) => (calls.push(`settle ${ends.length}`), store.settle(ends)),
    },
  });
  const fake = fakeSession('s1');
  connect(engine, fake, 8);
  await Promise.all([request(), request(), request()].map((one) => engine.submit(one)));
  await settle();
  assert.deepEqual(calls.splice(0), ['submit 3', 'claim 1']);
  for (const { job } of fake.sent) {
    engine.onResult(fake.session, fenceOf(job), { contentType: 'text/plain', bytes: bytes('x') }, TIMINGS);
  }
  await settle();
  assert.deepEqual(calls, ['settle 3']);
  assert.equal(fake.acked.length, 3);
  await engine.stop();
});

test('a store that fails loses no result: nothing is acked, and the session has to come again', async () => {
  const { store, clock } = setup();
  const engine = createEngine({
    clock,
    logger: silentLogger,
    store: { ...store, settle: () => Promise.reject(new Error('disk full')) },
  });
  const fake = fakeSession('s1');
  connect(engine, fake);
  await engine.submit(request());
  await settle();
  engine.onResult(fake.session, fenceOf(fake.sent[0]!.job), { contentType: 'text/plain', bytes: bytes('x') }, TIMINGS);
  await settle();
  assert.deepEqual(fake.acked, []);
  assert.deepEqual(fake.closes, ['internal']);
  await engine.stop();
});

test('draining accepts nothing, and ends when the last job is decided', async () => {
  const { engine } = setup();
  const fake = fakeSession('s1');
  connect(engine, fake);
  const job = await engine.submit(request());
  await settle();
  let drained = false;
  const draining = engine.drain(30_000).then(() => (drained = true));
  await assert.rejects(engine.submit(request()), { code: 'draining' });
  await settle();
  assert.equal(drained, false);
  engine.onResult(fake.session, fenceOf(fake.sent[0]!.job), { contentType: 'text/plain', bytes: bytes('x') }, TIMINGS);
  await draining;
  assert.equal((await engine.get(job.id))?.status, 'succeeded');
  await engine.stop();
});

test('draining does not wait longer than it was given', async () => {
  const { engine, clock } = setup();
  const fake = fakeSession('s1');
  connect(engine, fake);
  await engine.submit(request());
  await settle();
  const draining = engine.drain(30_000);
  clock.advance(30_000);
  await draining;
  await engine.stop();
});

test('observers see every decision, once, until they are taken off; stopping leaves no timer', async () => {
  const { engine, clock } = setup();
  const fake = fakeSession('s1');
  connect(engine, fake);
  await engine.start();
  const seen: string[] = [];
  const off = engine.onDecided((job) => void seen.push(job.status));
  for (let i = 0; i < 3; i += 1) {
    const job = await engine.submit(request());
    const waiting = engine.wait(job.id, 1_000);
    await settle();
    const sent = fake.sent.at(-1)!.job;
    if (i === 2) off();
    for (let twice = 0; twice < 2; twice += 1) {
      engine.onResult(fake.session, fenceOf(sent), { contentType: 'text/plain', bytes: bytes('x') }, TIMINGS);
    }
    await waiting;
  }
  assert.deepEqual(seen, ['succeeded', 'succeeded']);
  await engine.stop();
  clock.advance(1_000);
  assert.equal(clock.timerCount, 0);
});
