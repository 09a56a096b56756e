/** What to try on a machine, and what to make of the figures. */
import type { BatchedManifest } from '../build.ts';
import type { Grid, Measurement, TuneSettings } from './measure.ts';

/** Powers of two: between them there is little to gain. */
const ROWS = [1, 2, 4, 8, 16, 32, 64, 128, 256];
/** Settings that give nearly the most count as good as it: the quickest of them is wanted. */
const NEARLY = 0.95;

/**
 * On processors instances × threads fill the cores, and do not go beyond them: they would wait for each other. On a GPU
 * threads do not matter, and a second instance copies while the first one computes. What the manifest says now is among it.
 */
export function gridOf(manifest: BatchedManifest, cores: number, maxRows: number): Grid {
  const onGpu = 'providers' in manifest && manifest.providers[0] !== 'cpu';
  const powers = [...new Set([1, 2, 4, 8, 16, 32, 64, cores].filter((n) => n <= cores))].sort((a, b) => a - b);
  const layouts = onGpu
    ? [1, 2].map((concurrency) => ({ concurrency, threads: manifest.threads }))
    : powers.flatMap((threads) =>
        [...new Set([1, Math.floor(cores / threads)])].map((concurrency) => ({ concurrency, threads })),
      );
  const now = settingsOf(manifest);
  const known = layouts.some(({ concurrency, threads }) => concurrency === now.concurrency && threads === now.threads);
  const present = known ? [] : [{ concurrency: now.concurrency, threads: now.threads }];
  const rows = takesRows(manifest) ? [...new Set([...ROWS, now.rows])].filter((n) => n <= maxRows) : [1];
  return { rows: rows.sort((a, b) => a - b), layouts: [...present, ...layouts] };
}

/** Tensors whose first dimension is not said to be the row are never put together. */
export const takesRows = (manifest: BatchedManifest): boolean =>
  manifest.kind !== 'tensors' || manifest.batch.max_rows > 1;

export const settingsOf = (manifest: BatchedManifest): TuneSettings => ({
  rows: manifest.batch.max_rows,
  concurrency: manifest.concurrency,
  threads: manifest.threads,
});

/** The quickest of those that give nearly the most; null: none keeps the limit. */
export function propose(measured: readonly Measurement[], maxBatchMs: number): Measurement | null {
  const allowed = measured.filter(({ batch_p99_ms }) => batch_p99_ms <= maxBatchMs);
  const most = Math.max(...allowed.map(({ rows_per_s }) => rows_per_s));
  const good = allowed.filter(({ rows_per_s }) => rows_per_s >= NEARLY * most);
  good.sort((a, b) => a.batch_p50_ms - b.batch_p50_ms || a.threads - b.threads);
  return good[0] ?? null;
}
