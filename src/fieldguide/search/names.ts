/** What of an entry's names can be found: whole names, their words, parts of Korean compounds, initials, Latin spelling. */
import { getChoseong, romanize } from 'es-hangul';
import type { Key } from './key-table.ts';
import { symbolOf, symbolsOf, wordsOf } from './symbols.ts';

/** One thing to be found, by any of its names, the most important first. */
export interface Named {
  readonly names: readonly string[];
}

/** A word of a name, or the end of a Korean compound, beside the whole name. */
export const PART = 0.7;
const ROMANIZED = 0.3;
/** Each name after the first. */
const LATER_NAME = 0.01;

const HANGUL = /^[가-힣]+$/;

/** Whole names, the words of names of several words, and Korean names as they are written in Latin letters. */
export function namesOf({ names }: Named, entry: number): Key[] {
  return names.flatMap((name, rank) => {
    const words = wordsOf(name);
    const key = (text: string, base: number): Key => ({
      symbols: symbolsOf(text),
      entry,
      base: base + LATER_NAME * rank,
    });
    const whole = words.join('');
    const keys = [key(whole, 0)];
    if (words.length > 1) keys.push(...words.map((word) => key(word, PART)));
    if (HANGUL.test(whole)) keys.push(key(romanize(whole), ROMANIZED));
    return keys.filter(({ symbols }) => symbols.length > 0);
  });
}

/** Korean names are mostly written together: any syllable may begin the part that is remembered (능소화 of 미국능소화). */
export function innerPartsOf({ names }: Named, entry: number): Key[] {
  return names.flatMap((name, rank) =>
    endingsOf(koreanOf(name)).map((part) => ({ symbols: symbolsOf(part), entry, base: PART + LATER_NAME * rank })),
  );
}

/** Initial consonants of Korean names, and of their parts: ㅈㄷㄹ. */
export function initialsOf({ names }: Named, entry: number): Key[] {
  return names.flatMap((name, rank) => {
    const whole = koreanOf(name);
    const key = (text: string, base: number): Key => ({
      symbols: [...getChoseong(text)].map(symbolOf),
      entry,
      base: base + LATER_NAME * rank,
    });
    return whole === '' ? [] : [key(whole, 0), ...endingsOf(whole).map((part) => key(part, PART))];
  });
}

const koreanOf = (name: string): string =>
  wordsOf(name)
    .filter((word) => HANGUL.test(word))
    .join('');

/** What is left of two syllables or more after cutting one, two, … off the front. */
const endingsOf = (text: string): string[] =>
  [...text].flatMap((_, cut) => (cut > 0 && text.length - cut > 1 ? [text.slice(cut)] : []));
