/** The console's texts come when it is first opened. */
import { addTexts } from '../../i18n/i18n.ts';
import type { en } from './en.ts';

export const loadConsoleTexts = (): Promise<void> =>
  addTexts<typeof en>('console', {
    en: async () => (await import('./en.ts')).en,
    ko: async () => (await import('./ko.ts')).ko,
  });
