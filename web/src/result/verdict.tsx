/**
 * What the photos mean for one's safety, before any name. Danger is a block of colour with a sign and words; that nothing
 * dangerous was seen is said quietly, and never as "safe".
 */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import type { DangerVerdict } from '../api/identifications.ts';
import { useGuide, useGuideText } from '../app/guide-context.tsx';
import { paths } from '../app/paths.ts';
import { LOOKS, looksOf, useLevel } from '../guide/levels.ts';
import { useLanguage } from '../i18n/use-language.ts';
import { Icon } from '../ui/icons.tsx';
import { percent } from './headline.ts';

export function Verdict({ danger }: { readonly danger: DangerVerdict }): ReactElement {
  const { t } = useTranslation();
  const lang = useLanguage();
  const { guide } = useGuide();
  const text = useGuideText();
  const level = useLevel(danger.level);
  if (danger.verdict === 'none') {
    return (
      <section
        aria-label={t('verdict.label')}
        id="verdict"
        data-verdict="none"
        className="mt-5 flex gap-3 rounded-md border border-line bg-surface p-4"
      >
        <Icon name="info" size={24} className="shrink-0 text-soft" />
        <p className="text-sm">{text('verdict_none') || t('verdict.none')}</p>
      </section>
    );
  }
  const dangerous = danger.verdict === 'dangerous';
  const looks = dangerous ? (level?.dangerous ? looksOf(level) : LOOKS.warning) : LOOKS.question;
  return (
    <section
      aria-label={t('verdict.label')}
      id="verdict"
      data-verdict={danger.verdict}
      className={`mt-5 rounded-md p-4 sm:p-5 ${dangerous ? looks.solid : 'border-2 border-dashed border-edge bg-unknown-wash'}`}
    >
      <div className="flex gap-4">
        <Icon name={looks.icon} size={52} className="shrink-0" />
        <div className="min-w-0">
          <p className="text-xl leading-tight font-extrabold">
            {dangerous ? (level?.dangerous ? level.label[lang] : t('verdict.dangerous')) : t('verdict.unknown')}
          </p>
          <p className="mt-1.5 font-semibold">
            {dangerous ? text('verdict_dangerous') || t('verdict.dangerousText') : t('verdict.unknownText')}
          </p>
        </div>
      </div>
      {danger.causes.length > 0 && (
        <ul className="mt-4 space-y-3 border-t border-current/30 pt-3 text-sm">
          {danger.causes.map((cause) => (
            <li key={cause.group ?? cause.entry}>
              <p>
                <Link
                  to={paths.entry(guide.id, cause.entry)}
                  className="inline-block py-1 font-bold text-current underline underline-offset-4"
                >
                  {cause.names[lang]}
                </Link>{' '}
                <span className="whitespace-nowrap">
                  {t('verdict.likely', { percent: percent(cause.probability, lang) })}
                </span>
              </p>
              <p>
                <strong>{t('entry.parts')}: </strong>
                {cause.parts?.[lang] ?? t('entry.partsUnknown')}
              </p>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
