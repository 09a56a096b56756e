/** What somebody may have meant by what was typed: as it stands, or with the keyboard set to the other language. */
import { isConsonant, isVowel } from './costs.ts';
import { asIfEnglish, asIfKorean } from './keyboard.ts';
import { MAX_SYMBOLS, symbolsOf, wordsOf } from './symbols.ts';

export interface Reading {
  readonly words: readonly (readonly number[])[];
  /** All words as one. */
  readonly whole: readonly number[];
  readonly penalty: number;
  /** Initial consonants only: ㅈㄷㄹ. */
  readonly initials: boolean;
}

/** Longer queries are cut: nobody types them, and the work grows with them. */
export const MAX_QUERY_CHARACTERS = 100;
const MAX_WORDS = 6;
const WRONG_LAYOUT = 0.3;

export function readingsOf(query: string): Reading[] {
  const text = query.slice(0, MAX_QUERY_CHARACTERS).normalize('NFC').trim();
  const plain = readingOf(text, 0);
  if (plain === null) return [];
  const readings = [plain];
  const korean = asIfKorean(text);
  const asKorean = korean === null ? null : readingOf(korean, WRONG_LAYOUT);
  if (asKorean?.words.every(formsSyllables)) readings.push(asKorean);
  // English typed as Korean leaves letters that stand alone; Korean does not, but for initials and an unfinished syllable.
  const english = !plain.initials && /[ㄱ-ㅎㅏ-ㅣ]/.test(text) ? asIfEnglish(text) : null;
  const asEnglish = english === null ? null : readingOf(english, WRONG_LAYOUT);
  if (asEnglish) readings.push(asEnglish);
  return readings;
}

function readingOf(text: string, penalty: number): Reading | null {
  const words = wordsOf(text).slice(0, MAX_WORDS).map(symbolsOf);
  const whole = words.flat().slice(0, MAX_SYMBOLS);
  return whole.length === 0 ? null : { words, whole, penalty, initials: whole.every(isConsonant) };
}

/** Whether Korean could be so, with one slip: English read as Korean has vowels in rows and none where they belong. */
function formsSyllables(symbols: readonly number[]): boolean {
  let faults = 0;
  let consonants = 0;
  symbols.forEach((symbol, index) => {
    if (isVowel(symbol)) {
      if (consonants === 0) faults += 1;
      consonants = 0;
    } else {
      consonants += 1;
      // Two at the end of a syllable and one at the head of the next.
      if (consonants > 3 || (index === 1 && consonants === 2)) faults += 1;
    }
  });
  return faults <= 1 && (symbols.length < 3 || symbols.some(isVowel));
}
