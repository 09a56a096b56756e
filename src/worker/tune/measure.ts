/**
 * Runs a version by itself, without gateway and without the wire, as the worker would: so many instances, so many threads for
 * each, batches of so many rows, one after another. What comes out is what the machine gives at most with these settings.
 *
 * The grid is walked from small to large batches. A row of it ends early where more rows bring nothing: after two steps
 * without a gain, or when a batch takes longer than anybody would wait.
 */
import { PosternError } from '../../errors.ts';
import { buildModel, runnerOptionsOf, type BatchedManifest, type BuildOptions } from '../build.ts';
import { createInstance, warmUpCall, type Instance } from '../instance.ts';
import type { Item } from '../kinds/kind.ts';

export interface TuneSettings {
  readonly rows: number;
  readonly concurrency: number;
  readonly threads: number;
}

export interface Measurement extends TuneSettings {
  readonly rows_per_s: number;
  /** Of one batch, from its start to its end. */
  readonly batch_p50_ms: number;
  readonly batch_p99_ms: number;
  readonly batches: number;
}

export interface Grid {
  /** Rising. */
  readonly rows: readonly number[];
  /** Each pair of instances and threads. */
  readonly layouts: readonly Omit<TuneSettings, 'rows'>[];
}

export interface MeasureOptions extends Omit<BuildOptions, 'manifest'> {
  readonly manifest: BatchedManifest;
  readonly grid: Grid;
  /** For each point. */
  readonly durationMs: number;
  /** A batch that takes longer ends its row of the grid. */
  readonly maxBatchMs: number;
  readonly random: () => number;
  /** After each point of the grid, also those that were left out. */
  readonly onPoint: () => void;
  readonly signal: AbortSignal;
}

/** A point needs so many batches, whatever time they take: one alone says nothing. */
const MIN_BATCHES = 3;
/** Kept for the percentiles. */
const MAX_SAMPLES = 20_000;
/** More rows are worth it when they bring at least this. */
const GAIN = 1.03;
const STEPS_WITHOUT_GAIN = 2;

/** Every point that was measured. Throws model_invalid when the model cannot be run with a single row. */
export async function measureGrid(options: MeasureOptions): Promise<Measurement[]> {
  const { grid, signal, onPoint } = options;
  const found: Measurement[] = [];
  for (const layout of grid.layouts) {
    let left = grid.rows.length;
    await withInstances(options, layout, async (instances, item) => {
      let [best, steps] = [0, 0];
      for (const rows of grid.rows) {
        if (signal.aborted) return;
        const point = await measurePoint(options, instances, item, { rows, ...layout });
        left -= 1;
        onPoint();
        if (point === null) return;
        found.push(point);
        steps = point.rows_per_s > best * GAIN ? 0 : steps + 1;
        best = Math.max(best, point.rows_per_s);
        if (steps >= STEPS_WITHOUT_GAIN || point.batch_p50_ms > options.maxBatchMs) return;
      }
    });
    for (; left > 0; left -= 1) onPoint();
  }
  return found;
}

async function withInstances(
  options: MeasureOptions,
  { concurrency, threads }: Omit<TuneSettings, 'rows'>,
  work: (instances: readonly Instance[], item: Item) => Promise<void>,
): Promise<void> {
  const { grid, clock, random, logger, folder } = options;
  const manifest = { ...options.manifest, batch: { ...options.manifest.batch, max_rows: grid.rows.at(-1) ?? 1 } };
  const { kind, createRunner } = await buildModel({ ...options, manifest });
  const instances = Array.from({ length: concurrency }, () =>
    createInstance({
      createRunner,
      runnerOptions: { ...runnerOptionsOf(folder, manifest), threads },
      kind,
      warmUpRuns: 1,
      maxRows: 1,
      clock,
      random,
      logger,
      onChange: () => undefined,
    }),
  );
  try {
    await Promise.all(instances.map((instance) => instance.start()));
    const failed = instances.find(({ error }) => error !== null);
    if (failed?.error) throw failed.error;
    const { input, contentType, parameters } = await kind.sample();
    await work(instances, await kind.prepare(input, contentType, parameters));
  } finally {
    await Promise.all(instances.map((instance) => instance.stop()));
  }
}

/** null: the model does not take so many rows. */
async function measurePoint(
  { clock, durationMs, logger, signal }: MeasureOptions,
  instances: readonly Instance[],
  item: Item,
  settings: TuneSettings,
): Promise<Measurement | null> {
  const items = Array.from({ length: settings.rows }, () => item);
  const run = async (instance: Instance): Promise<void> => {
    const outcomes = await instance.run(items, warmUpCall(items.length));
    const bad = outcomes.find((outcome) => outcome instanceof PosternError);
    if (bad !== undefined) throw bad;
  };
  try {
    // The first batch of a size makes room for it, which the others find made.
    await Promise.all(instances.map(run));
    const batchesMs: number[] = [];
    let batches = 0;
    const beganAt = clock.monotonic();
    const loop = async (instance: Instance): Promise<void> => {
      for (let own = 0; own < MIN_BATCHES || clock.monotonic() - beganAt < durationMs; own += 1) {
        if (signal.aborted) return;
        const at = clock.monotonic();
        await run(instance);
        batches += 1;
        if (batchesMs.length < MAX_SAMPLES) batchesMs.push(clock.monotonic() - at);
      }
    };
    await Promise.all(instances.map(loop));
    const seconds = (clock.monotonic() - beganAt) / 1_000;
    batchesMs.sort((a, b) => a - b);
    const at = (share: number): number => batchesMs[Math.floor(share * (batchesMs.length - 1))] ?? 0;
    const rows_per_s = (batches * settings.rows) / seconds;
    return { ...settings, rows_per_s, batch_p50_ms: at(0.5), batch_p99_ms: at(0.99), batches };
  } catch (error) {
    if (settings.rows === 1) throw error;
    logger.debug('the model does not take so many rows', { ...settings, error });
    return null;
  }
}
