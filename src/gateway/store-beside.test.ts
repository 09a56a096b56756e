/** The engine and a store that fails, that another process shares, or that remembers an earlier life. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { settle } from '../../test/support/settle.ts';
import { PosternError } from '../errors.ts';
import { silentLogger } from '../logger.ts';
import { createMemoryStore } from '../store/memory.ts';
import { createSplitStore } from '../store/split.ts';
import type { Store, StoreHint } from '../store/store.ts';
import { createEngine } from './engine.ts';
import type { PredictionRequest } from './ports.ts';
import type { GatewaySession } from './worker-ports.ts';
import type { Job } from '../dispatch/job.ts';

const REPORT = { name: 'plants', version: '1', state: 'ready', kind: 'echo', maxRows: 8 } as const;
const TIMINGS = { queueMs: 0, decodeMs: 0, batchMs: 0, computeMs: 0 };
const REQUEST: PredictionRequest = {
  model: 'plants',
  version: null,
  input: { contentType: 'text/plain', bytes: Buffer.from('rose') },
  parameters: {},
  priority: 0,
  caller: 'anonymous',
  deadlineAt: null,
  idempotencyKey: null,
};

function sessionOf(id: string, lastSeenAt = 0): { session: GatewaySession; sent: Job[] } {
  const sent: Job[] = [];
  const session: GatewaySession = {
    id,
    worker: 'gpu-1',
    agent: 'test',
    address: '127.0.0.1',
    certificateEndsAt: 0,
    connectedAt: 0,
    lastSeenAt,
    roundTripMs: null,
    previous: [],
    assign: (job) => void sent.push(job),
    cancel: () => undefined,
    ack: () => undefined,
    ackParts: () => undefined,
    drain: () => Promise.resolve(),
    deny: () => undefined,
    request() {
      throw new Error('no exchanges here');
    },
    close: () => undefined,
  };
  return { session, sent };
}

function engineOn(store: Store, clock = createManualClock()) {
  return { clock, engine: createEngine({ clock, logger: silentLogger, store }) };
}

test('a store that fails is told as a fault, and as none when it works again, without anybody calling', async () => {
  const clock = createManualClock();
  const memory = createMemoryStore({ clock });
  let broken: PosternError | null = null;
  const orFail = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => {
    return (...args: A): Promise<R> => (broken ? Promise.reject(broken) : call(...args));
  };
  const store: Store = {
    ...memory,
    submit: orFail((jobs) => memory.submit(jobs)),
    probe: orFail(() => memory.probe()),
    sweep: orFail((limit) => memory.sweep(limit)),
  };
  const { engine } = engineOn(store, clock);
  await engine.start();
  const { session } = sessionOf('s1');
  engine.onOpen(session, false);
  engine.onModels(session, [REPORT]);
  assert.equal(engine.storeFault(), null);
  broken = new PosternError('storage_full', 'the disk is full');
  await assert.rejects(engine.submit(REQUEST), { code: 'storage_full' });
  assert.equal(engine.storeFault()?.code, 'storage_full');
  broken = new PosternError('storage_failed', 'EIO');
  clock.advance(1_000);
  await settle();
  assert.equal(engine.storeFault()?.code, 'storage_failed', 'it says what is wrong now');
  broken = null;
  clock.advance(1_000);
  await settle();
  assert.equal(engine.storeFault(), null);
  await engine.submit(REQUEST);
  await engine.stop();
});

test('an error that is not the disk’s makes no fault', async () => {
  const clock = createManualClock();
  const memory = createMemoryStore({ clock });
  const { engine } = engineOn({ ...memory, sweep: () => Promise.reject(new Error('a mistake')) }, clock);
  await engine.start();
  clock.advance(1_000);
  await settle();
  assert.equal(engine.storeFault(), null);
  await engine.stop();
});

test('word that an attempt was taken back stops that attempt, and not the next one, which may be here before it', async () => {
  const clock = createManualClock();
  const memory = createMemoryStore({ clock });
  let reclaimed: Job[] = [];
  const late: Store = {
    ...memory,
    sweep: async (limit) => {
      const swept = await memory.sweep(limit);
      return { ...swept, reclaimed: [...swept.reclaimed, ...reclaimed.splice(0)] };
    },
  };
  const { engine } = engineOn(late, clock);
  await engine.start();
  const { session: plain, sent } = sessionOf('s1');
  const stopped: number[] = [];
  const session: GatewaySession = { ...plain, cancel: ({ attempt }) => void stopped.push(attempt) };
  engine.onOpen(session, false);
  engine.onModels(session, [REPORT]);
  engine.onGrant(session, 'plants', '1', 2);
  await engine.submit(REQUEST);
  await settle();
  const { id, attempt, ...rest } = sent[0]!;
  for (const before of [attempt - 1, attempt]) {
    reclaimed = [{ id, ...rest, attempt: before, status: 'starting', session: null }];
    clock.advance(1_000);
    await settle();
    assert.deepEqual(stopped, before === attempt ? [attempt] : []);
  }
  await engine.stop();
});

test('who waits at one gateway is told soon of what another one decided, also when that one accepted it', async () => {
  const clock = createManualClock();
  const store = createMemoryStore({ clock });
  const shared: Store = { ...store, durable: true, stop: () => Promise.resolve() };
  const { engine: old } = engineOn(shared, clock);
  const { engine: young } = engineOn(shared, clock);
  await old.start();
  await young.start();
  const { session, sent } = sessionOf('s1');
  for (const engine of [old, young]) {
    engine.onOpen(session, false);
    engine.onModels(session, [REPORT]);
  }
  const job = await old.submit(REQUEST);
  const atOld = old.wait(job.id, 60_000);
  const atYoung = young.wait(job.id, 60_000);
  void old.drain(60_000);
  young.onGrant(session, 'plants', '1', 1);
  clock.advance(1_000);
  await settle();
  assert.equal(sent.length, 1);
  const fence = { job: job.id, attempt: 1, session: 's1' };
  young.onResult(session, fence, { contentType: 'text/plain', bytes: Buffer.from('red') }, TIMINGS);
  await settle();
  assert.equal((await atYoung)?.status, 'succeeded');
  clock.advance(200);
  await settle();
  assert.equal((await atOld)?.status, 'succeeded', 'long before its minute is over');
  await old.stop();
  await young.stop();
});

for (const missedBy of ['get', 'decidedAmong'] as const) {
  test(`a decision that is told while ${missedBy} is under way is not missed by who waits`, async () => {
    const clock = createManualClock();
    const memory = createMemoryStore({ clock });
    let told: (hint: StoreHint) => void = () => undefined;
    const asked = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    const slowly = async <R>(answer: Promise<R>): Promise<R> => {
      asked.resolve();
      await answered.promise;
      return answer;
    };
    const store: Store = {
      ...memory,
      onHint: (listener) => ((told = listener), () => undefined),
      get: (id) => (missedBy === 'get' ? slowly(memory.get(id)) : memory.get(id)),
      decidedAmong: (ids) =>
        missedBy === 'decidedAmong' ? slowly(memory.decidedAmong(ids)) : memory.decidedAmong(ids),
    };
    const { engine } = engineOn(store, clock);
    await engine.start();
    const { session } = sessionOf('s1');
    engine.onOpen(session, false);
    engine.onModels(session, [REPORT]);
    const { id } = await engine.submit(REQUEST);
    const waiting = engine.wait(id, 60_000);
    if (missedBy === 'decidedAmong') {
      await settle();
      told({ type: 'decided', jobs: [id] });
    }
    await asked.promise;
    const request = { session: 'theirs', worker: 'w', model: 'plants', version: '1', maxRows: 1, capacityRows: 1 };
    await memory.claim([{ ...request, leaseMs: 60_000 }]);
    const output = { contentType: 'text/plain', bytes: Buffer.from('red') };
    const fence = { job: id, attempt: 1, session: 'theirs' };
    await memory.settle([
      { fence, outcome: { type: 'succeeded', output, timings: { ...TIMINGS, linkMs: 0, workerQueueMs: 0 } } },
    ]);
    told({ type: 'decided', jobs: [id] });
    answered.resolve();
    assert.equal((await waiting)?.status, 'succeeded', 'and the clock stood still');
    await engine.stop();
  });
}

test('a job that is decided here while it is read is not waited for in vain, where others share the store', async () => {
  const clock = createManualClock();
  const memory = createMemoryStore({ clock });
  const read = Promise.withResolvers<void>();
  const store: Store = {
    ...memory,
    onHint: () => () => undefined,
    async get(id) {
      const job = await memory.get(id);
      await read.promise;
      return job;
    },
  };
  const { engine } = engineOn(store, clock);
  await engine.start();
  const { session, sent } = sessionOf('s1');
  engine.onOpen(session, false);
  engine.onModels(session, [REPORT]);
  engine.onGrant(session, 'plants', '1', 1);
  const { id } = await engine.submit(REQUEST);
  await settle();
  const waiting = engine.wait(id, 60_000);
  const decided = new Promise<Job>((resolve) => engine.onDecided(resolve));
  const output = { contentType: 'text/plain', bytes: Buffer.from('red') };
  engine.onResult(session, { job: id, attempt: sent[0]!.attempt, session: 's1' }, output, TIMINGS);
  await decided;
  read.resolve();
  assert.equal((await waiting)?.status, 'succeeded', 'and the clock stood still');
  await engine.stop();
});

test('each look is for all who wait, however many there were before', async () => {
  const clock = createManualClock();
  const memory = createMemoryStore({ clock });
  const asked: string[][] = [];
  const store: Store = {
    ...memory,
    onHint: () => () => undefined,
    decidedAmong: (ids) => (asked.push([...ids]), memory.decidedAmong(ids)),
  };
  const { engine } = engineOn(store, clock);
  await engine.start();
  const { session } = sessionOf('s1');
  engine.onOpen(session, false);
  engine.onModels(session, [REPORT]);
  const waits: Promise<Job | null>[] = [];
  const ids: string[] = [];
  for (let waiting = 1; waiting <= 3; waiting += 1) {
    ids.push((await engine.submit(REQUEST)).id);
    waits.push(engine.wait(ids.at(-1)!, 60_000));
    await settle();
    clock.advance(200);
    await settle();
    assert.deepEqual(asked.at(-1)?.toSorted(), ids.toSorted());
  }
  await engine.stop();
  await Promise.all(waits);
});

test('a gateway that starts knows the models of its last life, and when their worker was last heard', async () => {
  const clock = createManualClock(1_000_000);
  const store = createMemoryStore({ clock });
  const shared: Store = { ...store, stop: () => Promise.resolve() };
  const { engine: first } = engineOn(shared, clock);
  await first.start();
  const { session } = sessionOf('s1', 1_000_500);
  first.onOpen(session, false);
  first.onModels(session, [{ ...REPORT, description: 'of the garden' }]);
  clock.advance(1_000);
  await settle();
  await first.stop();

  const { engine: second } = engineOn(shared, clock);
  await second.start();
  const [model] = await second.models();
  assert.deepEqual(
    [model?.name, model?.state, model?.description, model?.lastSeenAt],
    ['plants', 'away', 'of the garden', 1_000_500],
  );
  assert.equal((await second.submit(REQUEST)).status, 'starting', 'it waits for its worker');
  await assert.rejects(second.submit({ ...REQUEST, model: 'unheard' }), { code: 'model_not_found' });
  await assert.rejects(second.submit({ ...REQUEST, version: '7' }), { code: 'model_not_found' });
  await second.stop();
});

test('what is not recorded is known here before it can be decided, though what is recorded is still being flushed', async () => {
  const clock = createManualClock();
  const unrecorded = createMemoryStore({ clock, maxResults: 0 });
  const recorded = createMemoryStore({ clock });
  const flushed = Promise.withResolvers<void>();
  const slow: Store = {
    ...recorded,
    submit: async (jobs) => {
      await flushed.promise;
      return recorded.submit(jobs);
    },
  };
  const { engine } = engineOn(createSplitStore({ recorded: slow, unrecorded, clock }), clock);
  await engine.start();
  const { session, sent } = sessionOf('s1');
  engine.onOpen(session, false);
  engine.onModels(session, [REPORT]);
  engine.onGrant(session, 'plants', '1', 8);
  // In one turn of the event loop, so that they reach the store together.
  const kept = engine.submit(REQUEST);
  const passing = engine.submit({ ...REQUEST, recorded: false });
  await settle();
  assert.equal(sent.length, 1, 'the one that waits for no flush is with the worker');
  const { id } = await passing;
  const waited = engine.wait(id, 60_000);
  const fence = { job: id, attempt: 1, session: 's1' };
  engine.onResult(session, fence, { contentType: 'text/plain', bytes: Buffer.from('red') }, TIMINGS);
  assert.equal((await waited)?.status, 'succeeded');
  flushed.resolve();
  assert.equal((await kept).status, 'starting');
  await engine.stop();
});
