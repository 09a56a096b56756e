/**
 * What search compares: names as sequences of symbols, one a keystroke as a person thinks of it. Latin letters lose case
 * and accents; Hangul is taken apart into its letters (jamo), clusters at the end of a syllable into two, and a vowel that is
 * typed with two keys is one symbol, because it is one sound. So an unfinished syllable (진다ㄹ) is a prefix of 진달래, and
 * one slip is one symbol wherever it falls.
 */
import { disassemble } from 'es-hangul';

const LATIN = 'abcdefghijklmnopqrstuvwxyz';
const DIGITS = '0123456789';
export const CONSONANTS = 'ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ';
export const VOWELS = 'ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ';
/** As they come out of `disassemble`, which takes what two keys type apart. */
const TWO_KEY_VOWELS: Readonly<Record<string, string>> = {
  ㅗㅏ: 'ㅘ',
  ㅗㅐ: 'ㅙ',
  ㅗㅣ: 'ㅚ',
  ㅜㅓ: 'ㅝ',
  ㅜㅔ: 'ㅞ',
  ㅜㅣ: 'ㅟ',
  ㅡㅣ: 'ㅢ',
};

/** 0 is the edge of a name. */
export const EDGE = 0;
const ALPHABET = [...LATIN, ...DIGITS, ...CONSONANTS, ...VOWELS];
const SYMBOL_OF = new Map(ALPHABET.map((letter, index) => [letter, index + 1]));
/** Symbols with a place in the table of costs; letters of other scripts lie above it and differ from one another by 1. */
export const KNOWN_SYMBOLS = ALPHABET.length + 1;
/** A name or a query is cut here: the longest of 50,000 plant names has 49 letters. */
export const MAX_SYMBOLS = 64;

export function symbolOf(letter: string): number {
  const known = SYMBOL_OF.get(letter);
  if (known !== undefined) return known;
  return KNOWN_SYMBOLS + ((letter.codePointAt(0) ?? 0) % (0xffff - KNOWN_SYMBOLS));
}

export const letterOf = (symbol: number): string | undefined => ALPHABET[symbol - 1];

/** Words of a text: what lies between spaces and signs. Apostrophes and dots vanish, so that `colt's foot` is `colts foot`. */
export function wordsOf(text: string): string[] {
  // Canonical forms only: the compatible ones would turn a lone ㅈ into a part of a syllable.
  return text
    .normalize('NFD')
    .replace(/[\u0300-\u036f'’‘`.]/g, '')
    .normalize('NFC')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
}

/** One word as symbols, at most {@link MAX_SYMBOLS}. */
export function symbolsOf(word: string): number[] {
  const symbols: number[] = [];
  let pending = '';
  for (const letter of disassemble(word)) {
    const joined = pending === '' ? undefined : TWO_KEY_VOWELS[pending + letter];
    if (joined !== undefined) {
      symbols[symbols.length - 1] = symbolOf(joined);
      pending = '';
      continue;
    }
    if (symbols.length === MAX_SYMBOLS) break;
    symbols.push(symbolOf(letter));
    pending = letter;
  }
  return symbols;
}
