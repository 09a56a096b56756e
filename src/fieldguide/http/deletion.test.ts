/**
 * A photo does not outlive its deletion: predictions that failed lie in a real store, which keeps their inputs for another try, rows and
 * blobs. The test is the worker.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, test, type TestContext } from 'node:test';
import { createDirectoryBlobs } from '../../blobs/directory.ts';
import { systemClock as clock } from '../../clock.ts';
import { createIds } from '../../dispatch/id.ts';
import type { Job, JobId } from '../../dispatch/job.ts';
import { createSqliteStore } from '../../store/sqlite/sqlite.ts';
import { createFakePredictions } from '../../../test/support/fake-predictions.ts';
import { startFieldGuide } from '../../../test/support/field-guide.ts';
import { noise, pattern } from '../../../test/support/images.ts';
import { createVisitor } from '../../../test/support/visitor.ts';

/** In its row, and in a blob. */
const small = await pattern(64, 48).jpeg().toBuffer();
const large = await noise(800, 600).jpeg().toBuffer();

async function startWithStore(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'postern-deletion-'));
  const blobs = createDirectoryBlobs({ folder: join(folder, 'blobs'), clock });
  const store = createSqliteStore({ clock, path: join(folder, 'jobs.sqlite'), blobs });
  await blobs.start();
  await store.start();
  t.after(async () => {
    await store.stop();
    await blobs.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const newId = createIds(clock, randomBytes);
  const submitted: JobId[] = [];
  const fake = {
    ...createFakePredictions(['plants']),
    async submit(request: Parameters<ReturnType<typeof createFakePredictions>['submit']>[0]): Promise<Job> {
      const [outcome] = await store.submit([{ webhook: null, rows: 1, ...request, id: newId() }]);
      if (outcome?.type !== 'accepted' && outcome?.type !== 'existing') throw outcome?.error ?? new Error('no answer');
      submitted.push(outcome.job.id);
      return outcome.job;
    },
    get: (id: JobId) => store.get(id),
    cancel: (id: JobId) => store.cancel(id),
    queuePosition: (id: JobId) => store.queuePosition(id),
  };
  const guide = await startFieldGuide(t, { fake, dropFailedInputs: (jobs) => store.dropFailedInputs(jobs) });

  /** Takes what waits. */
  async function claim(): Promise<Job[]> {
    const all = { maxRows: 100, capacityRows: 100, leaseMs: 600_000 };
    const [claimed] = await store.claim([{ session: 's1', worker: 'gpu', model: 'plants', version: '1', ...all }]);
    return claimed!.jobs;
  }

  async function fail(jobs: readonly Job[]): Promise<void> {
    const error = { code: 'attempts_exhausted', message: 'three workers were lost' } as const;
    await store.settle(
      jobs.map(({ id, attempt }) => ({
        fence: { job: id, attempt, session: 's1' },
        outcome: { type: 'failed', error, retryable: false },
      })),
    );
  }

  /** What is there of photos in the store: rows of inputs, and files. */
  function left(): { rows: number; blobs: number } {
    const db = new DatabaseSync(join(folder, 'jobs.sqlite'), { readOnly: true });
    const { rows } = db.prepare('SELECT count(*) AS rows FROM input').get() as { rows: number };
    db.close();
    return { rows, blobs: globSync(join(folder, 'blobs/{??/??,doomed,drafts}/*')).length };
  }

  return { guide, store, submitted, claim, fail, left };
}

describe('the photos of an identification that failed', () => {
  test('go from the store in the step in which it is deleted, those of earlier rounds when it is tried again', async (t) => {
    const { guide, store, submitted, claim, fail, left } = await startWithStore(t);
    const ada = createVisitor(guide.base);
    const { id } = await ada.identify([small, large]);
    await fail(await claim());
    assert.equal((await ada.decided(id)).outcome?.code, 'attempts_exhausted');
    const [first, second] = submitted;
    for (const job of [first!, second!]) assert.notEqual(await store.failedInput(job), null);
    assert.deepEqual(left(), { rows: 2, blobs: 1 });

    assert.equal((await ada.fetch(`/api/identifications/${id}/retry`, { method: 'POST' })).status, 202);
    assert.equal(submitted.length, 4);
    for (const job of [first!, second!]) assert.equal(await store.failedInput(job), null);
    await fail(await claim());
    await ada.decided(id);
    assert.deepEqual(left(), { rows: 2, blobs: 1 });

    assert.equal((await ada.fetch(`/api/identifications/${id}`, { method: 'DELETE' })).status, 204);
    assert.deepEqual(left(), { rows: 0, blobs: 0 });
    // The predictions themselves stay, without what was in them.
    for (const job of submitted) assert.equal((await store.get(job))?.status, 'failed');
  });

  test('stay where somebody else sent the very same, and go with all that is mine', async (t) => {
    const { guide, claim, fail, left } = await startWithStore(t);
    const [ada, ben] = [createVisitor(guide.base), createVisitor(guide.base)];
    const mine = await ada.identify([large]);
    const others = await ben.identify([large]);
    await fail(await claim());
    for (const [who, one] of [
      [ada, mine],
      [ben, others],
    ] as const)
      await who.decided(one.id);
    assert.deepEqual(left(), { rows: 2, blobs: 1 });
    assert.equal((await ada.fetch(`/api/identifications/${mine.id}`, { method: 'DELETE' })).status, 204);
    assert.deepEqual(left(), { rows: 1, blobs: 1 });
    assert.equal((await ben.fetch('/api/identifications', { method: 'DELETE' })).status, 204);
    assert.deepEqual(left(), { rows: 0, blobs: 0 });
  });

  test('are not kept when the prediction fails after it was deleted', async (t) => {
    const { guide, claim, fail, left, store, submitted } = await startWithStore(t);
    const ada = createVisitor(guide.base);
    const { id } = await ada.identify([large]);
    const running = await claim();
    assert.equal((await ada.fetch(`/api/identifications/${id}`, { method: 'DELETE' })).status, 204);
    // The worker still has it.
    assert.deepEqual(left(), { rows: 1, blobs: 1 });
    await fail(running);
    assert.equal(await store.failedInput(submitted[0]!), null);
    assert.equal(left().rows, 0);
  });
});
