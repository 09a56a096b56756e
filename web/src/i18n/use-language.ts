/** The language for components: with it, what the guides say in two languages becomes what is shown. */
import { useTranslation } from 'react-i18next';
import { isLanguage } from './i18n.ts';
import type { Language } from './texts.ts';

export interface Both {
  readonly en: string;
  readonly ko: string;
}

export function useLanguage(): Language {
  const { i18n } = useTranslation();
  return isLanguage(i18n.language) ? i18n.language : 'en';
}
