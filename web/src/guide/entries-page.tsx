/** All entries of the guide, or those that a search or a filter leaves. What is chosen stands in the address. */
import { useInfiniteQuery } from '@tanstack/react-query';
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { entriesQuery, type EntryFilter } from '../api/guides.ts';
import { useGuide } from '../app/guide-context.tsx';
import { PageHeading } from '../app/page-heading.tsx';
import { useLanguage } from '../i18n/use-language.ts';
import { SearchBox } from '../search/search-box.tsx';
import { Button } from '../ui/button.tsx';
import { Icon } from '../ui/icons.tsx';
import { Problem } from '../ui/problem.tsx';
import { EntriesGrid, GridSkeleton } from './entries-grid.tsx';
import { Filters } from './filters.tsx';

export function EntriesPage(): ReactElement {
  const { t } = useTranslation();
  const { guide } = useGuide();
  const lang = useLanguage();
  const [parameters, setParameters] = useSearchParams();
  const filter: EntryFilter = {
    q: parameters.get('q') ?? '',
    level: parameters.get('level') ?? '',
    family: parameters.get('family') ?? '',
  };
  const query = useInfiniteQuery(entriesQuery(guide.id, filter, lang));
  const entries = query.data?.pages.flatMap((page) => page.items) ?? [];
  const change = (changed: Partial<EntryFilter>): void => {
    const kept = Object.entries({ ...filter, ...changed }).filter(([, value]) => value !== '');
    setParameters(Object.fromEntries(kept), { replace: true, preventScrollReset: true });
  };

  return (
    <div className="pt-6 sm:pt-10">
      <div className="flex flex-wrap items-baseline gap-x-4">
        <PageHeading title={t('nav.guide')}>{guide.title[lang]}</PageHeading>
        <p className="text-soft">{t('guide.entries', { count: guide.entries })}</p>
      </div>
      <div className="mt-4 md:hidden">
        <SearchBox />
      </div>
      {(guide.levels.length > 0 || guide.families.length > 0) && <Filters filter={filter} onChange={change} />}
      {filter.q !== '' && (
        <p className="mt-4">
          <Button tone="plain" onClick={() => change({ q: '' })}>
            “{filter.q}”
            <Icon name="close" size={16} />
            <span className="sr-only">{t('search.clear')}</span>
          </Button>
        </p>
      )}
      <div className="mt-6">
        {query.isPending && <GridSkeleton />}
        {query.isError && entries.length === 0 && <Problem error={query.error} onRetry={() => void query.refetch()} />}
        {query.isSuccess && entries.length === 0 && (
          <div className="rounded-lg border border-dashed border-edge p-8 text-center">
            <p>{filter.q === '' ? t('guide.empty') : t('search.none', { query: filter.q })}</p>
            <Button className="mt-4" onClick={() => change({ q: '', level: '', family: '' })}>
              {t('guide.reset')}
            </Button>
          </div>
        )}
        {entries.length > 0 && (
          <EntriesGrid
            entries={entries}
            hasMore={query.hasNextPage}
            loading={query.isFetchingNextPage}
            onMore={() => void query.fetchNextPage()}
          />
        )}
      </div>
    </div>
  );
}
