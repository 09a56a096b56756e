import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { systemClock } from '../../clock.ts';
import { silentLogger } from '../../logger.ts';
import { colourManifest, makeModelFolder, type ModelFolder } from '../../../test/support/model-folder.ts';
import type { BatchedManifest } from '../build.ts';
import { parseWorkerConfig } from '../config.ts';
import { parseManifest } from '../manifest.ts';
import { measureGrid, type Grid, type Measurement } from './measure.ts';
import { gridOf, propose } from './propose.ts';

const manifestOf = (changes: Record<string, unknown> = {}): BatchedManifest =>
  parseManifest(JSON.stringify({ ...colourManifest('colours', '1'), ...changes })) as BatchedManifest;

suite('measuring a real network', () => {
  let folder: ModelFolder;
  before(async () => {
    folder = await makeModelFolder();
    await folder.write('colours', '1');
    await folder.write('broken', '1', { file: Buffer.from('no network') });
  });
  after(() => folder.remove());

  const measure = (
    grid: Grid,
    changes: { name?: string; maxBatchMs?: number; onPoint?: () => void } = {},
    signal?: AbortSignal,
  ) =>
    measureGrid({
      folder: join(folder.path, changes.name ?? 'colours', '1'),
      manifest: manifestOf(),
      config: parseWorkerConfig({ modelsDir: folder.path }),
      grid,
      durationMs: 5,
      maxBatchMs: changes.maxBatchMs ?? 600_000,
      clock: systemClock,
      random: Math.random,
      logger: silentLogger,
      onPoint: changes.onPoint ?? (() => undefined),
      signal: signal ?? new AbortController().signal,
    });

  test('every setting is run, and counts its rows', async () => {
    let points = 0;
    const layouts = [
      { concurrency: 1, threads: 1 },
      { concurrency: 2, threads: 1 },
    ];
    const found = await measure({ rows: [1, 2], layouts }, { onPoint: () => (points += 1) });
    const settings = found.map(({ rows, concurrency, threads }) => [rows, concurrency, threads]);
    assert.deepEqual(settings, [
      [1, 1, 1],
      [2, 1, 1],
      [1, 2, 1],
      [2, 2, 1],
    ]);
    for (const { rows_per_s, batch_p50_ms, batch_p99_ms, batches } of found) {
      assert.ok(rows_per_s > 0 && batch_p50_ms > 0 && batch_p99_ms >= batch_p50_ms && batches >= 3);
    }
    assert.equal(points, 4);
  });

  test('batches that take too long end their row of the grid, and the progress still comes to its end', async () => {
    let points = 0;
    const grid = { rows: [1, 2, 4], layouts: [{ concurrency: 1, threads: 1 }] };
    const found = await measure(grid, { maxBatchMs: 0, onPoint: () => (points += 1) });
    assert.equal(found.length, 1);
    assert.equal(points, 3);
  });

  test('a network that cannot be loaded is told, and a stop is a stop', async () => {
    const grid = { rows: [1, 2], layouts: [{ concurrency: 1, threads: 1 }] };
    await assert.rejects(measure(grid, { name: 'broken' }), { code: 'model_invalid' });
    assert.deepEqual(await measure(grid, {}, AbortSignal.abort()), []);
  });
});

test('instances and threads fill the cores and do not go beyond them', () => {
  const { rows, layouts } = gridOf(manifestOf({ threads: 1 }), 4, 8);
  assert.deepEqual(rows, [1, 2, 4, 8]);
  assert.deepEqual(
    layouts.map(({ concurrency, threads }) => [concurrency, threads]),
    [
      [1, 1],
      [4, 1],
      [1, 2],
      [2, 2],
      [1, 4],
    ],
  );
});

test('what the manifest says now is among what is tried', () => {
  const { rows, layouts } = gridOf(manifestOf({ threads: 0, concurrency: 3, batch: { max_rows: 5 } }), 2, 8);
  assert.ok(rows.includes(5));
  assert.deepEqual(layouts[0], { concurrency: 3, threads: 0 });
});

test('tensors whose first dimension is not said to be the row are tried one by one', () => {
  const tensors = { postern: 1, name: 'x', version: '1', kind: 'tensors', runner: 'onnx', file: 'model.onnx' };
  const manifest = parseManifest(JSON.stringify(tensors)) as BatchedManifest;
  assert.deepEqual(gridOf(manifest, 2, 64).rows, [1]);
});

test('of all that give nearly the most, the quickest is proposed; what takes too long is not', () => {
  const point = (rows: number, rows_per_s: number, ms: number): Measurement => ({
    rows,
    concurrency: 1,
    threads: 1,
    rows_per_s,
    batch_p50_ms: ms,
    batch_p99_ms: ms * 1.2,
    batches: 10,
  });
  const measured = [point(1, 50, 20), point(4, 96, 42), point(8, 100, 80), point(32, 120, 270)];
  assert.equal(propose(measured, 250)?.rows, 4);
  assert.equal(propose(measured, 1_000)?.rows, 32);
  assert.equal(propose(measured, 10), null);
});
