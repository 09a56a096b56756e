import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { silentLogger } from '../logger.ts';
import { createMemoryStore } from '../store/memory.ts';
import { createEngine } from './engine.ts';
import type { PredictionRequest } from './ports.ts';
import type { GatewaySession } from './worker-ports.ts';

const SESSION: GatewaySession = {
  id: 's1',
  worker: 'gpu-1',
  agent: 'test',
  address: '127.0.0.1',
  certificateEndsAt: 0,
  connectedAt: 0,
  lastSeenAt: 0,
  roundTripMs: null,
  previous: [],
  assign: () => undefined,
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

test('a key without a quota of its own has the share that is everybody’s; who has no key shares the queue', async () => {
  const clock = createManualClock();
  const store = createMemoryStore({ clock });
  const engine = createEngine({ clock, logger: silentLogger, store, maxUndecidedJobsOfKey: 2 });
  engine.onOpen(SESSION, false);
  engine.onModels(SESSION, [{ name: 'plants', version: '1', state: 'ready', kind: 'echo', maxRows: 8 }]);
  const submit = (over: Partial<PredictionRequest>): Promise<unknown> =>
    engine.submit({
      model: 'plants',
      version: null,
      input: { contentType: 'text/plain', bytes: Buffer.from('rose') },
      parameters: {},
      priority: 0,
      caller: 'anonymous',
      deadlineAt: null,
      idempotencyKey: null,
      ...over,
    });
  for (let i = 0; i < 2; i += 1) await submit({ caller: 'key-1' });
  await assert.rejects(submit({ caller: 'key-1' }), { code: 'quota_exceeded' });
  await submit({ caller: 'key-2' });
  await submit({ caller: 'key-1', maxUndecidedJobs: 3 });
  for (let i = 0; i < 4; i += 1) await submit({});
  await engine.stop();
});
