/** Shape of the console's texts: whatever English has, as strings. */
import type { TextsOf } from '../../i18n/texts.ts';
import type { en } from './en.ts';

export type ConsoleTexts = TextsOf<typeof en>;
