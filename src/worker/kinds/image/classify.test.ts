import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createClassifier } from './classify.ts';
import { createNormalise } from './normalise.ts';

const logits = (...probabilities: number[]): Float32Array => Float32Array.from(probabilities, Math.log);

describe('classification', () => {
  test('gives the best k, the best first', () => {
    const classify = createClassifier({ labels: ['a', 'b', 'c', 'd'], temperature: 1 });
    const result = classify(logits(0.1, 0.4, 0.2, 0.3), 2)!;
    assert.deepEqual(result.predictions, [
      { label: 'b', score: 0.4 },
      { label: 'd', score: 0.3 },
    ]);
    assert.deepEqual([result.rejected, result.unsure, result.rejectScore], [false, false, undefined]);
    assert.equal(classify(logits(0.1, 0.4, 0.2, 0.3), 20)!.predictions.length, 4);
  });

  test('keeps the order of the labels where scores are equal', () => {
    const classify = createClassifier({ labels: ['a', 'b', 'c'], temperature: 1 });
    assert.deepEqual(
      classify(Float32Array.of(3, 3, 3), 3)!.predictions.map((one) => one.label),
      ['a', 'b', 'c'],
    );
  });

  test('sums the outputs that share a label', () => {
    const classify = createClassifier({ labels: ['poison_ivy', 'oak', 'poison_ivy'], temperature: 1 });
    const { predictions } = classify(logits(0.3, 0.45, 0.25), 3)!;
    assert.deepEqual(predictions, [
      { label: 'poison_ivy', score: 0.55 },
      { label: 'oak', score: 0.45 },
    ]);
  });

  test('a temperature above 1 flattens, below 1 sharpens, and neither changes the order', () => {
    const score = (temperature: number): number =>
      createClassifier({ labels: ['a', 'b'], temperature })(Float32Array.of(2, 0), 1)!.predictions[0]!.score;
    assert.equal(score(1), 0.880797);
    assert.equal(score(2), 0.731059);
    assert.equal(score(0.5), 0.982014);
  });

  test('rejects from the threshold on; the reject label is never a prediction', () => {
    const options = { labels: ['a', 'b', 'none'], temperature: 1, reject: { label: 'none', threshold: 0.5 } };
    const classify = createClassifier(options);
    const rejected = classify(logits(0.2, 0.2, 0.6), 3)!;
    assert.deepEqual([rejected.rejected, rejected.rejectScore], [true, 0.6]);
    assert.deepEqual(
      rejected.predictions.map((one) => one.label),
      ['a', 'b'],
    );
    assert.equal(classify(logits(0.3, 0.3, 0.4), 3)!.rejected, false);
    const sure = createClassifier({ ...options, reject: { label: 'none', threshold: 0 } });
    assert.equal(sure(logits(0.9, 0.05, 0.05), 1)!.rejected, true);
  });

  test('is unsure below its limit, but not of what it rejects', () => {
    const classify = createClassifier({
      labels: ['a', 'b', 'none'],
      temperature: 1,
      unsureBelow: 0.35,
      reject: { label: 'none', threshold: 0.5 },
    });
    assert.equal(classify(logits(0.34, 0.33, 0.33), 1)!.unsure, true);
    assert.equal(classify(logits(0.36, 0.32, 0.32), 1)!.unsure, false);
    assert.equal(classify(logits(0.2, 0.2, 0.6), 1)!.unsure, false);
  });

  test('survives logits as large as floats get, and says so when they are no numbers', () => {
    const classify = createClassifier({ labels: ['a', 'b'], temperature: 0.01 });
    assert.deepEqual(classify(Float32Array.of(3e38, -3e38), 2)!.predictions, [
      { label: 'a', score: 1 },
      { label: 'b', score: 0 },
    ]);
    for (const bad of [NaN, Infinity, -Infinity]) assert.equal(classify(Float32Array.of(bad, 1), 1), null);
  });
});

describe('normalisation', () => {
  test('agrees with (value / 255 − mean) / std for every value of every channel', () => {
    const [mean, std] = [
      [0.48, 0.46, 0.41],
      [0.23, 0.22, 0.5],
    ];
    const pixels = Uint8Array.from({ length: 256 * 3 }, (_, at) => Math.floor(at / 3));
    const planes = new Float32Array(256 * 3);
    createNormalise(mean, std, 256)(pixels, planes, 0);
    for (let channel = 0; channel < 3; channel++) {
      for (let value = 0; value < 256; value++) {
        const expected = (value / 255 - mean[channel]!) / std[channel]!;
        assert.ok(Math.abs(planes[channel * 256 + value]! - expected) < 1e-6);
      }
    }
  });

  test('writes planes, not pixels, at its place in the batch and nowhere else', () => {
    const planes = new Float32Array(18).fill(-1);
    createNormalise([0, 0, 0], [1, 1, 1], 2)(Uint8Array.of(255, 0, 51, 0, 255, 102), planes, 6);
    const expected = [1, 0, 0, 1, 0.2, 0.4];
    assert.deepEqual([...planes.subarray(0, 6), ...planes.subarray(12)], Array(12).fill(-1));
    expected.forEach((value, at) => assert.ok(Math.abs(planes[6 + at]! - value) < 1e-6));
  });
});
