/** The last hour as the charts draw it: what the gateway sent at first, and the points that have come since. */
import { COLUMNS, type Column, type Point, type SeriesBody, type Value } from './shapes.ts';

export interface Series {
  /** Epoch seconds, oldest first, as uPlot wants them. */
  readonly at: readonly number[];
  readonly columns: Readonly<Record<Column, readonly Value[]>>;
}

/** As long as the gateway's own. */
const MAX_POINTS = 720;

export const NO_SERIES: Series = { at: [], columns: columnsOf(() => []) };

function columnsOf(read: (column: Column) => readonly Value[]): Series['columns'] {
  const columns: Partial<Record<Column, readonly Value[]>> = {};
  for (const column of COLUMNS) columns[column] = read(column);
  return columns as Series['columns'];
}

export function fromBody({ at, columns }: SeriesBody): Series {
  return { at: at.map((ms) => ms / 1_000), columns: columnsOf((column) => columns[column]) };
}

/** A point that is there already (both ways may bring it) changes nothing. */
export function withPoint(series: Series, point: Point): Series {
  const second = point.at / 1_000;
  if ((series.at.at(-1) ?? 0) >= second) return series;
  const add = <T>(list: readonly T[], value: T): readonly T[] => [...list.slice(-(MAX_POINTS - 1)), value];
  return { at: add(series.at, second), columns: columnsOf((column) => add(series.columns[column], point[column])) };
}
