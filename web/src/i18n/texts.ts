/** Shape of the texts: whatever English has, as strings. */
import type { en } from './en.ts';

export type TextsOf<T> = { readonly [K in keyof T]: T[K] extends string ? string : TextsOf<T[K]> };
export type Texts = TextsOf<typeof en>;

export const LANGUAGES = ['en', 'ko'] as const;
export type Language = (typeof LANGUAGES)[number];

/** Each in its own words, so that it is found by whoever needs it. */
export const LANGUAGE_NAMES: Readonly<Record<Language, string>> = { en: 'English', ko: '한국어' };
