import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { makeModelFolder } from '../../test/support/model-folder.ts';
import type { ModelFolder } from '../../test/support/model-folder.ts';
import { PosternError } from '../errors.ts';
import type { RunCall, Runner, RunnerOptions, Tensor } from '../worker/runner.ts';
import { createOnnxRunner, createRunnerInThread } from './onnx.ts';

const callOf = (signal: AbortSignal): RunCall => ({
  signal,
  items: 1,
  signalOf: () => signal,
  events: { partial: () => undefined, progress: () => undefined },
});
const never = callOf(new AbortController().signal);

/** `rows` images of one colour. */
function images(rows: number, dims = [rows, 3, 24, 32]): Record<string, Tensor> {
  const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1)).fill(1);
  return { image: { type: 'float32', dims, data } };
}

const codeIs = (code: string) => (error: unknown) => error instanceof PosternError && error.code === code;

describe('the ONNX runner', () => {
  let folder: ModelFolder;
  let options: RunnerOptions;
  const exits: PosternError[] = [];
  before(async () => {
    folder = await makeModelFolder();
    await folder.write('colours', '1');
    options = {
      folder: `${folder.path}/colours/1`,
      file: 'model.onnx',
      providers: ['cpu'],
      threads: 1,
      onExit: (error) => exits.push(error),
    };
  });
  after(() => folder.remove());

  test('tells what the network takes and gives, and runs any number of rows', async () => {
    const runner = createOnnxRunner(options);
    const info = await runner.load();
    assert.deepEqual(info.inputs, [{ name: 'image', type: 'float32', dims: [null, 3, 24, 32] }]);
    assert.deepEqual(info.outputs, [{ name: 'logits', type: 'float32', dims: [null, 4] }]);
    assert.deepEqual([info.device, info.warnings], ['cpu', []]);
    for (const rows of [1, 3, 16]) {
      const { logits } = await runner.run(images(rows), never);
      assert.deepEqual(logits!.dims, [rows, 4]);
      // White: (20 − 10 − 10) for each colour, 3 for none.
      assert.deepEqual([...logits!.data].slice(-4), [0, 0, 0, 3]);
    }
    await runner.unload();
  });

  test('fails a batch that the network does not take, and goes on with the next', async () => {
    const runner = createOnnxRunner(options);
    await runner.load();
    await assert.rejects(runner.run(images(1, [1, 3, 24, 31]), never), codeIs('model_failed'));
    await assert.rejects(runner.run({ photo: images(1).image! }, never), codeIs('model_failed'));
    assert.equal((await runner.run(images(1), never)).logits!.data.length, 4);
    await runner.unload();
  });

  test('refuses a file that is no network', async () => {
    const runner = createOnnxRunner({ ...options, file: 'labels.json' });
    await assert.rejects(runner.load(), codeIs('model_invalid'));
    await runner.unload();
  });

  test('names the providers that it had to pass over', async () => {
    const runner = createOnnxRunner({ ...options, providers: ['cuda', 'tensorrt'] });
    const { device, warnings } = await runner.load();
    assert.equal(device, 'cpu');
    assert.deepEqual(
      warnings.map((warning) => warning.split(':')[0]),
      ['cuda cannot be used, trying tensorrt', 'tensorrt cannot be used, trying cpu'],
    );
    await runner.unload();
  });

  test('unloaded takes nothing more; twice is fine, and it is no crash', async () => {
    const runner = createOnnxRunner(options);
    await runner.load();
    await runner.unload();
    await runner.unload();
    await assert.rejects(runner.run(images(1), never), codeIs('model_unavailable'));
    assert.deepEqual(exits, []);
  });

  test('does not run what was cancelled before', async () => {
    const runner = createOnnxRunner(options);
    await runner.load();
    await assert.rejects(runner.run(images(1), callOf(AbortSignal.abort())), codeIs('canceled'));
    await runner.unload();
  });

  test('whose thread dies fails the batch for another try, and says so once', async () => {
    const died: PosternError[] = [];
    let thread: Worker | undefined;
    const spawn = (): Worker => (thread = new Worker(new URL('./onnx-thread.ts', import.meta.url)));
    const runner: Runner = createRunnerInThread({ ...options, onExit: (error) => died.push(error) }, spawn);
    await runner.load();
    const running = runner.run(images(1), never);
    const failed = assert.rejects(running, codeIs('model_unavailable'));
    await thread!.terminate();
    await failed;
    assert.deepEqual(
      died.map((error) => error.retryable),
      [true],
    );
    await assert.rejects(runner.run(images(1), never), codeIs('model_unavailable'));
    await runner.unload();
  });
});
