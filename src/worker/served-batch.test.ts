import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PosternError } from '../errors.ts';
import { startControlledModel } from '../../test/support/controlled-model.ts';
import type { ControlledModel, Run } from '../../test/support/controlled-model.ts';
import { createGate } from './gate.ts';
import type { AttemptEnd } from './ports.ts';
import { assignmentOf } from '../../test/support/recording-link.ts';

const failed = (end: AttemptEnd): string => (end.type === 'failure' ? `${end.error.code} ${end.retryable}` : end.type);
const answer = (end: AttemptEnd): string => (end.type === 'result' ? Buffer.from(end.output).toString() : failed(end));
/** The nth batch, from 1. */
const run = (model: ControlledModel, n: number): Promise<Run> => model.runs.until(() => model.runs.entries[n - 1]);
const spoiled = new PosternError('model_failed', 'a row is spoiled');
const decoded = (model: ControlledModel, count: number): Promise<void> => settle(() => model.prepared.length === count);

/** Lets promises that are already due run; bounded, so that a condition that never comes fails. */
async function settle(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1_000; turn++) {
    await Promise.resolve();
    if (condition()) return await new Promise(setImmediate);
  }
  assert.fail('the condition did not come true');
}

describe('a pipeline', () => {
  test('runs at once what comes to an idle model, and then batches of what has arrived', async () => {
    const model = await startControlledModel();
    const jobs = ['a', 'b', 'c', 'd', 'e'].map((word) => model.assign(word).job);
    await decoded(model, 5);
    (await run(model, 1)).succeed();
    (await run(model, 2)).succeed();
    (await run(model, 3)).succeed();
    assert.deepEqual(await Promise.all(jobs.map(async (job) => answer(await model.endOf(job)))), [
      'A',
      'B',
      'C',
      'D',
      'E',
    ]);
    assert.deepEqual(
      model.runs.entries.map((entry) => entry.words.join('')),
      ['a', 'bcd', 'e'],
    );
  });

  test('with a delay waits for a fuller batch, and not longer', async () => {
    const model = await startControlledModel({ maxDelayMs: 20 });
    model.assign('a');
    await decoded(model, 1);
    model.clock.advance(15);
    model.assign('b');
    await decoded(model, 2);
    assert.equal(model.runs.entries.length, 0);
    model.clock.advance(5);
    assert.deepEqual((await run(model, 1)).words, ['a', 'b']);
    assert.equal(model.clock.timerCount, 0);
  });

  test('with a delay does not wait once a batch is full', async () => {
    const model = await startControlledModel({ maxDelayMs: 20 });
    ['a', 'b', 'c'].forEach((word) => model.assign(word));
    assert.deepEqual((await run(model, 1)).words, ['a', 'b', 'c']);
    assert.equal(model.clock.timerCount, 0);
  });

  test('tells how long each part took', async () => {
    const model = await startControlledModel();
    const held = Promise.withResolvers<void>();
    model.blocked.set('slow', held);
    const first = model.assign('slow').job;
    model.clock.advance(7);
    held.resolve();
    const running = await run(model, 1);
    model.clock.advance(11);
    running.succeed();
    const end = await model.endOf(first);
    assert.deepEqual(end.type === 'result' && end.timings, { queueMs: 0, decodeMs: 7, batchMs: 0, computeMs: 11 });
  });

  test('fails an input that cannot be decoded alone', async () => {
    const model = await startControlledModel();
    const [bad, good] = [model.assign('bad photo'), model.assign('good')];
    (await run(model, 1)).succeed();
    assert.equal(failed(await model.endOf(bad.job)), 'input_invalid false');
    assert.equal(answer(await model.endOf(good.job)), 'GOOD');
  });

  test('finds the row that spoils its batch: it fails alone, and the others succeed', async () => {
    const model = await startControlledModel();
    model.assign('first');
    const [left, middle, right] = ['left', 'spoil', 'right'].map((word) => model.assign(word).job);
    await decoded(model, 4);
    (await run(model, 1)).succeed();
    (await run(model, 2)).fail(spoiled);
    assert.deepEqual((await run(model, 3)).words, ['left']);
    (await run(model, 3)).succeed();
    (await run(model, 4)).fail(spoiled);
    (await run(model, 5)).succeed();
    assert.equal(answer(await model.endOf(left!)), 'LEFT');
    assert.equal(failed(await model.endOf(middle!)), 'model_failed false');
    assert.equal(answer(await model.endOf(right!)), 'RIGHT');
  });

  test('decodes at most as many at once as the gate lets in', async () => {
    const model = await startControlledModel({ gate: createGate(2) });
    const held = ['1', '2', '3'].map((word) => {
      const hold = Promise.withResolvers<void>();
      model.blocked.set(word, hold);
      return hold;
    });
    const jobs = ['1', '2', '3'].map((word) => model.assign(word).job);
    held[2]!.resolve();
    await new Promise(setImmediate);
    assert.deepEqual(model.prepared, [], 'the third came in while two were inside');
    held[0]!.resolve();
    (await run(model, 1)).succeed();
    held[1]!.resolve();
    await model.endOf(jobs[0]!);
    await decoded(model, 3);
  });
});

describe('a deadline', () => {
  test('that passed before decoding ends the attempt undecoded', async () => {
    const model = await startControlledModel({ gate: createGate(1) });
    const hold = Promise.withResolvers<void>();
    model.blocked.set('first', hold);
    model.assign('first');
    const late = model.assign('late', { deadlineAt: model.clock.monotonic() + 50 });
    model.clock.advance(50);
    hold.resolve();
    assert.equal(failed(await model.endOf(late.job)), 'deadline_exceeded false');
    assert.deepEqual(model.prepared, ['first']);
  });

  test('that passed while it waited for its batch ends it at assembly', async () => {
    const model = await startControlledModel();
    model.assign('first');
    const running = await run(model, 1);
    const late = model.assign('late', { deadlineAt: model.clock.monotonic() + 50 });
    const next = model.assign('next');
    await decoded(model, 3);
    model.clock.advance(50);
    running.succeed();
    assert.equal(failed(await model.endOf(late.job)), 'deadline_exceeded false');
    assert.deepEqual((await run(model, 2)).words, ['next']);
    (await run(model, 2)).succeed();
    assert.equal(answer(await model.endOf(next.job)), 'NEXT');
  });
});

describe('a cancel', () => {
  async function busyModel() {
    const model = await startControlledModel();
    model.assign('first');
    return { model, running: await run(model, 1) };
  }

  test('of what waits takes it out at once', async () => {
    const { model, running } = await busyModel();
    const waiting = assignmentOf(Buffer.from('waiting'));
    const entry = model.served.accept(waiting);
    await decoded(model, 2);
    model.served.cancel(entry);
    assert.equal((await model.endOf(waiting.job)).type, 'canceled');
    running.succeed();
    const next = model.assign('next');
    assert.deepEqual((await run(model, 2)).words, ['next']);
    (await run(model, 2)).succeed();
    await model.endOf(next.job);
  });

  test('of what is being decoded takes it out at once, and its pixels are forgotten', async () => {
    const model = await startControlledModel();
    const hold = Promise.withResolvers<void>();
    model.blocked.set('slow', hold);
    const slow = assignmentOf(Buffer.from('slow'));
    model.served.cancel(model.served.accept(slow));
    assert.equal((await model.endOf(slow.job)).type, 'canceled');
    hold.resolve();
    await decoded(model, 1);
    assert.equal(model.runs.entries.length, 0);
  });

  test('of one row of a running batch leaves the others alone, and is confirmed when the runner lets go', async () => {
    const { model, running } = await busyModel();
    const entries = ['x', 'y'].map((word) => model.served.accept(assignmentOf(Buffer.from(word))));
    await decoded(model, 3);
    running.succeed();
    const batch = await run(model, 2);
    const [x, y] = entries;
    model.served.cancel(x!);
    assert.equal(batch.signal.aborted, false);
    assert.equal(x!.ended, false, 'the slot is still taken');
    batch.succeed();
    assert.equal((await model.endOf(x!.assignment.job)).type, 'canceled');
    assert.equal(answer(await model.endOf(y!.assignment.job)), 'Y');
  });

  test('of all rows aborts the run; the slot is free when the runner confirms, not before', async () => {
    const model = await startControlledModel();
    const entry = model.served.accept(assignmentOf(Buffer.from('only')));
    const batch = await run(model, 1);
    const next = model.assign('next');
    await decoded(model, 2);
    model.served.cancel(entry);
    model.served.cancel(entry);
    assert.equal(batch.signal.aborted, true);
    assert.equal(model.runs.entries.length, 1, 'the next batch began while the slot was taken');
    batch.fail(new PosternError('canceled', 'stopped'));
    assert.equal((await model.endOf(entry.assignment.job)).type, 'canceled');
    (await run(model, 2)).succeed();
    assert.equal(answer(await model.endOf(next.job)), 'NEXT');
  });
});

describe('a crash of the runner', () => {
  test('fails its batch for another try; what waited runs on the new one', async () => {
    const model = await startControlledModel();
    const hit = model.assign('hit');
    await run(model, 1);
    const waiting = model.assign('waiting');
    await decoded(model, 2);
    assert.equal(model.served.capacityRows(), 6);
    model.crash();
    assert.equal(failed(await model.endOf(hit.job)), 'model_unavailable true');
    assert.equal(model.served.capacityRows(), 0, 'no work for a model that is down');
    assert.equal(model.served.report().state, 'loading');
    model.clock.advance(0);
    (await run(model, 2)).succeed();
    assert.equal(answer(await model.endOf(waiting.job)), 'WAITING');
    assert.deepEqual([model.served.report().state, model.served.capacityRows()], ['ready', 6]);
  });

  test('again and again backs off, hands back what waits, and recovers', async () => {
    const model = await startControlledModel();
    model.assign('hit');
    await run(model, 1);
    const waiting = model.assign('waiting');
    await decoded(model, 2);
    model.failLoads(new PosternError('model_unavailable', 'no memory'));
    model.crash();
    model.clock.advance(0);
    assert.equal(failed(await model.endOf(waiting.job)), 'model_unavailable true');
    assert.match(model.served.report().message ?? '', /no memory/);
    // 0.2 s after the second failure (a half of jitter is 1.0 ×), then 0.4 s.
    model.clock.advance(199);
    await new Promise(setImmediate);
    model.failLoads(null);
    assert.equal(model.served.report().state, 'loading');
    model.clock.advance(1);
    await model.changes.until(() => model.served.report().state === 'ready');
    const after = model.assign('after');
    (await run(model, 2)).succeed();
    assert.equal(answer(await model.endOf(after.job)), 'AFTER');
  });

  test('leaves the other instances at work', async () => {
    const model = await startControlledModel({ concurrency: 2 });
    assert.equal(model.served.capacityRows(), 12);
    model.crash();
    assert.deepEqual([model.served.report().state, model.served.capacityRows()], ['ready', 6]);
    const job = model.assign('still').job;
    (await run(model, 1)).succeed();
    assert.equal(answer(await model.endOf(job)), 'STILL');
  });
});

test('a stop hands back what waits and leaves no timer', async () => {
  const model = await startControlledModel({ maxDelayMs: 1_000 });
  const job = model.assign('waiting').job;
  await decoded(model, 1);
  await model.served.stop();
  await model.served.stop();
  assert.equal(failed(await model.endOf(job)), 'draining true');
  assert.equal(model.clock.timerCount, 0);
});

test('a stop does not wait for ever for a runner that does not let go', async () => {
  const model = await startControlledModel();
  model.hangUnload();
  const stopped = model.served.stop();
  model.clock.advance(10_000);
  await stopped;
});

test('a model whose warm-up fails is failed, says why, and takes no work', async () => {
  const model = await startControlledModel({
    build: () => Promise.reject(new PosternError('model_invalid', 'labels.json is missing')),
  });
  const { state, message } = model.served.report();
  assert.deepEqual([state, message, model.served.capacityRows()], ['failed', 'labels.json is missing', 0]);
});
