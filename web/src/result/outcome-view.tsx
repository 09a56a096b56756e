/** What was found, for its owner and for whoever got the link: danger first, then names, then what to make of them. */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import type { Found } from '../api/identifications.ts';
import { useGuideText } from '../app/guide-context.tsx';
import { useLanguage } from '../i18n/use-language.ts';
import { Icon } from '../ui/icons.tsx';
import { Candidates } from './candidates.tsx';
import { Verdict } from './verdict.tsx';

export function OutcomeView({ outcome }: { readonly outcome: Found }): ReactElement {
  const { t } = useTranslation();
  const lang = useLanguage();
  const text = useGuideText();
  const warning = text('warning');
  const { type, candidates, danger, label, photos_left_out: leftOut } = outcome;
  return (
    <>
      {type === 'not_a_plant' && <p className="mt-4 text-lg">{text('rejected') || label?.text[lang]}</p>}
      {type === 'unsure' && <p className="mt-4 text-lg">{text('unsure') || t('result.unsureText')}</p>}
      {danger && <Verdict danger={danger} />}
      {type === 'not_a_plant' ? (
        candidates.length > 0 && (
          <details className="mt-6">
            <summary className="min-h-11 py-2 text-sm font-semibold text-leaf">{t('result.otherwise')}</summary>
            <Candidates candidates={candidates} />
          </details>
        )
      ) : (
        <section className="mt-8">
          <h2 className="text-lg">{type === 'unsure' ? t('result.guesses') : t('result.candidates')}</h2>
          <p className="mt-1 text-sm text-soft">{t('result.calibrated')}</p>
          <Candidates candidates={candidates} />
          {leftOut > 0 && <p className="mt-3 text-sm text-soft">{t('result.leftOutCount', { count: leftOut })}</p>}
          {text('unknown_species') !== '' && <p className="mt-3 text-sm text-soft">{text('unknown_species')}</p>}
        </section>
      )}
      {warning !== '' && type !== 'not_a_plant' && (
        <p className="mt-6 flex gap-3 border-l-4 border-lichen-deep py-1 pl-4 font-semibold" id="warning">
          <Icon name="mouth" size={24} className="mt-0.5 shrink-0" />
          {warning}
        </p>
      )}
    </>
  );
}
