/** What is behind a link: the outcome as its owner saw it, without a word of who that was. */
import { useQuery } from '@tanstack/react-query';
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { useParams } from 'react-router';
import { sharedQuery, type Shared } from '../api/identifications.ts';
import { GuideScope, useGuideText } from '../app/guide-context.tsx';
import { PageHeading } from '../app/page-heading.tsx';
import { paths } from '../app/paths.ts';
import { useLanguage } from '../i18n/use-language.ts';
import { ButtonLink } from '../ui/button.tsx';
import { Problem } from '../ui/problem.tsx';
import { PageSkeleton } from '../ui/skeleton.tsx';
import { headline } from './headline.ts';
import { OutcomeView } from './outcome-view.tsx';

export function SharePage(): ReactElement {
  const { token = '' } = useParams();
  const query = useQuery(sharedQuery(token));
  if (query.data) {
    return (
      <GuideScope id={query.data.guide}>
        <View shared={query.data} />
      </GuideScope>
    );
  }
  if (query.isError) return <Problem error={query.error} onRetry={() => void query.refetch()} page />;
  return <PageSkeleton />;
}

function View({ shared }: { readonly shared: Shared }): ReactElement {
  const { t } = useTranslation();
  const lang = useLanguage();
  const tagline = useGuideText()('tagline');
  const { title } = headline(shared.outcome, lang, t);
  const date = new Intl.DateTimeFormat(lang, { dateStyle: 'long', timeZone: 'UTC' }).format(new Date(shared.date));
  return (
    <div className="mx-auto max-w-3xl pt-8 sm:pt-12">
      <p className="text-sm text-soft">{t('share.someone', { date })}</p>
      <PageHeading title={title}>{title}</PageHeading>
      {shared.photos.length > 0 && (
        <ul className="mt-5 grid grid-cols-2 gap-3 sm:grid-cols-3">
          {shared.photos.map((photo) => (
            <li key={photo.n}>
              <img
                src={photo.url}
                alt={t('identify.photo', { n: photo.n + 1 })}
                width={photo.width}
                height={photo.height}
                className="h-auto w-full rounded-md border border-line"
              />
            </li>
          ))}
        </ul>
      )}
      <OutcomeView outcome={shared.outcome} />
      <div className="mt-10 rounded-lg bg-leaf-wash p-6">
        <p className="text-lg font-bold">{tagline}</p>
        <ButtonLink to={paths.identify(shared.guide)} tone="call" icon="camera" className="mt-4">
          {t('share.try')}
        </ButtonLink>
      </div>
    </div>
  );
}
