import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import sharp from 'sharp';
import { flatPng, noise, oriented, pattern } from '../../test/support/images.ts';
import { COLOUR_LABELS, colourManifest, makeModelFolder } from '../../test/support/model-folder.ts';
import type { ModelFolder } from '../../test/support/model-folder.ts';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { assignmentOf, createRecordingLink } from '../../test/support/recording-link.ts';
import type { RecordingLink } from '../../test/support/recording-link.ts';
import { systemClock } from '../clock.ts';
import { silentLogger } from '../logger.ts';
import { parseWorkerConfig } from './config.ts';
import type { WorkerConfigInput } from './config.ts';
import { createExecutor } from './executor.ts';
import type { Executor } from './executor.ts';
import type { AttemptEnd, Assignment } from './ports.ts';

interface Answer {
  readonly predictions: { readonly label: string; readonly score: number }[];
  readonly rejected: boolean;
  readonly input: unknown;
}

interface Started extends AsyncDisposable {
  readonly link: RecordingLink;
  readonly executor: Executor;
  classify(photo: Uint8Array, parts?: Partial<Assignment>): Promise<AttemptEnd>;
}

async function start(folder: ModelFolder, config: Partial<WorkerConfigInput> = {}): Promise<Started> {
  const link = createRecordingLink();
  const executor = createExecutor({
    config: parseWorkerConfig({ modelsDir: folder.path, ...config }),
    link,
    clock: systemClock,
    random: () => 0.5,
    logger: silentLogger,
  });
  await executor.start();
  await executor.settled;
  return {
    link,
    executor,
    classify(photo, parts) {
      const assignment = assignmentOf(photo, parts);
      executor.onAssign(assignment);
      return link.ended(assignment.job);
    },
    [Symbol.asyncDispose]: () => executor.stop(),
  };
}

function answerOf(end: AttemptEnd): Answer {
  assert.equal(end.type, 'result', end.type === 'failure' ? end.error.message : undefined);
  return JSON.parse(Buffer.from(end.type === 'result' ? end.output : '').toString()) as Answer;
}

const codeOf = (end: AttemptEnd): string => (end.type === 'failure' ? end.error.code : end.type);
const flat = (background: string, width = 64, height = 48) =>
  sharp({ create: { width, height, channels: 3, background } });
const states = (started: Started): string[] =>
  started.executor.models().map((model) => `${model.name} ${model.version} ${model.state}`);

describe('a worker with real runners', () => {
  let folder: ModelFolder;
  let worker: Started;
  before(async () => {
    folder = await makeModelFolder();
    await folder.write('colours', '1');
    worker = await start(folder);
  });
  after(async () => {
    await worker.executor.stop();
    await folder.remove();
  });

  test('classifies a photo', async () => {
    const answer = answerOf(await worker.classify(await flat('#ff0000', 600, 400).jpeg().toBuffer()));
    assert.equal(answer.predictions[0]!.label, 'red');
    assert.ok(answer.predictions[0]!.score > 0.99);
    assert.deepEqual(answer.input, { width: 600, height: 400, format: 'jpeg' });
    assert.equal(answer.rejected, false);
    assert.equal(answer.predictions.length, 3);
  });

  test('gives the scores that its arithmetic says', async () => {
    const { predictions } = answerOf(await worker.classify(await flat('#ff9900').png().toBuffer()));
    // Mean colour (1, 0.6, 0): logits 14, 2, −16, and 1.6 for the reject label.
    const weights = [14, 2, -16, 1.6].map(Math.exp);
    const sum = weights.reduce((total, weight) => total + weight, 0);
    for (const { label, score } of predictions) {
      assert.ok(Math.abs(score - weights[COLOUR_LABELS.indexOf(label)]! / sum) < 2e-6, `${label}: ${score}`);
    }
  });

  test('rejects what is none of its classes', async () => {
    assert.equal(answerOf(await worker.classify(await flat('#808080').png().toBuffer())).rejected, true);
  });

  test('answers the same for all EXIF orientations', async () => {
    const answers = [1, 2, 3, 4, 5, 6, 7, 8].map(async (orientation) =>
      answerOf(await worker.classify(await oriented(pattern(96, 72), orientation))),
    );
    const [first, ...others] = await Promise.all(answers);
    for (const other of others) {
      assert.deepEqual(other.input, first!.input);
      other.predictions.forEach(({ label, score }, at) => {
        assert.equal(label, first!.predictions[at]!.label);
        assert.ok(Math.abs(score - first!.predictions[at]!.score) < 0.01);
      });
    }
  });

  test('takes top_k from the caller, and no other parameter', async () => {
    const photo = await flat('#00ff00').png().toBuffer();
    assert.equal(answerOf(await worker.classify(photo, { parameters: { top_k: 1 } })).predictions.length, 1);
    assert.equal(answerOf(await worker.classify(photo, { parameters: { top_k: 20 } })).predictions.length, 3);
    const refused: Assignment['parameters'][] = [
      { top_k: 0 },
      { top_k: 1_001 },
      { top_k: 1.5 },
      { top_k: '3' },
      { topk: 3 },
    ];
    for (const parameters of refused) {
      assert.equal(codeOf(await worker.classify(photo, { parameters })), 'bad_parameter');
    }
  });

  test('in one burst answers every photo by itself, the bad ones too', async () => {
    const jpeg = await noise(200, 150).jpeg().toBuffer();
    const photos: [Uint8Array, string][] = [
      [await flat('#ff0000').jpeg().toBuffer(), 'red'],
      [new Uint8Array(), 'empty_input'],
      [await flat('#00ff00').webp().toBuffer(), 'green'],
      [Buffer.from('no photo at all'), 'not_an_image'],
      [jpeg.subarray(0, jpeg.length / 2), 'image_truncated'],
      [await flat('#0000ff').png().toBuffer(), 'blue'],
      [flatPng(10_000, 10_000), 'image_too_large'],
      [await flat('#ff0000', 1, 1).png().toBuffer(), 'red'],
    ];
    const burst = Array.from({ length: 5 }, () => photos).flat();
    const ends = await Promise.all(burst.map(([photo]) => worker.classify(photo)));
    assert.deepEqual(
      ends.map((end) => (end.type === 'result' ? answerOf(end).predictions[0]!.label : codeOf(end))),
      burst.map(([, expected]) => expected),
    );
    for (const end of ends) if (end.type === 'failure') assert.equal(end.retryable, false);
  });

  test('answers a second assignment of the same attempt once', async () => {
    const assignment = assignmentOf(await flat('#ff0000').jpeg().toBuffer());
    worker.executor.onAssign(assignment);
    worker.executor.onAssign({ ...assignment });
    await worker.link.ended(assignment.job);
    await worker.classify(await flat('#00ff00').png().toBuffer());
    assert.equal(worker.link.ends.get(assignment.job)!.length, 1);
  });

  test('confirms a cancel, and does nothing for one that it does not know', async () => {
    const assignment = assignmentOf(await flat('#ff0000').jpeg().toBuffer());
    worker.executor.onAssign(assignment);
    worker.executor.onCancel(assignment, 'caller');
    worker.executor.onCancel({ job: 'unknown', attempt: 1 }, 'caller');
    assert.equal((await worker.link.ended(assignment.job)).type, 'canceled');
    worker.executor.onCancel(assignment, 'caller');
    await worker.classify(await flat('#00ff00').png().toBuffer());
    assert.equal(worker.link.ends.get(assignment.job)!.length, 1);
    assert.equal(worker.link.ends.has('unknown'), false);
  });

  test('tells where a slow attempt is, once for each stage, and leaves no timer', async () => {
    const clock = createManualClock();
    const link = createRecordingLink();
    const config = parseWorkerConfig({ modelsDir: folder.path });
    const executor = createExecutor({ config, link, clock, random: () => 0.5, logger: silentLogger });
    await executor.start();
    await executor.settled;
    const assignment = assignmentOf(await flat('#ff0000').jpeg().toBuffer(), { receivedAt: clock.monotonic() });
    executor.onAssign(assignment);
    clock.advance(999);
    assert.equal(link.progressed.length, 0);
    clock.advance(2_001);
    assert.deepEqual(
      link.progressed.map(({ attempt, message }) => [attempt.job, message]),
      [[assignment.job, 'preparing']],
    );
    await link.ended(assignment.job);
    clock.advance(1_000);
    assert.equal(clock.timerCount, 0);
    await executor.stop();
  });

  test('hands back work for a model that it does not serve', async () => {
    const end = await worker.classify(new Uint8Array(), { model: 'nothing' });
    assert.deepEqual([codeOf(end), end.type === 'failure' && end.retryable], ['model_unavailable', true]);
  });

  test('keeps its event loop free during an inference', async () => {
    await using slow = await start(await slowFolder());
    const photo = await flat('#ff0000').png().toBuffer();
    let done = false;
    let turns = 0;
    const running = slow.classify(photo, { model: 'slow' }).then((end) => {
      done = true;
      return end;
    });
    while (!done) {
      turns++;
      await new Promise(setImmediate);
    }
    const end = await running;
    assert.ok(end.type === 'result' && end.timings.computeMs > 20, 'the network is too fast to tell');
    assert.ok(turns > 100, `the event loop came round ${turns} times during an inference`);
  });

  async function slowFolder(): Promise<ModelFolder> {
    const made = await makeModelFolder();
    const input = { name: 'image', width: 128, height: 128 };
    await made.write('slow', '1', { manifest: { input }, network: { width: 128, height: 128, extraConvolutions: 24 } });
    after(() => made.remove());
    return made;
  }
});

describe('models at the start', () => {
  let folder: ModelFolder;
  before(async () => {
    folder = await makeModelFolder();
  });
  after(() => folder.remove());

  test('that cannot be loaded are failed with the reason; the others are served', async () => {
    const output = colourManifest('x', '1').output as Record<string, unknown>;
    const input = colourManifest('x', '1').input as Record<string, unknown>;
    await folder.write('colours', '1');
    const broken: Record<string, [Parameters<ModelFolder['write']>[2], RegExp]> = {
      'no-file': [{ manifest: { file: 'other.onnx' } }, /other\.onnx/],
      'no-labels': [{ manifest: { output: { ...output, labels: 'other.json' } } }, /other\.json is missing/],
      'bad-labels': [{ labels: { labels: ['red', 7], colour: 1 } }, /labels\.json: labels\.1/],
      'few-labels': [{ labels: { labels: ['red', 'no_colour'] } }, /rows of 2, the network has 4/],
      'no-reject': [{ labels: { labels: ['red', 'green', 'blue', 'grey'] } }, /no label "no_colour"/],
      garbage: [{ file: Buffer.from('this is no network') }, /protobuf|load|failed/i],
      'wrong-input': [{ network: { inputName: 'photo' } }, /no input "image", it has photo/],
      'wrong-output': [{ network: { outputName: 'scores' } }, /no output "logits", it has scores/],
      'wrong-size': [
        { manifest: { input: { ...input, width: 33 } } },
        /rows of 3 × 24 × 33, the network has 3 × 24 × 32/,
      ],
      'fixed-batch': [{ network: { batch: 2 } }, /export it as dynamic/],
      infinite: [{ network: { notFinite: true } }, /warm-up on cpu failed: .*not finite/],
      misspelt: [{ manifest: { bacth: {} } }, /bacth: unknown key/],
    };
    for (const [name, [parts]] of Object.entries(broken)) await folder.write(name, '1', parts);
    await using worker = await start(folder);
    const models = worker.executor.models();
    for (const [name, [, reason]] of Object.entries(broken)) {
      const report = models.find((model) => model.name === name);
      assert.equal(report?.state, 'failed', name);
      assert.match(report?.message ?? '', reason);
      assert.ok(!report?.message?.includes(folder.path), 'the message tells where the folder is');
      assert.ok(!worker.link.capacity.get(`${name}@1`), `${name} was given credit`);
    }
    assert.deepEqual(worker.link.announced.at(-1), models);
    assert.equal(worker.link.capacity.get('colours@1'), 2 * 4);
    assert.equal(answerOf(await worker.classify(await flat('#0000ff').png().toBuffer())).predictions[0]!.label, 'blue');
  });

  test('serve the highest version that loads', async () => {
    const versions = await makeModelFolder();
    after(() => versions.remove());
    await versions.write('colours', '9');
    await versions.write('colours', '10');
    await versions.write('colours', '11', { file: Buffer.from('broken') });
    await versions.write('colours', '12', { manifest: { unknown: 1 } });
    await using worker = await start(versions);
    assert.deepEqual(states(worker).sort(), ['colours 10 ready', 'colours 11 failed', 'colours 12 failed']);
    assert.equal(worker.link.capacity.get('colours@10'), 8);
  });

  test('are ready only after the warm-up, and are announced before credit is given', async () => {
    const one = await makeModelFolder();
    after(() => one.remove());
    await one.write('colours', '1');
    await using worker = await start(one);
    assert.deepEqual(
      worker.link.announced.map((models) => models[0]!.state),
      ['loading', 'ready'],
    );
  });

  test('that do not fit into memory together are refused, not loaded until all die', async () => {
    const large = await makeModelFolder();
    after(() => large.remove());
    await large.write('first', '1', { manifest: { memory_mb: 300 } });
    await large.write('second', '1', { manifest: { memory_mb: 300 } });
    await using worker = await start(large, { memoryMb: 500 });
    assert.deepEqual(states(worker).sort(), ['first 1 ready', 'second 1 failed']);
    assert.match(worker.executor.models().find((model) => model.name === 'second')!.message!, /memory_mb: 300 MB/);
  });

  test('take another provider when the first is missing', async () => {
    const cuda = await makeModelFolder();
    after(() => cuda.remove());
    await cuda.write('colours', '1', { manifest: { providers: ['cuda', 'cpu'] } });
    await using worker = await start(cuda);
    assert.deepEqual(states(worker), ['colours 1 ready']);
  });

  test('may have several instances, each given its share of credit', async () => {
    const twice = await makeModelFolder();
    after(() => twice.remove());
    await twice.write('colours', '1', { manifest: { concurrency: 2 } });
    await using worker = await start(twice);
    assert.equal(worker.link.capacity.get('colours@1'), 16);
    const photos = await Promise.all(['#ff0000', '#00ff00', '#0000ff'].map((colour) => flat(colour).png().toBuffer()));
    const ends = await Promise.all(Array.from({ length: 60 }, (_, at) => worker.classify(photos[at % 3]!)));
    ends.forEach((end, at) => assert.equal(answerOf(end).predictions[0]!.label, COLOUR_LABELS[at % 3]));
  });
});

test('the model echo answers bytes with the same bytes at once', async () => {
  const link = createRecordingLink();
  const modelsDir = new URL('../../models', import.meta.url).pathname;
  const config = parseWorkerConfig({ modelsDir, memoryMb: 1 });
  const executor = createExecutor({ config, link, clock: systemClock, random: () => 0.5, logger: silentLogger });
  await executor.start();
  await link.announcedThat((models) => models.some((model) => model.name === 'echo' && model.state === 'ready'));
  const assignment = assignmentOf(Buffer.from('{"a":1}'), { model: 'echo', contentType: 'application/json' });
  executor.onAssign(assignment);
  const [end] = link.ends.get(assignment.job)!;
  assert.ok(end?.type === 'result');
  assert.deepEqual([end.contentType, Buffer.from(end.output).toString()], ['application/json', '{"a":1}']);
  await executor.stop();
});

/** A full collection, so that what is counted is what is held. */
function collect(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

test('memory does not grow with the photos classified', async () => {
  const folder = await makeModelFolder();
  after(() => folder.remove());
  await folder.write('colours', '1');
  await using worker = await start(folder);
  const photo = await noise(96, 72).jpeg().toBuffer();
  const truncated = photo.subarray(0, photo.length / 2);
  const round = async (photos: number) => {
    for (let done = 0; done < photos; done += 8) {
      const some = Array.from({ length: 8 }, (_, at) => worker.classify(at === 7 ? truncated : photo));
      await Promise.all(some);
      (worker.link.ends as Map<string, unknown>).clear();
    }
    collect();
    const { heapUsed, external, rss } = process.memoryUsage();
    return { heldBytes: heapUsed + external, rss };
  };
  // The first photos fill pools and caches; what the others add would be a leak.
  const first = await round(500);
  const mib = (bytes: number): number => Math.round(bytes / 1024 / 1024);
  // The allocators of libvips and ONNX Runtime keep some freed memory, up to a level that they reach at a time of their own:
  // 0 … 70 MiB were seen. A leak has no such level: it adds as much in every round as in the first.
  let before = first;
  let grownMib = Infinity;
  for (let rounds = 0; rounds < 3 && grownMib > 64; rounds += 1) {
    const last = await round(2_000);
    const heldMib = mib(last.heldBytes - first.heldBytes);
    assert.ok(heldMib <= 16, `JavaScript holds ${heldMib} MiB more`);
    grownMib = mib(last.rss - before.rss);
    before = last;
  }
  assert.ok(grownMib <= 64, `the process grows by ${grownMib} MiB with every 2,000 photos`);
});
