import assert from 'node:assert/strict';
import { test } from 'node:test';
import { percentile } from '../percentile.ts';
import { computeFigures, type Answer, type Labels } from './figures.ts';
import { parseGuide } from './guide.ts';
import { checkTargets } from './targets.ts';

const answer = (label: string, scores: Record<string, number>, more: Partial<Answer> = {}): Answer => ({
  class: label,
  source: 'inat_a',
  predictions: Object.entries(scores).map(([name, score]) => ({ label: name, score })),
  rejected: false,
  unsure: false,
  rejectScore: 0,
  failed: null,
  ...more,
});
const labels: Labels = { aliases: {}, rejectLabel: 'none' };
const guide = parseGuide(
  JSON.stringify({
    entries: [
      { id: 'rose', verdict_group: null, danger: { level: 'harmless', dangerous: false } },
      { id: 'east_ivy', verdict_group: 'ivy', danger: { level: 'dangerous', dangerous: true } },
      { id: 'west_ivy', verdict_group: 'ivy', danger: { level: 'dangerous', dangerous: true } },
    ],
  }),
  'entries.json',
);

void test('top-1 and top-5 count what is shown; the sixth does not', () => {
  const six = { a: 0.5, b: 0.2, c: 0.1, d: 0.1, e: 0.05, rose: 0.05 };
  const figures = computeFigures(
    [
      answer('rose', { rose: 0.9 }),
      answer('rose', { tulip: 0.6, rose: 0.4 }),
      answer('rose', six),
      answer('none', { rose: 1 }),
    ],
    labels,
    null,
  );
  assert.deepEqual(figures.accuracy, { photos: 3, top1: 1 / 3, top5: 2 / 3, rejected: 0 });
  assert.equal(figures.danger, null);
});

void test('a rejected photo and one without an answer are wrong, whatever the list says', () => {
  const figures = computeFigures(
    [
      answer('rose', { rose: 0.9 }, { rejected: true, rejectScore: 0.8 }),
      answer('rose', {}, { failed: 'image_truncated', rejectScore: null }),
    ],
    labels,
    null,
  );
  assert.deepEqual(figures.accuracy, { photos: 2, top1: 0, top5: 0, rejected: 0.5 });
  assert.equal(figures.before_rejection.top1, 0.5);
  assert.equal(figures.failed, 1);
});

void test('rejection is measured on both sides', () => {
  const figures = computeFigures(
    [
      answer('none', {}, { rejected: true }),
      answer('none', { rose: 1 }),
      answer('rose', {}, { rejected: true }),
      answer('rose', { rose: 1 }),
      answer('rose', { rose: 1 }),
      answer('rose', { rose: 1 }),
    ],
    labels,
    null,
  );
  assert.deepEqual(figures.rejection, { photos: 2, recall: 0.5, false_reject: 0.25 });
});

void test('merged classes count by alias, by the manifest’s class, and by verdict group', () => {
  const merged: Labels = { aliases: { east_ivy: 'west_ivy' }, rejectLabel: null };
  const figures = computeFigures([answer('east_ivy', { west_ivy: 0.9 })], merged, guide);
  assert.equal(figures.accuracy.top1, 1);
  assert.equal(figures.as_labelled.top1, 0);
  const split = computeFigures([answer('east_ivy', { west_ivy: 0.9 })], labels, guide);
  assert.equal(split.accuracy.top1, 0);
  assert.equal(split.merged.top1, 1);
});

void test('the calibration error is the distance between score and accuracy, weighted by photos', () => {
  // Four answers at 0.9 of which three are right: |0.9 − 0.75| = 0.15. One at 0.1, wrong: 0.1. Together (4·0.15 + 0.1)/5.
  const list = [1, 2, 3].map(() => answer('rose', { rose: 0.9 }));
  list.push(answer('rose', { tulip: 0.9 }), answer('rose', { tulip: 0.1 }));
  assert.ok(Math.abs(computeFigures(list, labels, null).calibration.ece - 0.14) < 1e-9);
  // A score of exactly 1 belongs to the last bin, not behind it.
  assert.equal(computeFigures([answer('rose', { rose: 1 })], labels, null).calibration.bins.at(-1)?.photos, 1);
});

void test('a dangerous plant is missed when none of the five shown is dangerous, or when it was rejected', () => {
  const figures = computeFigures(
    [
      answer('east_ivy', { rose: 0.6, west_ivy: 0.3 }),
      answer('east_ivy', { rose: 0.9, a: 0.03, b: 0.03, c: 0.02, d: 0.01, east_ivy: 0.01 }),
      answer('west_ivy', { west_ivy: 1 }, { rejected: true }),
      answer('rose', { rose: 0.7, east_ivy: 0.15, west_ivy: 0.1 }),
    ],
    labels,
    guide,
  );
  assert.equal(figures.danger?.photos, 3);
  assert.equal(figures.danger.missed_in_top5, 2 / 3);
  assert.equal(figures.danger.missed_in_top5_when_shown, 0.5);
  // At 0.2 the first is found (0.3), the others are not; the rose has 0.25 of ivy in sum, so it is a false alarm.
  assert.deepEqual(figures.danger.verdicts[1], { threshold: 0.2, recall: 1 / 3, specificity: 0 });
  assert.deepEqual(figures.danger.verdicts[2], { threshold: 0.3, recall: 1 / 3, specificity: 1 });
});

void test('sources are summed up by family', () => {
  const figures = computeFigures(
    [answer('rose', { rose: 1 }), answer('rose', { a: 1 }, { source: 'inat_b' })],
    labels,
    null,
  );
  assert.equal(figures.by_source.inat_a?.top1, 1);
  assert.equal(figures.by_source_family.inat?.top1, 0.5);
});

void test('targets are met or missed, and one that names no figure is refused', () => {
  const figures = computeFigures([answer('rose', { rose: 1 })], labels, null);
  const results = checkTargets({ 'accuracy.top1': { min: 0.74 }, 'accuracy.rejected': { max: -1 } }, figures);
  assert.deepEqual(
    results.map(({ met }) => met),
    [true, false],
  );
  assert.throws(() => checkTargets({ 'accuracy.top2': { min: 0 } }, figures), /no such figure/);
});

void test('a percentile is a value that was measured', () => {
  assert.equal(percentile([4, 1, 3, 2], 0.5), 2);
  assert.equal(percentile([1, 2, 3, 4], 0.99), 4);
  assert.equal(percentile([], 0.5), 0);
});
