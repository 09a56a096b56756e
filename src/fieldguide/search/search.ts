/**
 * Search by name that forgives. A name typed exactly comes first, then names that begin so, then what is near: by the
 * letters under the fingers and by the sounds (`costs.ts`), by initial consonants (ㅈㄷㄹ), and by what was meant when the
 * keyboard was set to the other language (wlsekffo). All in memory; nothing is kept between calls.
 */
import { createAlike } from './alike.ts';
import { createMeasure } from './distance.ts';
import { createKeyTable, sortKeys, type KeyColumns, type KeyTable } from './key-table.ts';
import { innerPartsOf, initialsOf, namesOf, type Named } from './names.ts';
import { readingsOf } from './readings.ts';
import { createScores, type Hit, type Scores } from './scores.ts';
import { createWordScores } from './word-scores.ts';

export interface Search {
  /**
   * Best first; equal ones in the order of the list. Empty for a text without letters.
   * @param after the last hit of the page before: the same query then goes on behind it
   * @param accept leaves entries out before the page is cut
   */
  find(query: string, limit: number, after?: Hit | null, accept?: (entry: number) => boolean): Hit[];
}

const INITIALS = 0.4;
const BEGINNING = 1;
/** Words that fit one by one, beside a name typed as it is written. */
const OTHER_ORDER = 0.1;
/** From here on: what was typed is no name and no beginning of one. */
const TYPO = 2;
/** What a slip in the beginning of a longer name costs beside a slip in a whole name. */
const UNFINISHED = 0.5;
/** Slips that are forgiven: this share of the symbols typed, in costs of `costs.ts`. */
const FORGIVEN = 0.45;
/** One or two symbols with a slip could be anything; a name this short within a longer query too. */
const MIN_TYPO_SYMBOLS = 3;
const MIN_CONTAINED_SYMBOLS = 4;
/** With so many names that begin as typed, nobody made a slip. */
const ENOUGH = 50;

type Symbols = readonly number[];

/** Everything that takes long to make of the names of a guide. */
export interface SearchIndex {
  readonly entryCount: number;
  readonly names: KeyColumns;
  readonly inner: KeyColumns;
  readonly initials: KeyColumns;
}

export const indexNames = (entries: readonly Named[]): SearchIndex => ({
  entryCount: entries.length,
  names: sortKeys(entries.flatMap(namesOf)),
  inner: sortKeys(entries.flatMap(innerPartsOf)),
  initials: sortKeys(entries.flatMap(initialsOf)),
});

export const createSearch = (entries: readonly Named[]): Search => searchIn(indexNames(entries));

export function searchIn(index: SearchIndex): Search {
  const names = createKeyTable(index.names);
  const inner = createKeyTable(index.inner);
  const initials = createKeyTable(index.initials);
  const alike = createAlike(names);
  const measure = createMeasure();
  const found = createScores(index.entryCount);
  const ofWords = createWordScores(index.entryCount);

  /** Returns how many keys begin so. */
  function beginnings(table: KeyTable, symbols: Symbols, base: number, scores: Scores): number {
    const { from, to } = table.beginning(symbols);
    const { starts, entries: entryOf, bases } = table;
    for (let key = from; key < to; key += 1) {
      const open = 1 - symbols.length / (starts[key + 1]! - starts[key]!);
      scores.note(entryOf[key]!, base + bases[key]! + (open === 0 ? 0 : BEGINNING + 0.5 * open));
    }
    return to - from;
  }

  /** Names with which the query begins: somebody wrote on (수련꽃 for 수련). */
  function contained(symbols: Symbols, base: number, scores: Scores): void {
    const shortest = Math.max(MIN_CONTAINED_SYMBOLS, Math.ceil(symbols.length / 2));
    for (let length = symbols.length - 1; length >= shortest; length -= 1) {
      const { from, to } = names.beginning(symbols, length);
      const tooMany = (symbols.length - length) / symbols.length;
      for (let key = from; key < to; key += 1) {
        // The shortest come first: after the names of just this length come those that go on.
        const own = names.starts[key + 1]! - names.starts[key]!;
        if (own > length) break;
        scores.note(names.entries[key]!, base + TYPO + names.bases[key]! + 0.3 + 1.5 * tooMany);
      }
    }
  }

  function slips(symbols: Symbols, base: number, scores: Scores): void {
    const limit = symbols.length * FORGIVEN;
    for (const key of alike(symbols)) {
      const start = names.starts[key]!;
      const length = names.starts[key + 1]! - start;
      const distance = measure(symbols, names.pool, start, length, limit);
      if (!distance) continue;
      const open = 1 - distance.prefixLength / length;
      const cost = Math.min(distance.whole, distance.prefix + UNFINISHED + open);
      if (cost > 0 && cost <= limit + UNFINISHED) {
        scores.note(names.entries[key]!, base + TYPO + names.bases[key]! * 0.5 + cost);
      }
    }
  }

  /** Everything that one run of symbols may mean. */
  function match(symbols: Symbols, base: number, scores: Scores): void {
    let direct = beginnings(names, symbols, base, scores);
    if (symbols.length < MIN_TYPO_SYMBOLS) return;
    direct += beginnings(inner, symbols, base, scores);
    if (direct >= ENOUGH) return;
    contained(symbols, base, scores);
    slips(symbols, base, scores);
  }

  /** Several words, in any order: each fits some name of the entry or a part of one, or counts as stray. */
  function matchWords(words: readonly Symbols[], base: number): void {
    const strays = words.map((symbols) => TYPO + FORGIVEN * symbols.length);
    ofWords.total(
      words,
      strays,
      (symbols, scores) => match(symbols, 0, scores),
      (entry, score) => found.note(entry, base + OTHER_ORDER + score),
    );
  }

  function find(query: string, limit: number, after: Hit | null = null, accept?: (entry: number) => boolean): Hit[] {
    for (const { words, whole, penalty, initials: onlyInitials } of readingsOf(query)) {
      if (onlyInitials) beginnings(initials, whole, INITIALS + penalty, found);
      match(whole, penalty, found);
      if (words.length > 1) matchWords(words, penalty);
    }
    return found.best(limit, after, accept);
  }

  return { find };
}
