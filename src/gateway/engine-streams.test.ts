/** Parts of outputs through the engine: from sessions to those who read along, and ends that an earlier run left. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { settle } from '../../test/support/settle.ts';
import { TERMINAL, type Fence, type Job, type Payload } from '../dispatch/job.ts';
import { PosternError } from '../errors.ts';
import { silentLogger } from '../logger.ts';
import { MAX_PARTIAL_BYTES, PARTIAL_WINDOW_COUNT } from '../protocol/limits.ts';
import { createMemoryStore } from '../store/memory.ts';
import { createEngine, type Engine } from './engine.ts';
import type { JobWatch } from './ports.ts';
import type { GatewaySession } from './worker-ports.ts';
import { MAX_LOG_BYTES, StreamLog } from './stream-log.ts';

const REPORT = { name: 'echo', version: '1', state: 'ready', kind: 'echo', maxRows: 8 } as const;
const TIMINGS = { queueMs: 0, decodeMs: 0, batchMs: 0, computeMs: 0 };
const text = (of: string): Payload => ({ contentType: 'text/plain', bytes: Buffer.from(of) });

function setup(maxWatches?: number) {
  const clock = createManualClock();
  const store = createMemoryStore({ clock });
  const open = (): Engine =>
    createEngine({ clock, logger: silentLogger, store, ...(maxWatches === undefined ? {} : { maxWatches }) });
  return { clock, store, open, engine: open() };
}

function fakeSession(id: string, previous: readonly string[] = []) {
  const sent: Job[] = [];
  const acked: Fence[] = [];
  const partsAcked: (readonly [string, number, number])[] = [];
  const closes: string[] = [];
  const session: GatewaySession = {
    id,
    worker: 'gpu-1',
    previous,
    agent: 'test',
    address: '127.0.0.1',
    certificateEndsAt: 0,
    connectedAt: 0,
    lastSeenAt: 0,
    roundTripMs: null,
    deny: () => undefined,
    request() {
      throw new Error('no exchanges here');
    },
    assign: (job) => void sent.push(job),
    cancel: () => undefined,
    ack: (fences) => void acked.push(...fences),
    ackParts: ({ job, attempt }, seq) => void partsAcked.push([job, attempt, seq]),
    drain: () => Promise.resolve(),
    close: (code) => void closes.push(code),
  };
  return { session, sent, acked, partsAcked, closes };
}

function connect(engine: Engine, fake: ReturnType<typeof fakeSession>, rows = 4): void {
  engine.onOpen(fake.session, false);
  engine.onModels(fake.session, [REPORT]);
  if (rows > 0) engine.onGrant(fake.session, 'echo', '1', rows);
}

async function submit(engine: Engine): Promise<Job> {
  const job = await engine.submit({
    model: 'echo',
    version: null,
    input: text('in'),
    parameters: {},
    priority: 0,
    caller: 'anonymous',
    deadlineAt: null,
    idempotencyKey: null,
  });
  await settle();
  return job;
}

const fenceOf = (job: Job, session: string, attempt = 1): Fence => ({ job: job.id, attempt, session });
const partsOf = (watch: JobWatch | null): string[] =>
  Array.from({ length: watch?.partCount ?? 0 }, (_, seq) => Buffer.from(watch!.part(seq).bytes).toString());

test('parts reach whoever reads, in order whatever the order they came in, and each is acked once it is whole', async () => {
  const { engine } = setup();
  const fake = fakeSession('s1');
  connect(engine, fake);
  const job = await submit(engine);
  let changes = 0;
  const watch = await engine.watch(job.id, () => (changes += 1));
  const fence = fenceOf(job, 's1');
  engine.onPartial(fake.session, fence, 0, text('a'));
  engine.onPartial(fake.session, fence, 2, text('c'));
  assert.deepEqual(partsOf(watch), ['a'], 'the third waits for the second');
  engine.onPartial(fake.session, fence, 0, text('again'));
  engine.onPartial(fake.session, fence, 1, text('b'));
  assert.deepEqual(partsOf(watch), ['a', 'b', 'c']);
  assert.deepEqual(
    fake.partsAcked.map(([, , seq]) => seq),
    [0, 0, 0, 2],
  );
  engine.onProgress(fake.session, fence, 0.5, 'half');
  assert.deepEqual(watch?.job.progress, { fraction: 0.5, message: 'half' });
  engine.onResult(
    fake.session,
    fence,
    { contentType: 'application/json', bytes: Buffer.from('["a","b","c"]') },
    TIMINGS,
  );
  await settle();
  assert.equal(watch.job.status, 'succeeded');
  assert.ok(changes >= 4);
  assert.deepEqual(partsOf(watch), ['a', 'b', 'c'], 'a reader who is not done still has them');
  watch.close();
  watch.close();
  await engine.stop();
});

test('parts of a lost attempt, of another session, or beyond the window are not taken', async () => {
  const { engine, clock } = setup();
  const first = fakeSession('s1');
  connect(engine, first, 1);
  await engine.start();
  const job = await submit(engine);
  engine.onPartial(first.session, fenceOf(job, 's1'), 0, text('old'));
  engine.onPartial(first.session, fenceOf(job, 's1', 7), 1, text('no'));
  engine.onPartial(first.session, { ...fenceOf(job, 's1'), job: 'nobody' }, 0, text('no'));
  assert.equal(first.partsAcked.length, 1);
  const watch = await engine.watch(job.id, () => undefined);
  engine.onClose(first.session, new PosternError('connection_lost', 'cut'));
  clock.advance(20_000);
  await settle();
  const second = fakeSession('s2');
  connect(engine, second, 1);
  await settle();
  assert.equal(watch?.attempt, 2);
  assert.deepEqual(partsOf(watch), [], 'a new attempt begins again');
  engine.onPartial(second.session, fenceOf(job, 's1'), 1, text('late'));
  engine.onPartial(second.session, fenceOf(job, 's2', 2), 0, text('new'));
  assert.deepEqual(partsOf(watch), ['new']);
  engine.onPartial(second.session, fenceOf(job, 's2', 2), PARTIAL_WINDOW_COUNT + 2, text('too far'));
  assert.deepEqual(second.closes, ['flow_control']);
  watch.close();
  await engine.stop();
});

test('after a resume the worker is told from where its parts are wanted: all of them by a gateway that was restarted', async () => {
  const { engine, open } = setup();
  const fake = fakeSession('s1');
  connect(engine, fake);
  const [streaming, silent] = [await submit(engine), await submit(engine)];
  engine.onPartial(fake.session, fenceOf(streaming, 's1'), 0, text('a'));
  const held = [
    [streaming.id, 1],
    [silent.id, 1],
  ] as const;
  const back = fakeSession('s1');
  engine.onOpen(back.session, true);
  engine.onResume(back.session, held);
  await settle();
  assert.deepEqual(back.partsAcked, [
    [streaming.id, 1, 0],
    [silent.id, 1, -1],
  ]);
  const next = open();
  const again = fakeSession('s1');
  next.onOpen(again.session, false);
  next.onResume(again.session, held);
  await settle();
  assert.deepEqual(
    again.partsAcked.map(([, , seq]) => seq),
    [-1, -1],
  );
  await engine.stop();
});

test('a worker that was killed gives its finished results to the gateway; what it had not finished runs again and counts', async () => {
  const { engine } = setup();
  const first = fakeSession('gpu-1/run-1');
  connect(engine, first, 2);
  const [done, undone] = [await submit(engine), await submit(engine)];
  assert.equal(first.sent.length, 2);
  engine.onClose(first.session, new PosternError('connection_lost', 'killed'));
  const second = fakeSession('gpu-1/run-2', ['gpu-1/run-1']);
  connect(engine, second, 4);
  await settle();
  assert.equal(second.sent.length, 0, 'what the earlier run held is still its own');
  engine.onResult(second.session, fenceOf(done, 'gpu-1/run-1'), text('computed before'), TIMINGS);
  engine.onGone(second.session, 'gpu-1/run-1');
  await settle();
  const decided = await engine.get(done.id);
  assert.deepEqual([decided?.status, decided?.attempt], ['succeeded', 1]);
  assert.deepEqual(second.acked, [fenceOf(done, 'gpu-1/run-1')]);
  assert.deepEqual(
    second.sent.map(({ id, attempt }) => [id, attempt]),
    [[undone.id, 2]],
  );
  // Nobody can end another worker's run, nor one that was not named.
  engine.onGone(second.session, 'gpu-2/run-1');
  engine.onGone(second.session, 'gpu-1/run-2');
  await settle();
  assert.equal((await engine.get(undone.id))?.status, 'processing');
  await engine.stop();
});

test('without ends to deliver a new run takes over at once, and a late result of the old one changes nothing', async () => {
  const { engine } = setup();
  const first = fakeSession('gpu-1/run-1');
  connect(engine, first, 1);
  const job = await submit(engine);
  const second = fakeSession('gpu-1/run-2');
  connect(engine, second, 1);
  await settle();
  assert.equal(second.sent[0]?.attempt, 2);
  engine.onResult(second.session, fenceOf(job, 'gpu-1/run-1'), text('stale'), TIMINGS);
  await settle();
  assert.equal(second.acked.length, 1, 'it may be forgotten');
  assert.equal((await engine.get(job.id))?.status, 'processing');
  await engine.stop();
});

test('a reader of a job that runs elsewhere hears of it from the store; one of no job hears null; too many are refused', async () => {
  const { engine, open, clock, store } = setup(1);
  const fake = fakeSession('s1');
  connect(engine, fake);
  const job = await submit(engine);
  const other = open();
  await other.start();
  assert.equal(await other.watch('nobody', () => undefined), null);
  const looked = Promise.withResolvers<void>();
  const watch = await other.watch(job.id, () => {
    if (TERMINAL.has(watch?.job.status ?? 'starting')) looked.resolve();
  });
  await assert.rejects(
    other.watch(job.id, () => undefined),
    { code: 'overloaded' },
  );
  engine.onResult(fake.session, fenceOf(job, 's1'), text('x'), TIMINGS);
  await settle();
  assert.equal((await store.get(job.id))?.status, 'succeeded');
  clock.advance(1_000);
  await looked.promise;
  watch?.close();
  await other.stop();
});

test('a log is bounded: what is beyond is counted and acked, and the parts before it can be read', () => {
  const budget = { usedBytes: 0 };
  const log = new StreamLog(1, budget);
  const large = { contentType: 'audio/wav', bytes: new Uint8Array(MAX_PARTIAL_BYTES) };
  assert.equal(log.add(0, { ...large, bytes: new Uint8Array(MAX_PARTIAL_BYTES + 1) }), false);
  for (let seq = 0; seq < 4; seq += 1) assert.equal(log.add(seq, large), true);
  assert.equal(log.add(4, text('small')), true);
  assert.deepEqual([log.count, log.highest], [1, 4], 'after a gap nothing is kept, however small');
  assert.ok(budget.usedBytes <= MAX_LOG_BYTES);
  assert.equal(log.add(6, large), true);
  assert.equal(log.add(7, large), false, 'what waits for its turn is bounded too');
  log.close();
  assert.equal(budget.usedBytes, 0);
});
