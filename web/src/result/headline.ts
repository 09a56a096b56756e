/** An outcome in a line and a half: for titles, toasts, notifications and lists. */
import type { TFunction } from 'i18next';
import type { Outcome } from '../api/identifications.ts';
import { nameOf } from '../guide/names.ts';
import type { Language } from '../i18n/texts.ts';

export interface Headline {
  readonly title: string;
  readonly detail: string;
}

export function headline(outcome: Outcome | null, lang: Language, t: TFunction): Headline {
  if (outcome === null) return { title: t('result.waiting'), detail: '' };
  if (outcome.type === 'failed') return { title: t('result.failed'), detail: '' };
  const first = outcome.candidates[0];
  const name = first ? nameOf(first.entry.names, lang) : '';
  if (outcome.type === 'not_a_plant') {
    return { title: outcome.label ? nameOf(outcome.label.names, lang) : t('result.notThis'), detail: '' };
  }
  const detail = outcome.danger?.verdict === 'dangerous' ? t('result.mayBeDangerous') : '';
  if (outcome.type === 'unsure') return { title: t('result.unsure'), detail: detail || t('result.guess', { name }) };
  return { title: name, detail };
}

/** A probability as people read it: never 0 % and never 100 %, because it is neither. */
export function percent(score: number, lang: Language): string {
  const format = new Intl.NumberFormat(lang, { style: 'percent', maximumFractionDigits: 0 });
  if (score > 0 && score < 0.01) return `<${format.format(0.01)}`;
  return score > 0.99 ? `>${format.format(0.99)}` : format.format(score);
}
