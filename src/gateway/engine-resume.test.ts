/** A session that comes back while the store is broken. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { PosternError } from '../errors.ts';
import { silentLogger } from '../logger.ts';
import { createMemoryStore } from '../store/memory.ts';
import { createEngine } from './engine.ts';
import type { GatewaySession } from './ports.ts';

void test('a resume that the store could not answer ends the connection, so that the worker says again what it holds', async () => {
  const clock = createManualClock();
  const store = createMemoryStore({ clock });
  const broken = { ...store, reconcile: () => Promise.reject(new PosternError('storage_failed', 'no disk')) };
  const engine = createEngine({ clock, logger: silentLogger, store: broken });
  const closes: string[] = [];
  const session: GatewaySession = {
    id: 'run-1',
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
    close: (code) => void closes.push(code),
  };
  engine.onOpen(session, true);
  engine.onResume(session, []);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(closes, ['internal']);
});
