/** Where the letters lie under the fingers: QWERTY, and the Korean standard layout (두벌식) on the same keys. */
import { convertHangulToQwerty, convertQwertyToAlphabet, disassemble } from 'es-hangul';

const ROWS = ['qwertyuiop', 'asdfghjkl', 'zxcvbnm'];
/** How far each row is shifted to the right, in keys. */
const SHIFTS = [0, 0.25, 0.75];

const places = new Map<string, readonly [number, number]>();
ROWS.forEach((row, y) => [...row].forEach((key, x) => places.set(key, [x + SHIFTS[y]!, y])));

/** The key that types a letter, without shift; undefined for what has none (a vowel of two keys). */
function keyOf(letter: string): string | undefined {
  const key = /^[a-z]$/.test(letter) ? letter : convertHangulToQwerty(letter).toLowerCase();
  return key.length === 1 && places.has(key) ? key : undefined;
}

/** True for letters on keys that touch. */
export function adjacentKeys(a: string, b: string): boolean {
  const [from, to] = [places.get(keyOf(a) ?? ''), places.get(keyOf(b) ?? '')];
  if (!from || !to) return false;
  const [dx, dy] = [Math.abs(from[0] - to[0]), Math.abs(from[1] - to[1])];
  return dy === 0 ? dx === 1 : dy === 1 && dx < 1;
}

/** The same key, with and without shift (ㄱ and ㄲ). */
export const sameKey = (a: string, b: string): boolean => a !== b && keyOf(a) !== undefined && keyOf(a) === keyOf(b);

/** What was meant when Korean was typed with the keyboard set to English: `wlsekffo` → ㅈㅣㄴㄷㅏㄹㄹㅐ. Null when it can't be that. */
export function asIfKorean(text: string): string | null {
  // Shift is kept where it makes a letter of its own; a whole word in capitals is caps lock.
  const typed = text === text.toUpperCase() ? text.toLowerCase() : text;
  return /^[A-Za-z\s]+$/.test(typed) ? disassemble(convertQwertyToAlphabet(typed)) : null;
}

/** What was meant when English was typed with the keyboard set to Korean: 개ㄴㄷ → rose. Null when it can't be that. */
export function asIfEnglish(text: string): string | null {
  if (!/[ㄱ-ㅎㅏ-ㅣ가-힣]/.test(text)) return null;
  const keys = convertHangulToQwerty(text);
  return /^[A-Za-z\s]+$/.test(keys) ? keys.toLowerCase() : null;
}
