import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { silentLogger } from '../logger.ts';
import type { Fence, Job } from '../dispatch/job.ts';
import { createMemoryStore, type MemoryStoreOptions } from '../store/memory.ts';
import { createEngine } from './engine.ts';
import type { GatewaySession, PredictionRequest } from './ports.ts';

const TIMINGS = { queueMs: 1, decodeMs: 2, batchMs: 3, computeMs: 4 };
const bytes = (text: string): Uint8Array => Buffer.from(text);

/** Lets everything that was deferred happen. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 3; i += 1) await new Promise((resolve) => setImmediate(resolve));
};

function setup(storeOptions: Partial<MemoryStoreOptions> = {}, engineOptions: { maxWaiters?: number } = {}) {
  const clock = createManualClock();
  const store = createMemoryStore({ clock, ...storeOptions });
  const engine = createEngine({ clock, logger: silentLogger, store, ...engineOptions });
  return { clock, store, engine };
}

function fakeSession(id: string, worker = 'gpu-1') {
  const sent: { job: Job; version: string; timeoutMs: number | null }[] = [];
  const canceled: { fence: Fence; reason: string }[] = [];
  const acked: Fence[] = [];
  const closes: string[] = [];
  const session: GatewaySession = {
    id,
    worker,
    agent: 'test',
    address: '127.0.0.1',
    certificateEndsAt: 0,
    connectedAt: 0,
    lastSeenAt: 0,
    roundTripMs: null,
    assign: (job, version, timeoutMs) => void sent.push({ job, version, timeoutMs }),
    cancel: (fence, reason) => void canceled.push({ fence, reason }),
    ack: (fences) => void acked.push(...fences),
    drain: () => Promise.resolve(),
    close: (code) => void closes.push(code),
  };
  return { session, sent, canceled, acked, closes };
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
    ...over,
  };
}

function connect(engine: ReturnType<typeof setup>['engine'], fake: ReturnType<typeof fakeSession>, rows = 4): void {
  engine.onOpen(fake.session, false);
  engine.onModels(fake.session, [REPORT]);
  engine.onGrant(fake.session, 'plants', '1', rows);
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
