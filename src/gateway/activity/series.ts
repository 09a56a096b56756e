/** The last hour in points of five seconds: one ring of numbers for each column, of a size that never changes. */

/** What a point says. Rates are of its window; gauges are of its end. null: there was nothing to measure. */
export const COLUMNS = [
  'requests_per_s',
  'client_errors_per_s',
  'server_errors_per_s',
  'accepted_per_s',
  'succeeded_per_s',
  'failed_per_s',
  'canceled_per_s',
  'p50_ms',
  'p95_ms',
  'p99_ms',
  'queue_ms',
  'link_ms',
  'batch_wait_ms',
  'decode_ms',
  'compute_ms',
  'waiting_jobs',
  'processing_jobs',
  'connected_workers',
  'free_credit_rows',
  'memory_mib',
  'cpu_percent',
] as const;

export type Column = (typeof COLUMNS)[number];
export type Point = Readonly<Record<Column, number | null>>;

export interface SeriesView {
  readonly period_ms: number;
  /** Epoch ms of each point, oldest first. */
  readonly at: readonly number[];
  readonly columns: Readonly<Record<Column, readonly (number | null)[]>>;
}

export const PERIOD_MS = 5_000;
/** An hour: 720 points of 21 numbers are 64 KiB. */
const MAX_POINTS = 720;

export interface Series {
  add(atMs: number, point: Point): void;
  view(): SeriesView;
}

export function createSeries(maxPoints = MAX_POINTS): Series {
  const times = new Float64Array(maxPoints);
  const rings = COLUMNS.map((column) => ({ column, values: new Float32Array(maxPoints) }));
  let added = 0;

  return {
    add(atMs, point) {
      const place = added % maxPoints;
      times[place] = atMs;
      for (const { column, values } of rings) values[place] = point[column] ?? NaN;
      added += 1;
    },
    view() {
      const count = Math.min(added, maxPoints);
      const places = Array.from({ length: count }, (_, index) => (added - count + index) % maxPoints);
      const read = (values: Float32Array): (number | null)[] => places.map((place) => shown(values[place]!));
      const columns: Partial<Record<Column, (number | null)[]>> = {};
      for (const { column, values } of rings) columns[column] = read(values);
      return {
        period_ms: PERIOD_MS,
        at: places.map((place) => times[place]!),
        columns: columns as SeriesView['columns'],
      };
    },
  };
}

/** Four digits say more than any of these is worth; NaN is nothing. */
export function shown(value: number): number | null {
  return Number.isFinite(value) ? Number(value.toPrecision(4)) : null;
}
