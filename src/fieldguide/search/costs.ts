/**
 * What a slip costs: 1 for any letter instead of any other, less where fingers or ears confuse them. Weights were chosen on
 * `test/search/typing-errors.tsv`; they rank what is near, they do not decide what is found.
 */
import { CONSONANTS, EDGE, KNOWN_SYMBOLS, letterOf, symbolOf, VOWELS } from './symbols.ts';
import { adjacentKeys, sameKey } from './keyboard.ts';

export const SWAPPED = 0.7;
const DOUBLED = 0.4;
const ADJACENT = 0.7;
const SHIFTED = 0.4;
/** Letters that are mostly not heard: ㅇ at the head of a syllable, h in many loanwords. */
const SILENT = 0.6;

/** Groups that sound alike, with the cost inside the group. */
const ALIKE: readonly (readonly [string, number])[] = [
  ['ㅐㅔ', 0.2],
  ['ㅒㅖ', 0.2],
  ['ㅙㅚㅞ', 0.2],
  ['ㅔㅖ', 0.4],
  ['ㅐㅒ', 0.4],
  ['ㅏㅑ', 0.6],
  ['ㅓㅕ', 0.6],
  ['ㅗㅛ', 0.6],
  ['ㅜㅠ', 0.6],
  ['ㅏㅘ', 0.6],
  ['ㅓㅝ', 0.6],
  ['ㅟㅣ', 0.5],
  ['ㅢㅣ', 0.4],
  ['ㅢㅡ', 0.5],
  ['ㅔㅞ', 0.5],
  ['ㅡㅜㅓㅗ', 0.6],
  ['ㅏㅓ', 0.7],
  ['ㄱㄲㅋ', 0.5],
  ['ㄷㄸㅌ', 0.5],
  ['ㅂㅃㅍ', 0.5],
  ['ㅈㅉㅊ', 0.5],
  ['ㅅㅆ', 0.4],
  ['ㄷㅅㅆㅈㅊㅌ', 0.6],
  ['ㄴㄹ', 0.6],
  ['ㅇㅎ', 0.6],
  ['ㅁㅂㅇㄴ', 0.8],
  ['aeiouy', 0.6],
  ['iy', 0.3],
  ['ckq', 0.5],
  ['csz', 0.5],
  ['sz', 0.4],
  ['fv', 0.6],
  ['gj', 0.6],
  ['bv', 0.6],
  ['dt', 0.7],
  ['mn', 0.7],
  ['lr', 0.7],
  ['uw', 0.6],
];

const substitutions = new Float32Array(KNOWN_SYMBOLS * KNOWN_SYMBOLS).fill(1);
const silent = new Float32Array(KNOWN_SYMBOLS).fill(1);

function lower(a: number, b: number, cost: number): void {
  for (const at of [a * KNOWN_SYMBOLS + b, b * KNOWN_SYMBOLS + a]) {
    substitutions[at] = Math.min(substitutions[at]!, cost);
  }
}

for (let a = EDGE + 1; a < KNOWN_SYMBOLS; a += 1) {
  for (let b = EDGE + 1; b < a; b += 1) {
    const [one, other] = [letterOf(a)!, letterOf(b)!];
    if (/[a-z]/.test(one) !== /[a-z]/.test(other)) continue;
    if (sameKey(one, other)) lower(a, b, SHIFTED);
    else if (adjacentKeys(one, other)) lower(a, b, ADJACENT);
  }
  substitutions[a * KNOWN_SYMBOLS + a] = 0;
}
for (const [letters, cost] of ALIKE) {
  for (const one of letters)
    for (const other of letters) if (one !== other) lower(symbolOf(one), symbolOf(other), cost);
}
silent[symbolOf('ㅇ')] = SILENT;
silent[symbolOf('h')] = SILENT;

/** One symbol in place of another. */
export function substitution(a: number, b: number): number {
  if (a === b) return 0;
  return a < KNOWN_SYMBOLS && b < KNOWN_SYMBOLS ? substitutions[a * KNOWN_SYMBOLS + b]! : 1;
}

/** A symbol too many, or one left out, after `before`. */
export function gap(symbol: number, before: number): number {
  if (symbol === before) return DOUBLED;
  return symbol < KNOWN_SYMBOLS ? silent[symbol]! : 1;
}

const consonants = new Set([...CONSONANTS].map(symbolOf));
const vowels = new Set([...VOWELS].map(symbolOf));
export const isConsonant = (symbol: number): boolean => consonants.has(symbol);
export const isVowel = (symbol: number): boolean => vowels.has(symbol);
