/** One entry: what it is, how dangerous, where that is known from, and what it is easily taken for. */
import { useQuery } from '@tanstack/react-query';
import { useEffect, type ReactElement, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useParams } from 'react-router';
import { entryQuery, type Entry } from '../api/guides.ts';
import { call } from '../api/http.ts';
import { useGuide, useGuideText } from '../app/guide-context.tsx';
import { PageHeading } from '../app/page-heading.tsx';
import { paths } from '../app/paths.ts';
import { Drawing } from '../art/drawing.tsx';
import { useLanguage } from '../i18n/use-language.ts';
import { Icon } from '../ui/icons.tsx';
import { Problem } from '../ui/problem.tsx';
import { PageSkeleton } from '../ui/skeleton.tsx';
import { DangerBanner } from './danger-banner.tsx';
import { EntryCard } from './entry-card.tsx';
import { EntrySources } from './entry-sources.tsx';
import { nameOf, otherName } from './names.ts';

export function EntryPage(): ReactElement {
  const { entry: id = '' } = useParams();
  const { guide } = useGuide();
  const query = useQuery(entryQuery(guide.id, id));
  if (query.data) return <EntryView key={query.data.id} entry={query.data} />;
  if (query.isError) return <Problem error={query.error} onRetry={() => void query.refetch()} page />;
  return <PageSkeleton />;
}

function EntryView({ entry }: { readonly entry: Entry }): ReactElement {
  const { t } = useTranslation();
  const { guide } = useGuide();
  const lang = useLanguage();
  const warning = useGuideText()('warning');
  const name = nameOf(entry.names, lang);
  useEffect(() => {
    // Counted for the ranking, or not: nobody waits for it.
    const path = `/api/guides/${encodeURIComponent(guide.id)}/entries/${encodeURIComponent(entry.id)}/views`;
    call({ method: 'POST', path, repeatable: false }).catch(() => undefined);
  }, [guide.id, entry.id]);

  return (
    <article className="pt-4 sm:pt-8">
      <Link
        to={paths.entries(guide.id)}
        className="inline-flex min-h-11 items-center gap-1 text-sm font-semibold text-leaf no-underline hover:underline"
      >
        <Icon name="back" size={18} />
        {t('entry.backToGuide')}
      </Link>
      <div className="mt-2 grid gap-6 md:grid-cols-[minmax(0,20rem)_1fr] md:gap-10">
        <Drawing
          entry={entry}
          label={t('entry.drawing', { name })}
          className="h-64 w-full rounded-md border border-line bg-plate p-4 md:sticky md:top-24 md:h-96"
        />
        <div className="min-w-0">
          <PageHeading title={name}>{name}</PageHeading>
          <p className="mt-1 text-lg text-soft">
            {entry.scientific_name !== null && <i className="latin mr-3">{entry.scientific_name}</i>}
            <span lang={lang === 'en' ? 'ko' : 'en'}>{otherName(entry.names, lang)}</span>
          </p>
          {entry.danger && <DangerBanner danger={entry.danger} />}
          <p className="mt-6 text-base">{entry.text[lang]}</p>
          <EntryFacts entry={entry} />
          {warning !== '' && <p className="mt-6 border-l-4 border-lichen-deep pl-4 font-semibold">{warning}</p>}
        </div>
      </div>
      {entry.similar.length > 0 && (
        <section className="mt-12">
          <h2 className="text-xl">{t('entry.similar')}</h2>
          {entry.similar.some(({ danger }) => danger?.dangerous) && (
            <p className="mt-1 text-soft">{t('entry.similarDanger')}</p>
          )}
          <ul className="mt-4 grid grid-cols-2 gap-4 sm:grid-cols-3 lg:grid-cols-5">
            {entry.similar.map((similar) => (
              <li key={similar.id}>
                <EntryCard entry={similar} />
              </li>
            ))}
          </ul>
        </section>
      )}
      <EntrySources entry={entry} />
    </article>
  );
}

function EntryFacts({ entry }: { readonly entry: Entry }): ReactElement {
  const { t } = useTranslation();
  const lang = useLanguage();
  const { guide } = useGuide();
  const others = entry.names[lang].slice(1);
  const notes = entry.notes ?? [];
  return (
    <>
      <dl className="mt-6 grid grid-cols-[auto_1fr] gap-x-6 gap-y-2 border-t border-line pt-5 text-sm">
        {others.length > 0 && <Fact name={t('entry.alsoCalled')}>{others.join(', ')}</Fact>}
        {entry.family && (
          <Fact name={t('entry.family')}>
            <Link
              to={`${paths.entries(guide.id)}?${new URLSearchParams({ family: entry.family.la })}`}
              className="text-leaf underline underline-offset-4"
            >
              {lang === 'ko' && entry.family.ko !== '' ? `${entry.family.ko} ` : ''}
              {entry.family.la}
            </Link>
          </Fact>
        )}
        {entry.synonyms.length > 0 && (
          <Fact name={t('entry.synonyms')}>
            <i className="latin">{entry.synonyms.join(', ')}</i>
          </Fact>
        )}
        {entry.animals && <Fact name={t('entry.animals')}>{entry.animals[lang]}</Fact>}
      </dl>
      {notes.length > 0 && (
        <section className="mt-6">
          <h2 className="text-base">{t('entry.notes')}</h2>
          <ul className="mt-2 list-disc space-y-2 pl-5 text-sm text-soft marker:text-edge">
            {notes.map((note) => (
              <li key={note.code + note.en}>{note[lang]}</li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

const Fact = ({ name, children }: { readonly name: string; readonly children: ReactNode }): ReactElement => (
  <>
    <dt className="text-soft">{name}</dt>
    <dd className="min-w-0">{children}</dd>
  </>
);
