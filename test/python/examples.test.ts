/** The models of `examples/`, with the libraries that they are about, served as they lie there. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { needPython } from '../support/python.ts';
import { answerOf, failureOf, startPythonWorker } from '../support/python-models.ts';

const EXAMPLES = new URL('../../examples/', import.meta.url).pathname;
const PACKAGE = new URL('../../python/', import.meta.url).pathname;

test('the examples are served with PyTorch, Keras, scikit-learn and nothing at all', async (t) => {
  const python = needPython(t, 'torch', 'keras', 'h5py', 'sklearn');
  if (python === null) return;
  const worker = await startPythonWorker(python, {}, { modelsDir: EXAMPLES });
  t.after(() => worker.stop());
  for (const name of ['word-count', 'languages', 'digits', 'iris', 'storyteller']) {
    assert.equal(worker.report(name)?.state, 'ready', `${name}: ${worker.report(name)?.message}`);
  }

  const words = await worker.ask('word-count', { text: 'to be or not to be', top: 1 });
  assert.deepEqual(answerOf(words), { words: 6, counts: { to: 2 } });
  assert.equal(failureOf(await worker.ask('word-count', { txt: 1 })).code, 'input_invalid');

  const languages = await Promise.all(
    ['wo ist der Bahnhof bitte?', 'where is the station please?', 'où est la gare, je vous prie?'].map((text) =>
      worker.ask('languages', text),
    ),
  );
  assert.deepEqual(
    languages.map((end) => (answerOf(end) as { language: string }).language),
    ['de', 'en', 'fr'],
  );

  const { scores } = answerOf(await worker.ask('digits', { pixels: [ZERO, ZERO] })) as { scores: number[][] };
  assert.deepEqual(
    scores.map((row) => row.indexOf(Math.max(...row))),
    [0, 0],
  );

  const setosa = { sepal_length: 5, sepal_width: 3.4, petal_length: 1.5, petal_width: 0.2 };
  const [flower, half] = await Promise.all([worker.ask('iris', setosa), worker.ask('iris', { sepal_length: 5 })]);
  assert.equal((answerOf(flower) as { species: string }).species, 'setosa');
  assert.match(failureOf(half).message, /^sepal_width: expected a number/);

  const story = answerOf(await worker.ask('storyteller', { prompt: 'Once', words: 5 })) as string[];
  assert.deepEqual([story.length, story[0]], [5, ' upon']);
});

/** A nought of 8 × 8 pixels, as in the data that the network was trained on. */
const ZERO = [
  [0, 0, 5, 13, 9, 1, 0, 0],
  [0, 0, 13, 15, 10, 15, 5, 0],
  [0, 3, 15, 2, 0, 11, 8, 0],
  [0, 4, 12, 0, 0, 8, 8, 0],
  [0, 5, 8, 0, 0, 9, 8, 0],
  [0, 4, 11, 0, 1, 12, 7, 0],
  [0, 2, 14, 5, 10, 12, 0, 0],
  [0, 0, 6, 13, 10, 0, 0, 0],
].flat();

test('an author tries a model without a worker: python -m postern check', async (t) => {
  const python = needPython(t);
  if (python === null) return;
  const check = async (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> => {
    const env = { ...process.env, PYTHONPATH: PACKAGE };
    try {
      return { code: 0, ...(await promisify(execFile)(python, ['-m', 'postern', 'check', ...args], { env })) };
    } catch (thrown) {
      const { code, stdout, stderr } = thrown as { code: number; stdout: string; stderr: string };
      return { code, stdout, stderr };
    }
  };
  const model = `${EXAMPLES}word-count/1/model.py`;
  const good = await check(model, '--input', '{"text": "a b a"}', '--rows', '2');
  assert.equal(good.code, 0, good.stderr);
  assert.match(good.stdout, /output:\s+\{"words": 3, "counts": \{"a": 2, "b": 1\}\}/);
  const streamed = await check(`${EXAMPLES}storyteller/1/model.py`, '--kind', 'text', '--input', 'Once upon a');
  assert.match(streamed.stdout, /stream:\s+40 parts/);
  const missing = await check('nowhere.py', '--input', '1');
  assert.deepEqual([missing.code, missing.stderr.includes('there is no file nowhere.py')], [1, true]);
  const noInput = await check(model);
  assert.deepEqual([noInput.code, noInput.stderr.includes('--input')], [2, true]);
  const raised = await check(model, '--input', '{"text": "a", "top": "many"}');
  assert.deepEqual([raised.code, raised.stderr.includes('predict raised TypeError')], [1, true]);
});
