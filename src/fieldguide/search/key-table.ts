/**
 * Names as runs of symbols in one array, in order, so that all that begin with something lie side by side. Columns instead of
 * objects: 50,000 entries make about a million keys.
 */

/** One way in to an entry. */
export interface Key {
  readonly symbols: readonly number[];
  readonly entry: number;
  /** What finding the entry this way costs from the outset: see `names.ts`. */
  readonly base: number;
}

/** What a table consists of: plain columns, which another thread can make and hand over. */
export interface KeyColumns {
  readonly size: number;
  /** All symbols, one key after the other; key k is `pool[starts[k]] … pool[starts[k + 1] − 1]`. Keys are in order. */
  readonly pool: Uint16Array<ArrayBuffer>;
  readonly starts: Int32Array<ArrayBuffer>;
  readonly entries: Int32Array<ArrayBuffer>;
  readonly bases: Float32Array<ArrayBuffer>;
}

export interface KeyTable extends KeyColumns {
  /** The keys that begin with the first `length` of these symbols: `from … to − 1`, the shortest first. */
  beginning(symbols: readonly number[], length?: number): { readonly from: number; readonly to: number };
}

/** Symbols that are compared as one number: four of 13 bits, the first the weightiest. Rarer letters are cut to fit. */
const PACKED = 4;
const PACKED_BITS = 13;

function pack(symbols: readonly number[]): number {
  let packed = 0;
  for (let index = 0; index < PACKED; index += 1) {
    packed = packed * 2 ** PACKED_BITS + Math.min(symbols[index] ?? 0, 2 ** PACKED_BITS - 1);
  }
  return packed;
}

function compare(a: readonly number[], b: readonly number[]): number {
  const shared = Math.min(a.length, b.length);
  for (let index = 0; index < shared; index += 1) {
    if (a[index] !== b[index]) return a[index]! - b[index]!;
  }
  return a.length - b.length;
}

export function sortKeys(unsorted: Iterable<Key>): KeyColumns {
  const keys = [...unsorted].map((key) => ({ key, packed: pack(key.symbols) }));
  keys.sort((a, b) => a.packed - b.packed || compare(a.key.symbols, b.key.symbols));
  const size = keys.length;
  const starts = new Int32Array(size + 1);
  const entries = new Int32Array(size);
  const bases = new Float32Array(size);
  keys.forEach(({ key }, index) => {
    starts[index + 1] = starts[index]! + key.symbols.length;
    entries[index] = key.entry;
    bases[index] = key.base;
  });
  const pool = new Uint16Array(starts[size]!);
  keys.forEach(({ key }, index) => pool.set(key.symbols, starts[index]));
  return { size, pool, starts, entries, bases };
}

export function createKeyTable(columns: KeyColumns): KeyTable {
  const { size, pool, starts } = columns;

  /** Negative when the key lies before all that begin so, 0 when it begins so, positive after. */
  function side(key: number, symbols: readonly number[], length: number): number {
    const start = starts[key]!;
    const own = starts[key + 1]! - start;
    const shared = Math.min(own, length);
    for (let index = 0; index < shared; index += 1) {
      const difference = pool[start + index]! - symbols[index]!;
      if (difference !== 0) return difference;
    }
    return own < length ? -1 : 0;
  }

  /** The first key whose side is at least `least`. */
  function firstKey(symbols: readonly number[], length: number, least: 0 | 1): number {
    let [low, high] = [0, size];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (side(middle, symbols, length) >= least) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  return {
    ...columns,
    beginning: (symbols, length = symbols.length) => ({
      from: firstKey(symbols, length, 0),
      to: firstKey(symbols, length, 1),
    }),
  };
}
