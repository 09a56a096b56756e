/** A session that comes back while the store is broken, and one whose gateway does not come back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { settle } from '../../test/support/settle.ts';
import { PosternError } from '../errors.ts';
import { silentLogger } from '../logger.ts';
import type { NewJob } from '../dispatch/job.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import { createEngine } from './engine.ts';
import type { GatewaySession } from './worker-ports.ts';

const NOBODY: NonNullable<Store['members']> = {
  beat: () => Promise.resolve([]),
  read: () => Promise.resolve([]),
  leave: () => Promise.resolve(),
  announce: () => undefined,
};

async function submitted(store: Store, id = 'job-1'): Promise<string> {
  const job: NewJob = {
    id,
    model: 'plants',
    version: null,
    input: { contentType: 'text/plain', bytes: Buffer.from('rose') },
    parameters: {},
    rows: 1,
    priority: 0,
    caller: 'anna',
    deadlineAt: null,
    idempotencyKey: null,
    webhook: null,
  };
  const [outcome] = await store.submit([job]);
  assert.equal(outcome?.type, 'accepted');
  return job.id;
}

const sessionOf = (id: string, more: Partial<GatewaySession> = {}): GatewaySession => ({
  id,
  worker: 'gpu-1',
  previous: [],
  agent: 'test',
  address: '127.0.0.1',
  certificateEndsAt: 0,
  connectedAt: 0,
  lastSeenAt: 0,
  roundTripMs: null,
  assign: () => undefined,
  deny: () => undefined,
  request: () => assert.fail('no exchanges here'),
  cancel: () => undefined,
  ack: () => undefined,
  ackParts: () => undefined,
  drain: () => Promise.resolve(),
  close: () => undefined,
  ...more,
});

void test('a resume that the store could not answer ends the connection, so that the worker says again what it holds', async () => {
  const clock = createManualClock();
  const store = createMemoryStore({ clock });
  const broken = { ...store, reconcile: () => Promise.reject(new PosternError('storage_failed', 'no disk')) };
  const engine = createEngine({ clock, logger: silentLogger, store: broken });
  const closes: string[] = [];
  const session = sessionOf('run-1', { close: (code) => void closes.push(code) });
  engine.onOpen(session, true);
  engine.onResume(session, []);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(closes, ['internal']);
});

void test('what a worker says of its sessions elsewhere renews their leases, and it hears of cancels there; a store of one gateway is not asked', async () => {
  const clock = createManualClock();
  const memory = createMemoryStore({ clock });
  const job = await submitted(memory);
  const onTheWay = await submitted(memory, 'job-2');
  const claim = { session: 'gpu-1/a', worker: 'gpu-1', model: 'plants', version: '1', maxRows: 8, capacityRows: 8 };
  const [claimed] = await memory.claim([{ ...claim, leaseMs: 18_000 }]);
  assert.deepEqual(
    claimed?.jobs.map(({ id }) => id),
    [job, onTheWay],
  );
  const beats: string[] = [];
  const heartbeat: Store['heartbeat'] = (session, leaseMs) => {
    beats.push(session);
    return memory.heartbeat(session, leaseMs);
  };
  for (const members of [undefined, NOBODY]) {
    const store: Store = { ...memory, heartbeat, ...(members === undefined ? {} : { members }) };
    const engine = createEngine({ clock, logger: silentLogger, store });
    const cancels: unknown[] = [];
    const before = sessionOf('gpu-1/c');
    engine.onOpen(before, false);
    engine.onClose(before, new PosternError('connection_lost', 'cut'));
    const here = sessionOf('gpu-1/b', { previous: ['gpu-1/c'], cancel: (...given) => void cancels.push(given) });
    engine.onOpen(here, false);
    for (const other of ['gpu-1/a', 'gpu-1/b']) engine.onKeep(here, other, null);
    await settle();
    assert.deepEqual(beats, members === undefined ? [] : ['gpu-1/a'], 'one that is here speaks for itself');
    assert.deepEqual(cancels, []);
    assert.equal((await memory.get(onTheWay))?.status, 'processing', 'it may come still');
    if (members === undefined) continue;
    await memory.cancel(job);
    engine.onKeep(here, 'gpu-1/a', [[job, 1]]);
    await settle();
    assert.deepEqual(cancels, [[{ job, attempt: 1, session: 'gpu-1/a' }, 'caller']]);
    assert.equal((await memory.get(onTheWay))?.status, 'starting', 'it never came');
    // One that was here before, and went to another gateway since.
    engine.onKeep(here, 'gpu-1/c', null);
    await settle();
    assert.equal(beats.pop(), 'gpu-1/c');
    // Of an earlier connection, whose worker speaks on another one by now.
    engine.onKeep(sessionOf('gpu-1/b'), 'gpu-1/a', []);
    await settle();
    assert.equal(beats.length, 2);
  }
});

void test('a worker that is gone without a word loses its jobs within twenty seconds, although it was sent some until its link counted as lost', async () => {
  const clock = createManualClock();
  const memory = createMemoryStore({ clock });
  const engine = createEngine({ clock, logger: silentLogger, store: { ...memory, members: NOBODY } });
  await engine.start();
  const gone = sessionOf('gpu-1/a');
  engine.onOpen(gone, false);
  engine.onModels(gone, [{ name: 'plants', version: '1', state: 'ready', kind: 'echo', maxRows: 8 }]);
  engine.onGrant(gone, 'plants', '1', 4);
  const attemptsOf = async (id: string): Promise<unknown> => {
    const job = await memory.get(id);
    return [job?.status, job?.pastAttempts.length];
  };
  const later = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 1_000) {
      clock.advance(1_000);
      await settle();
    }
  };
  await later(14_000);
  const id = await submitted(memory);
  await later(1_000);
  assert.deepEqual(await attemptsOf(id), ['processing', 0]);
  engine.onClose(gone, new PosternError('peer_dead', 'silent'));
  await later(5_000);
  assert.deepEqual(await attemptsOf(id), ['starting', 1]);
  await engine.stop();
});
