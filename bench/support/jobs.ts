/** Jobs and outcomes for benchmarks of stores: 1 KiB in, 1 KiB out. */
import { randomBytes } from 'node:crypto';
import { systemClock } from '../../src/clock.ts';
import { createIds } from '../../src/dispatch/id.ts';
import type { NewJob, Outcome } from '../../src/dispatch/job.ts';

const payload = () => ({ contentType: 'application/octet-stream', bytes: randomBytes(1_024) });
const nextId = createIds(systemClock, randomBytes);
const input = payload();
const timings = { queueMs: 1, linkMs: 1, workerQueueMs: 1, decodeMs: 1, batchMs: 1, computeMs: 1 };

export const OUTCOME: Outcome = { type: 'succeeded', output: payload(), timings };

export const newJob = (caller = 'anonymous'): NewJob => ({
  id: nextId(),
  model: 'bench',
  version: null,
  input,
  parameters: {},
  rows: 1,
  priority: 0,
  caller,
  deadlineAt: null,
  idempotencyKey: null,
  webhook: null,
});
