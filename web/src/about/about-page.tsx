/** What this can and cannot know, what to do in an emergency, and what happens with photos. */
import { useQuery } from '@tanstack/react-query';
import type { ReactElement, ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { statusQuery } from '../api/identifications.ts';
import { useGuide, useGuideText } from '../app/guide-context.tsx';
import { PageHeading } from '../app/page-heading.tsx';
import { useLanguage } from '../i18n/use-language.ts';
import { looksOf } from '../guide/levels.ts';
import { Icon } from '../ui/icons.tsx';

export function AboutPage(): ReactElement {
  const { t } = useTranslation();
  const { guide } = useGuide();
  const lang = useLanguage();
  const text = useGuideText();
  const status = useQuery(statusQuery(guide.id));
  const warning = text('warning');
  return (
    <div className="mx-auto max-w-3xl pt-6 sm:pt-10">
      <PageHeading title={t('about.title')}>{t('about.title')}</PageHeading>
      {warning !== '' && (
        <p className="mt-5 flex gap-4 rounded-md bg-danger-solid p-5 text-lg font-bold text-white">
          <Icon name="warning" size={36} className="shrink-0" />
          {warning}
        </p>
      )}
      <Part title={t('about.limitsTitle')}>
        <p>{t('about.limits', { count: guide.entries })}</p>
        {text('unknown_species') !== '' && <p>{text('unknown_species')}</p>}
        <p>{t('about.scores')}</p>
      </Part>
      {guide.levels.length > 0 && (
        <>
          <Part title={t('about.emergencyTitle')}>
            <p>{t('about.emergency')}</p>
            <ul className="list-disc space-y-1 pl-5">
              <li>{t('about.emergencyKorea')}</li>
              <li>{t('about.emergencyEurope')}</li>
              <li>{t('about.emergencyAmerica')}</li>
            </ul>
            <p>{t('about.emergencyKeep')}</p>
          </Part>
          <Part title={t('about.levelsTitle')}>
            <dl className="space-y-3">
              {guide.levels.map((level) => {
                const looks = looksOf(level);
                return (
                  <div key={level.id} className={`flex gap-3 rounded-md p-3 ${looks.wash}`}>
                    <Icon name={looks.icon} size={26} className={`shrink-0 ${looks.text}`} />
                    <div>
                      <dt className={`font-bold ${looks.text}`}>{level.label[lang]}</dt>
                      <dd className="text-sm text-ink">{level.meaning[lang]}</dd>
                    </div>
                  </div>
                );
              })}
            </dl>
          </Part>
        </>
      )}
      <Part title={t('about.privacyTitle')}>
        <p>{t('about.privacy')}</p>
        <ul className="list-disc space-y-2 pl-5">
          <li>{t('about.privacyExif')}</li>
          <li>
            {status.data
              ? t('about.privacyDays', { photos: status.data.photo_days, records: status.data.record_days })
              : t('about.privacyDelete')}
          </li>
          <li>{t('about.privacyOwner')}</li>
          <li>{t('about.privacyShare')}</li>
        </ul>
      </Part>
      {guide.tables && Object.keys(guide.tables).length > 0 && (
        <Part title={text('sources') || t('entry.sources')}>
          <ul className="list-disc space-y-2 pl-5 text-sm">
            {Object.entries(guide.tables).map(([name, table]) => (
              <li key={name}>{table.cite}</li>
            ))}
          </ul>
        </Part>
      )}
    </div>
  );
}

const Part = ({ title, children }: { readonly title: string; readonly children: ReactNode }): ReactElement => (
  <section className="mt-10">
    <h2 className="text-xl">{title}</h2>
    <div className="mt-3 space-y-3 text-soft">{children}</div>
  </section>
);
