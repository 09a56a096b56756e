/**
 * Which names are worth comparing letter by letter: those that share pairs of neighbouring symbols with what was typed. A
 * slip spoils two pairs at most, and a swap three, so what is near shares some, the edge of the name included.
 */
import type { KeyTable } from './key-table.ts';
import { EDGE, KNOWN_SYMBOLS, MAX_SYMBOLS } from './symbols.ts';

/** More than these are not compared: the pairs have put them in order before. */
const MAX_CANDIDATES = 300;
/** Pairs that nearly every name has tell little and cost most: beyond this many postings only the rarer pairs count. */
const MAX_POSTINGS = 60_000;
const MIN_PAIRS = 3;
/** Shared pairs are counted in 8 bits: 65 at most. */
const MAX_PAIRS = MAX_SYMBOLS + 1;
const PAIRS = KNOWN_SYMBOLS * KNOWN_SYMBOLS;
/** Dice's coefficient in so many steps, so that the best are found by counting instead of by sorting. */
const STEPS = 255;

/** Unknown symbols share slots: more candidates, never fewer. */
const slot = (symbol: number): number => symbol % KNOWN_SYMBOLS;

/** Returns the keys that share the most pairs with some symbols, for their lengths; in no order. */
export function createAlike({ size, pool, starts }: KeyTable): (symbols: readonly number[]) => number[] {
  const length = (key: number): number => starts[key + 1]! - starts[key]!;
  /** Calls back with every pair of a key, the edge before its first symbol included. */
  function eachPair(key: number, heard: (pair: number) => void): void {
    let before = EDGE;
    for (let at = starts[key]!; at < starts[key + 1]!; at += 1) {
      const symbol = slot(pool[at]!);
      heard(before * KNOWN_SYMBOLS + symbol);
      before = symbol;
    }
  }

  // Postings in one array: keys of pair p are postings[offsets[p]] … postings[offsets[p + 1] − 1].
  const offsets = new Int32Array(PAIRS + 1);
  for (let key = 0; key < size; key += 1) eachPair(key, (pair) => (offsets[pair + 1] = offsets[pair + 1]! + 1));
  for (let pair = 0; pair < PAIRS; pair += 1) offsets[pair + 1]! += offsets[pair]!;
  const postings = new Int32Array(offsets[PAIRS]!);
  const next = offsets.slice();
  for (let key = 0; key < size; key += 1) eachPair(key, (pair) => (postings[next[pair]!++] = key));

  function rarestFirst(symbols: readonly number[]): number[] {
    const pairs = symbols.map(
      (symbol, index) => slot(index === 0 ? EDGE : symbols[index - 1]!) * KNOWN_SYMBOLS + slot(symbol),
    );
    const postingsOf = (pair: number): number => offsets[pair + 1]! - offsets[pair]!;
    return pairs.sort((a, b) => postingsOf(a) - postingsOf(b));
  }

  const shared = new Uint8Array(size);
  const touched = new Int32Array(size);
  const steps = new Uint8Array(size);

  return (symbols) => {
    let count = 0;
    let read = 0;
    for (const [rank, pair] of rarestFirst(symbols).entries()) {
      const end = offsets[pair + 1]!;
      read += end - offsets[pair]!;
      if (read > MAX_POSTINGS && rank >= MIN_PAIRS) break;
      for (let at = offsets[pair]!; at < end; at += 1) {
        const key = postings[at]!;
        const before = shared[key]!;
        if (before === 0) touched[count++] = key;
        if (before < MAX_PAIRS) shared[key] = before + 1;
      }
    }
    // A name that goes on after what was typed is not blamed for more than half as many letters again.
    const longest = Math.ceil(symbols.length * 1.5);
    const histogram = new Int32Array(STEPS + 1);
    for (let index = 0; index < count; index += 1) {
      const key = touched[index]!;
      const compared = symbols.length + Math.min(length(key), longest);
      const step = Math.min(STEPS, Math.floor((2 * STEPS * shared[key]!) / compared));
      steps[key] = step;
      shared[key] = 0;
      histogram[step]! += 1;
    }
    let least = STEPS;
    for (let sum = histogram[STEPS]!; least > 1 && sum + histogram[least - 1]! <= MAX_CANDIDATES;) {
      least -= 1;
      sum += histogram[least]!;
    }
    const candidates: number[] = [];
    for (let index = 0; index < count && candidates.length < MAX_CANDIDATES; index += 1) {
      const key = touched[index]!;
      if (steps[key]! >= least) candidates.push(key);
    }
    return candidates;
  };
}
