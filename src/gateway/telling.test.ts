/**
 * Two gateways on one PostgreSQL: the other one hears of what the own workers cannot take, and of nothing else. The engines' clocks stand
 * still, so that no sweep looks for work: what the other one gets, it got by a hint.
 */
import assert from 'node:assert/strict';
import { after, describe, test, type TestContext } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { cannotRunPostgres, testPostgres } from '../../test/support/postgres.ts';
import { settle } from '../../test/support/settle.ts';
import { systemClock } from '../clock.ts';
import type { Fence, Job } from '../dispatch/job.ts';
import { PosternError } from '../errors.ts';
import { silentLogger } from '../logger.ts';
import { Secret } from '../secret.ts';
import { createMemoryStore } from '../store/memory.ts';
import { createPostgresStore } from '../store/postgres/postgres.ts';
import { createSplitStore } from '../store/split.ts';
import type { Store } from '../store/store.ts';
import { createEngine } from './engine.ts';
import type { PredictionRequest } from './ports.ts';
import type { GatewaySession } from './worker-ports.ts';

const TIMINGS = { queueMs: 0, decodeMs: 0, batchMs: 0, computeMs: 0 };
const OUTPUT = { contentType: 'text/plain', bytes: Buffer.from('red') };
const MARKER = 'the end';
const fenceOf = ({ id, attempt, session }: Job): Fence => ({ job: id, attempt, session: session ?? '' });

let database: Promise<string> | undefined;
let models = 0;

function postgresStore(url: string): Store {
  const wire = { connectMs: 30_000, answerMs: 120_000, silentMs: 120_000 };
  return createPostgresStore({ clock: systemClock, url: new Secret(url), blobs: null, ...wire });
}

/** A worker's session at one gateway, and the jobs that it is sent, in order. */
function workerOf(id: string) {
  const sent: Job[] = [];
  let waiting: (() => void)[] = [];
  const session: GatewaySession = {
    id,
    worker: `worker of ${id}`,
    agent: 'test',
    address: '127.0.0.1',
    certificateEndsAt: 0,
    connectedAt: 0,
    lastSeenAt: 0,
    roundTripMs: null,
    previous: [],
    assign(job) {
      sent.push(job);
      for (const resolve of waiting.splice(0)) resolve();
    },
    cancel: () => undefined,
    ack: () => undefined,
    ackParts: () => undefined,
    drain: () => Promise.resolve(),
    deny: () => undefined,
    request: () => assert.fail('no exchanges here'),
    close: () => undefined,
  };
  async function got(count: number): Promise<readonly Job[]> {
    while (sent.length < count) await new Promise<void>((resolve) => (waiting = [...waiting, resolve]));
    return sent;
  }
  return { session, got };
}

async function gateway(url: string, own: Partial<Pick<Store, 'claim'>> = {}) {
  const clock = createManualClock();
  const postgres = postgresStore(url);
  const counted = { claims: 0, hints: [] as string[] };
  const listens = Promise.withResolvers<void>();
  const marked = Promise.withResolvers<void>();
  postgres.onHint!((hint) => {
    if (hint.type === 'decided' && hint.jobs === null) listens.resolve();
    if (hint.type !== 'waiting') return;
    counted.hints.push(...hint.models.filter((model) => model !== MARKER));
    if (hint.models.includes(MARKER)) marked.resolve();
  });
  const recorded: Store = {
    ...postgres,
    claim(requests) {
      counted.claims += 1;
      return (own.claim ?? postgres.claim)(requests);
    },
  };
  const unrecorded = createMemoryStore({ clock, maxResults: 0 });
  const store = createSplitStore({ recorded, unrecorded, clock });
  const engine = createEngine({ clock, logger: silentLogger, store });
  await engine.start();
  await listens.promise;
  return { engine, store, counted, marked: marked.promise };
}

describe('gateways that share a database', { skip: cannotRunPostgres(), timeout: 120_000 }, () => {
  const stops: (() => Promise<void>)[] = [];
  after(() => Promise.all(stops.map((stop) => stop())));

  /** Two gateways on a model of their own, with a worker each. */
  async function two(t: TestContext, rows: { readonly here: number; readonly there: number }, own = {}) {
    const postgres = await testPostgres();
    const url = postgres.urlOf(await (database ??= postgres.createDatabase()));
    const here = await gateway(url, own);
    const there = await gateway(url);
    t.after(() => Promise.all([here.engine.stop(), there.engine.stop()]));
    const model = `model-${(models += 1)}`;
    function connect(to: typeof here, id: string, free: number) {
      const worker = workerOf(`${model} ${id}`);
      to.engine.onOpen(worker.session, false);
      to.engine.onModels(worker.session, [{ name: model, version: '1', state: 'ready', kind: 'echo', maxRows: 8 }]);
      if (free > 0) to.engine.onGrant(worker.session, model, '1', free);
      return worker;
    }
    const request: PredictionRequest = {
      model,
      version: null,
      input: { contentType: 'text/plain', bytes: Buffer.from('rose') },
      parameters: {},
      priority: 0,
      caller: 'anonymous',
      deadlineAt: null,
      idempotencyKey: null,
    };
    /** What the other one was told until now. Hints come in the order in which they were sent. */
    async function heard(): Promise<readonly string[]> {
      here.store.tellWaiting!([MARKER]);
      await there.marked;
      return there.counted.hints;
    }
    const mine = connect(here, 'here', rows.here);
    const theirs = connect(there, 'there', rows.there);
    return { url, here, there, mine, theirs, connect, request, heard };
  }

  test('of what the own workers have room for nobody hears, and nobody else asks', async (t) => {
    const { here, there, mine, request, heard } = await two(t, { here: 4, there: 8 });
    for (let round = 1; round <= 5; round += 1) {
      await Promise.all(Array.from({ length: 4 }, () => here.engine.submit(request)));
      for (const job of (await mine.got(4 * round)).slice(-4)) {
        const decided = new Promise<Job>((resolve) => here.engine.onDecided(resolve));
        here.engine.onResult(mine.session, fenceOf(job), OUTPUT, TIMINGS);
        assert.equal((await decided).status, 'succeeded');
        here.engine.onGrant(mine.session, request.model, '1', 1);
      }
    }
    assert.deepEqual(await heard(), []);
    assert.equal(there.counted.claims, 0);
  });

  test('what the own workers have no room for goes to the other’s', async (t) => {
    const { here, there, mine, theirs, request, heard } = await two(t, { here: 1, there: 1 });
    await Promise.all([here.engine.submit(request), here.engine.submit(request)]);
    await Promise.all([mine.got(1), theirs.got(1)]);
    assert.deepEqual(await heard(), [request.model]);
    assert.ok(there.counted.claims <= 2, 'and one that finds nothing more');
  });

  test('the same where the own worker is away', async (t) => {
    const { here, mine, theirs, request } = await two(t, { here: 1, there: 1 });
    here.engine.onClose(mine.session, null);
    const { id } = await here.engine.submit(request);
    assert.equal((await theirs.got(1))[0]?.id, id);
  });

  test('where the room went to a job of somebody else, the other one is told of what is left', async (t) => {
    const { url, here, mine, theirs, request } = await two(t, { here: 1, there: 1 });
    const silent = postgresStore(url);
    await silent.start();
    stops.push(() => silent.stop());
    const [older] = await silent.submit([{ ...request, id: 'older', rows: 1, webhook: null }]);
    assert.equal(older?.type, 'accepted');
    const { id } = await here.engine.submit(request);
    assert.equal((await mine.got(1))[0]?.id, 'older');
    assert.equal((await theirs.got(1))[0]?.id, id);
  });

  test('a job that no own worker can take whole goes to one that can', async (t) => {
    const { here, theirs, connect, request } = await two(t, { here: 2, there: 4 });
    connect(here, 'second', 2);
    const { id } = await here.engine.submit({ ...request, rows: 4 });
    assert.equal((await theirs.got(1))[0]?.id, id);
  });

  test('a claim that fails leaves the job to the others', async (t) => {
    const claim = () => Promise.reject(new PosternError('storage_failed', 'the database is gone'));
    const { here, theirs, request } = await two(t, { here: 1, there: 1 }, { claim });
    const { id } = await here.engine.submit(request);
    assert.equal((await theirs.got(1))[0]?.id, id);
  });

  test('a gateway that hands over leaves what it still accepts to the others', async (t) => {
    const { here, theirs, request } = await two(t, { here: 1, there: 1 });
    await settle();
    const leaving = here.engine.handOver(60_000);
    const { id } = await here.engine.submit(request);
    assert.equal((await theirs.got(1))[0]?.id, id);
    await leaving;
  });

  test('what is not recorded is told to nobody', async (t) => {
    const { here, there, mine, request, heard } = await two(t, { here: 1, there: 1 });
    await Promise.all([1, 2].map(() => here.engine.submit({ ...request, recorded: false })));
    await mine.got(1);
    assert.deepEqual(await heard(), []);
    assert.equal(there.counted.claims, 0);
  });
});
