import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startControlledModel } from '../../test/support/controlled-model.ts';
import type { ControlledModel } from '../../test/support/controlled-model.ts';
import { assignmentOf, createRecordingLink } from '../../test/support/recording-link.ts';
import { systemClock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import { echoRunner } from '../runners/echo.ts';
import { MAX_PARTIAL_BYTES } from '../protocol/limits.ts';
import { Parts } from './parts.ts';
import type { AttemptEnd, Assignment } from './ports.ts';
import { createServedBytes } from './served-bytes.ts';

const text = (of: string) => ({ contentType: 'text/plain', bytes: Buffer.from(of) });
const json = (of: unknown) => ({ contentType: 'application/json', bytes: Buffer.from(JSON.stringify(of)) });
const raw = (of: string, contentType = 'audio/wav') => ({ contentType, bytes: Buffer.from(of) });
const run = async ({ runs }: ControlledModel, nth: number) => runs.until(() => runs.entries[nth - 1]);
const codeIs = (code: string) => (thrown: unknown) => thrown instanceof PosternError && thrown.code === code;

function outputOf(end: AttemptEnd): string {
  assert.equal(end.type, 'result', end.type === 'failure' ? end.error.message : undefined);
  return end.type === 'result' ? `${end.contentType} ${Buffer.from(end.output).toString()}` : '';
}

function partsOf(...added: readonly { contentType: string; bytes: Uint8Array }[]): Parts {
  const parts = new Parts({ job: 'job', attempt: 1 }, createRecordingLink());
  for (const part of added) void parts.add(part);
  return parts;
}

void test('texts become an array of strings, JSON an array of values, other bytes one body', () => {
  const whole = (parts: Parts) => `${parts.output().contentType} ${Buffer.from(parts.output().bytes).toString()}`;
  assert.equal(whole(partsOf(text('a "b"'), text('\n'))), 'application/json ["a \\"b\\"","\\n"]');
  assert.equal(whole(partsOf(json({ a: 1 }), text('b'), json([]))), 'application/json [{"a":1},"b",[]]');
  assert.equal(whole(partsOf(raw('RIFF'), raw('data'))), 'audio/wav RIFFdata');
  assert.throws(() => partsOf(raw('a'), raw('b', 'image/png')).output(), codeIs('output_invalid'));
  assert.throws(() => partsOf(raw('a'), text('b')).output(), codeIs('output_invalid'));
});

void test('a part beyond the limit is refused, and costs nothing', () => {
  const parts = partsOf(text('a'));
  assert.throws(() => parts.add(raw('x'.repeat(MAX_PARTIAL_BYTES + 1))), codeIs('output_too_large'));
  assert.equal(parts.count, 1);
});

void test('the items of one batch put out their own parts, numbered from 0, and end as the sum of them', async () => {
  const model = await startControlledModel();
  const jobs = [model.assign('first'), ...['a', 'b'].map((word) => model.assign(word))];
  (await run(model, 1)).succeed();
  const both = await run(model, 2);
  const { call } = both;
  void call.events.partial(1, text('b0'));
  void call.events.partial(0, text('a0'));
  void call.events.partial(1, text('b1'));
  call.events.progress(1, 0.5, 'half');
  both.succeed();
  assert.equal(outputOf(await model.endOf(jobs[1]!.job)), 'application/json ["a0"]');
  assert.equal(outputOf(await model.endOf(jobs[2]!.job)), 'application/json ["b0","b1"]');
  assert.deepEqual(
    model.link.parts.get(jobs[2]!.job)?.map(({ seq, text: of }) => `${seq} ${of}`),
    ['0 b0', '1 b1'],
  );
  assert.deepEqual(model.link.progressed, [{ attempt: jobs[2], fraction: 0.5, message: 'half' }]);
  void call.events.partial(0, text('too late'));
  assert.equal(model.link.parts.get(jobs[1]!.job)?.length, 1);
});

void test('a canceled item of a batch is told by its own signal, and is heard no more; the others go on', async () => {
  const model = await startControlledModel();
  const first = model.assign('first');
  (await run(model, 1)).succeed();
  await model.endOf(first.job);
  const entry = model.served.accept(assignmentOf(Buffer.from('a')));
  const other = model.assign('b');
  // Decoding takes a turn each, so the two may run one after the other.
  const one = await run(model, 2);
  const index = one.words.indexOf('a');
  const signal = one.call.signalOf(index);
  assert.equal(signal.aborted, false);
  model.served.cancel(entry);
  assert.equal(signal.aborted, true);
  assert.equal(one.call.signalOf(index).aborted, true);
  assert.equal(one.call.events.partial(index, text('x')), undefined);
  assert.equal(model.link.parts.get(entry.assignment.job), undefined);
  one.succeed();
  assert.equal((await model.endOf(entry.assignment.job)).type, 'canceled');
  if (one.words.length === 1) (await run(model, 3)).succeed();
  assert.equal(outputOf(await model.endOf(other.job)), 'text/plain B');
});

void test('an item that put out parts is not run again when its batch fails', async () => {
  const model = await startControlledModel();
  const first = model.assign('first');
  const [a, b] = [model.assign('a'), model.assign('b')];
  (await run(model, 1)).succeed();
  await model.endOf(first.job);
  const both = await run(model, 2);
  void both.call.events.partial(both.words.indexOf('a'), text('a0'));
  both.fail(new PosternError('model_failed', 'spoiled'));
  const end = await model.endOf(a.job);
  assert.equal(end.type === 'failure' && end.error.message, 'spoiled');
  const alone = await run(model, 3);
  assert.deepEqual(alone.words, ['b']);
  alone.succeed();
  assert.equal(outputOf(await model.endOf(b.job)), 'text/plain B');
});

void test('a part that cannot be is the failure of its item alone', async () => {
  const model = await startControlledModel();
  const job = model.assign('a');
  const one = await run(model, 1);
  assert.throws(() => one.call.events.partial(0, { words: { type: 'uint8', dims: [1], data: new Uint8Array(1) } }));
  assert.throws(() => one.call.events.partial(7, text('x')), codeIs('model_failed'));
  one.succeed();
  const end = await model.endOf(job.job);
  assert.equal(end.type === 'failure' && end.error.code, 'output_invalid');
});

// ---- the echo model, which streams when it is asked to -------------------------------------------------------------

async function startEcho() {
  const link = createRecordingLink();
  const served = createServedBytes({
    name: 'echo',
    version: '1',
    kindName: 'echo',
    description: undefined,
    concurrency: 4,
    load: () => Promise.resolve(echoRunner),
    clock: systemClock,
    reports: link,
    onChange: () => undefined,
    onEnd: (assignment, end) => link.end(assignment, end),
  });
  await served.start();
  const assign = (input: string, parameters: Assignment['parameters'], contentType = 'text/plain') => {
    const assignment = assignmentOf(Buffer.from(input), { model: 'echo', parameters, contentType });
    return { job: assignment.job, entry: served.accept(assignment) };
  };
  return { link, served, assign };
}

void test('echo answers at once, or in pieces that never cut a character', async () => {
  const { link, assign } = await startEcho();
  assert.equal(outputOf(await link.ended(assign('whole', {}).job)), 'text/plain whole');
  const { job } = assign('가나b', { chunk_bytes: 2 });
  assert.equal(outputOf(await link.ended(job)), 'application/json ["가","나","b"]');
  const bytes = assign('abcde', { chunk_bytes: 2, delay_ms: 1 }, 'audio/wav');
  assert.equal(outputOf(await link.ended(bytes.job)), 'audio/wav abcde');
  assert.deepEqual(
    link.parts.get(bytes.job)?.map(({ seq, text: of }) => `${seq} ${of}`),
    ['0 ab', '1 cd', '2 e'],
  );
  assert.throws(() => assign('a', { chunk_bytes: 0 }), codeIs('bad_parameter'));
});

void test('a stream waits for a reader that is behind, and ends as canceled when it is taken back', async () => {
  const { link, served, assign } = await startEcho();
  const release = link.hold();
  const { job, entry } = assign('abcdef', { chunk_bytes: 1 });
  assert.equal((await link.partsOf(job, 1)).length, 1, 'the second waits for the reader');
  release();
  assert.equal(outputOf(await link.ended(job)), 'application/json ["a","b","c","d","e","f"]');
  assert.equal(entry.ended, true);

  const slow = assign('abc', { chunk_bytes: 1, delay_ms: 60_000 });
  await link.partsOf(slow.job, 1);
  served.cancel(slow.entry);
  assert.equal((await link.ended(slow.job)).type, 'canceled');
  assert.equal(link.ends.get(slow.job)?.length, 1);
});

void test('a stream whose reader never catches up ends when it is taken back: it may have lost its gateway', async () => {
  const { link, served, assign } = await startEcho();
  link.hold();
  const { job, entry } = assign('abc', { chunk_bytes: 1 });
  await link.partsOf(job, 1);
  served.cancel(entry);
  assert.equal((await link.ended(job)).type, 'canceled');
});
