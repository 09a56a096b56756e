/** A job that kills whatever runs it, among jobs that do not: only the one is given up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { settle } from '../../test/support/settle.ts';
import { PosternError } from '../errors.ts';
import type { Fence, Job } from '../dispatch/job.ts';
import { silentLogger } from '../logger.ts';
import { createMemoryStore } from '../store/memory.ts';
import { createEngine } from './engine.ts';
import type { PredictionRequest } from './ports.ts';
import type { GatewaySession } from './worker-ports.ts';

const REPORT = { name: 'plants', version: '1', state: 'ready', kind: 'echo', maxRows: 8 } as const;
const TIMINGS = { queueMs: 0, decodeMs: 0, batchMs: 0, computeMs: 0 };
const CAPACITY_ROWS = 8;
/** Far more than are needed; the test fails instead of running for ever. */
const MAX_ROUNDS = 300;

const request = (input: string): PredictionRequest => ({
  model: 'plants',
  version: null,
  input: { contentType: 'text/plain', bytes: Buffer.from(input) },
  parameters: {},
  priority: 0,
  caller: 'anonymous',
  deadlineAt: null,
  idempotencyKey: null,
});

for (const [how, deaths] of [
  ['crashes, and is started again', 4],
  ['falls silent, and is started again after its lease', 5],
] as const) {
  test(`a worker that ${how}: all jobs but the poisonous one are done`, async () => {
    const clock = createManualClock();
    const store = createMemoryStore({ clock });
    const engine = createEngine({ clock, logger: silentLogger, store, random: () => 0.5 });
    await engine.start();
    let runs = 0;
    let assigned: Job[] = [];
    let session: GatewaySession;
    const start = (): void => {
      runs += 1;
      assigned = [];
      const id = `run-${runs}`;
      session = {
        id,
        worker: how.startsWith('crashes') ? 'gpu-1' : `gpu-${runs}`,
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
        assign: (job) => void (session.id === id && assigned.push(job)),
        cancel: () => undefined,
        ack: () => undefined,
        ackParts: () => undefined,
        previous: [],
        drain: () => Promise.resolve(),
        close: () => undefined,
      };
      engine.onOpen(session, false);
      engine.onModels(session, [REPORT]);
      engine.onGrant(session, 'plants', '1', CAPACITY_ROWS);
    };
    const second = async (): Promise<void> => {
      clock.advance(1_000);
      await settle();
    };
    start();
    const jobs: Job[] = [];
    for (let i = 0; i < 30; i += 1) jobs.push(await engine.submit(request(i === 3 ? 'poison' : 'rose')));
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      await settle();
      engine.onHeard(session!);
      const batch = assigned.splice(0);
      if (batch.some(({ input }) => Buffer.from(input.bytes).toString() === 'poison')) {
        engine.onClose(session!, new PosternError('connection_lost', 'it died'));
        start();
        continue;
      }
      for (const job of batch) {
        const fence: Fence = { job: job.id, attempt: job.attempt, session: session!.id };
        engine.onResult(session!, fence, { contentType: 'text/plain', bytes: Buffer.from('red') }, TIMINGS);
        engine.onGrant(session!, 'plants', '1', 1);
      }
      await second();
    }
    const ended = await Promise.all(jobs.map(({ id }) => engine.get(id)));
    assert.deepEqual(
      ended.map((job) => job?.status),
      jobs.map((_, i) => (i === 3 ? 'failed' : 'succeeded')),
    );
    assert.equal(ended[3]?.error?.code, 'attempts_exhausted');
    assert.equal(ended[3]?.pastAttempts.length, deaths);
    assert.equal(runs, deaths + 1);
    await engine.stop();
  });
}
