/**
 * Weighted optimal string alignment (Damerau–Levenshtein in which no part is edited twice): how much it costs to turn what
 * was typed into a name, and into the beginning of a name.
 */
import { gap, substitution, SWAPPED } from './costs.ts';
import { EDGE, MAX_SYMBOLS } from './symbols.ts';

export interface Distance {
  /** To the whole name. */
  whole: number;
  /** To that beginning of the name that lies nearest; `whole` at most. */
  prefix: number;
  /** How long that beginning is. */
  prefixLength: number;
}

const WIDTH = MAX_SYMBOLS + 1;

/** Fills and returns one object of its own; null when both distances are above `limit`. */
export type Measure = (
  query: readonly number[],
  pool: Uint16Array,
  start: number,
  length: number,
  limit: number,
) => Distance | null;

/** Makes a measure with rows of its own: 3 × 65 numbers, used again by every call. */
export function createMeasure(): Measure {
  let above = new Float64Array(WIDTH);
  let row = new Float64Array(WIDTH);
  let twoAbove = new Float64Array(WIDTH);
  const result: Distance = { whole: 0, prefix: 0, prefixLength: 0 };

  return (query, pool, start, length, limit) => {
    above[0] = 0;
    for (let j = 1; j <= length; j += 1) {
      above[j] = above[j - 1]! + gap(pool[start + j - 1]!, j > 1 ? pool[start + j - 2]! : EDGE);
    }
    for (let i = 1; i <= query.length; i += 1) {
      const typed = query[i - 1]!;
      const before = i > 1 ? query[i - 2]! : EDGE;
      const extra = gap(typed, before);
      let least = above[0]! + extra;
      row[0] = least;
      for (let j = 1; j <= length; j += 1) {
        const meant = pool[start + j - 1]!;
        const previous = j > 1 ? pool[start + j - 2]! : EDGE;
        let best = above[j - 1]! + substitution(typed, meant);
        const tooMany = above[j]! + extra;
        if (tooMany < best) best = tooMany;
        const leftOut = row[j - 1]! + gap(meant, previous);
        if (leftOut < best) best = leftOut;
        if (i > 1 && j > 1 && typed === previous && before === meant && typed !== meant) {
          const swapped = twoAbove[j - 2]! + SWAPPED;
          if (swapped < best) best = swapped;
        }
        row[j] = best;
        if (best < least) least = best;
      }
      // A row never leads below its least, but for a swap, which skips one row and is cut off only a row later.
      if (least > limit + 1) return null;
      [twoAbove, above, row] = [above, row, twoAbove];
    }
    let prefix = Infinity;
    let prefixLength = 0;
    for (let j = 0; j <= length; j += 1) {
      if (above[j]! < prefix) [prefix, prefixLength] = [above[j]!, j];
    }
    if (prefix > limit) return null;
    result.whole = above[length]!;
    result.prefix = prefix;
    result.prefixLength = prefixLength;
    return result;
  };
}
