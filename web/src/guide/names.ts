/** What an entry is called: the first name of the page's language is shown, the others are told where there is room. */
import type { Names } from '../api/guides.ts';
import type { Language } from '../i18n/texts.ts';

export const nameOf = (names: Names, lang: Language): string => names[lang][0] ?? names.en[0] ?? '';

/** The first name in the other language, for those who know it by that. */
export const otherName = (names: Names, lang: Language): string => names[lang === 'en' ? 'ko' : 'en'][0] ?? '';
