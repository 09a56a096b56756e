/** Texts are found by key, and the compiler knows the keys. Parts that bring texts of their own add their namespace here. */
import 'i18next';
import type { ConsoleTexts } from '../console/texts/texts.ts';
import type { Texts } from './texts.ts';

declare module 'i18next' {
  interface CustomTypeOptions {
    defaultNS: 'app';
    resources: { app: Texts; console: ConsoleTexts };
  }
}
