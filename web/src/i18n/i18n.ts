/**
 * The language of the page. It is chosen before the first paint (`public/boot.js`); a language's texts are fetched when it is
 * first shown. Parts that are loaded later bring texts of their own under a namespace: `addTexts`.
 */
import i18next from 'i18next';
import { initReactI18next } from 'react-i18next';
import type { en } from './en.ts';
import { LANGUAGES, type Language, type TextsOf } from './texts.ts';

type Loaders<T> = Readonly<Record<Language, () => Promise<TextsOf<T>>>>;

const loaders = new Map<string, Loaders<unknown>>();
const STORED = 'postern.language';

const app: Loaders<typeof en> = {
  en: async () => (await import('./en.ts')).en,
  ko: async () => (await import('./ko.ts')).ko,
};

export const isLanguage = (text: string): text is Language => (LANGUAGES as readonly string[]).includes(text);

/** The language that is shown now. */
export function language(): Language {
  const { lang } = document.documentElement;
  return isLanguage(lang) ? lang : 'en';
}

export async function startTexts(): Promise<void> {
  loaders.set('app', app);
  const lng = language();
  await i18next.use(initReactI18next).init({
    lng,
    ns: ['app'],
    defaultNS: 'app',
    resources: { [lng]: { app: await app[lng]() } },
    interpolation: { escapeValue: false },
    returnNull: false,
    react: { useSuspense: false },
  });
}

/** Texts of a part that is loaded later; resolves when those of the present language are there. */
export async function addTexts<T>(namespace: string, texts: Loaders<T>): Promise<void> {
  loaders.set(namespace, texts);
  await load(language(), namespace);
}

async function load(lng: Language, namespace: string): Promise<void> {
  if (i18next.hasResourceBundle(lng, namespace)) return;
  i18next.addResourceBundle(lng, namespace, await loaders.get(namespace)?.[lng]());
}

/** Shows the page in that language, and remembers the choice. */
export async function setLanguage(lng: Language): Promise<void> {
  await Promise.all([...loaders.keys()].map((namespace) => load(lng, namespace)));
  document.documentElement.lang = lng;
  try {
    localStorage.setItem(STORED, lng);
  } catch {
    // Storage may be refused; the choice then lasts as long as the page.
  }
  await i18next.changeLanguage(lng);
}
