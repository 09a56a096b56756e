/** A failed job again, on a real store. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import type { NewJob, Outcome } from '../dispatch/job.ts';
import { createMemoryStore } from '../store/memory.ts';
import { createRetry } from './engine-retry.ts';
import type { PredictionRequest } from './ports.ts';

function scene(maxFailedInputBytes?: number) {
  const store = createMemoryStore({
    clock: createManualClock(),
    ...(maxFailedInputBytes === undefined ? {} : { maxFailedInputBytes }),
  });
  let made = 0;
  const base = { parameters: { top_k: 3 }, rows: 2, priority: 7, caller: 'anna', version: '1', model: 'plants' };
  async function accept(job: Partial<NewJob>) {
    made += 1;
    const input = { contentType: 'image/jpeg', bytes: Buffer.from('rose') };
    const rest = { deadlineAt: null, idempotencyKey: null, webhook: null };
    const [outcome] = await store.submit([{ id: `job-${made}`, ...base, input, ...rest, ...job }]);
    if (outcome?.type === 'refused') throw outcome.error;
    return outcome!.job;
  }
  const submit = ({ recorded: _, rows = 1, webhook = null, ...request }: PredictionRequest) =>
    accept({ ...request, rows, webhook });
  async function ended(outcome: Outcome): Promise<string> {
    const { id } = await accept({});
    const ask = { session: 's', worker: 'gpu', model: 'plants', version: '1', maxRows: 2, capacityRows: 2 };
    await store.claim([{ ...ask, leaseMs: 1_000 }]);
    await store.settle([{ fence: { job: id, attempt: 1, session: 's' }, outcome }]);
    return id;
  }
  return { store, accept, ended, retry: createRetry({ store, submit }) };
}

const failed: Outcome = { type: 'failed', error: { code: 'model_failed', message: 'no' }, retryable: false };

test('a failed job is tried again with all that it was, once, however often it is asked for', async () => {
  const { ended, retry, store } = scene();
  const id = await ended(failed);
  const again = await retry(id);
  assert.ok(again !== null && again.id !== id);
  const { model, version, parameters, rows, priority, caller, input, status } = again;
  assert.deepEqual(
    [model, version, parameters, rows, priority, caller, status],
    ['plants', '1', { top_k: 3 }, 2, 7, 'anna', 'starting'],
  );
  assert.deepEqual([input.contentType, Buffer.from(input.bytes).toString()], ['image/jpeg', 'rose']);
  assert.equal((await retry(id))?.id, again.id);
  assert.equal((await store.list({ limit: 10, cursor: null })).jobs.length, 2);
});

test('what did not fail, is unknown, or has lost its input is not tried again', async () => {
  const { store, accept, retry } = scene();
  assert.equal(await retry('nobody'), null);
  const { id } = await accept({});
  await store.cancel(id);
  await assert.rejects(retry(id), { code: 'retry_refused', message: /is canceled/ });
  const without = scene(0);
  await assert.rejects(without.retry(await without.ended(failed)), { code: 'retry_refused', message: /not kept/ });
});
