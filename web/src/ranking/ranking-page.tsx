/** What is found most often: today, this week, ever. */
import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useSearchParams } from 'react-router';
import { PosternError } from '../../../src/errors.ts';
import { rankingQuery, WINDOWS, type Ranked } from '../api/ranking.ts';
import { useGuide } from '../app/guide-context.tsx';
import { PageHeading } from '../app/page-heading.tsx';
import { paths } from '../app/paths.ts';
import { Drawing } from '../art/drawing.tsx';
import { DangerTag } from '../guide/danger-tag.tsx';
import { nameOf, otherName } from '../guide/names.ts';
import { useLanguage } from '../i18n/use-language.ts';
import { Button, ButtonLink } from '../ui/button.tsx';
import { Problem } from '../ui/problem.tsx';
import { Skeleton } from '../ui/skeleton.tsx';

export function RankingPage(): ReactElement {
  const { t } = useTranslation();
  const { guide } = useGuide();
  const lang = useLanguage();
  const queries = useQueryClient();
  const [parameters, setParameters] = useSearchParams();
  const window = WINDOWS.find((one) => one === parameters.get('window')) ?? 'week';
  const asked = rankingQuery(guide.id, window);
  const query = useInfiniteQuery(asked);
  const { error } = query;
  const expired = error instanceof PosternError && error.code === 'cursor_expired';
  useEffect(() => {
    // The snapshot that the list came from is gone: the list begins again.
    if (expired) void queries.resetQueries({ queryKey: asked.queryKey });
  }, [expired, queries, asked.queryKey]);
  const items = query.data?.pages.flatMap((page) => page.items) ?? [];
  const made = query.data?.pages[0]?.made_at;

  return (
    <div className="mx-auto max-w-3xl pt-6 sm:pt-10">
      <PageHeading title={t('nav.ranking')}>{t('ranking.title')}</PageHeading>
      <p className="mt-2 text-soft">{t('ranking.text')}</p>
      <fieldset className="mt-5">
        <legend className="sr-only">{t('ranking.window')}</legend>
        <div className="inline-flex rounded-md border border-edge bg-surface p-1">
          {WINDOWS.map((one) => (
            <label
              key={one}
              className={`flex min-h-11 cursor-pointer items-center rounded-sm px-4 text-sm font-semibold focus-within:outline-3 focus-within:outline-leaf ${one === window ? 'bg-leaf text-on-leaf' : 'hover:bg-sunk'}`}
            >
              <input
                type="radio"
                name="window"
                value={one}
                checked={one === window}
                onChange={() => setParameters({ window: one }, { replace: true })}
                className="sr-only"
              />
              {t(`ranking.${one}`)}
            </label>
          ))}
        </div>
      </fieldset>
      <div className="mt-6">
        {query.isPending && [1, 2, 3, 4].map((one) => <Skeleton key={one} className="mb-3 h-20" />)}
        {query.isError && !expired && <Problem error={error} onRetry={() => void query.refetch()} />}
        {query.isSuccess && items.length === 0 && (
          <div className="rounded-lg border border-dashed border-edge p-8 text-center">
            <p className="text-soft">{t('ranking.empty')}</p>
            <ButtonLink to={paths.identify(guide.id)} tone="call" icon="camera" className="mt-5">
              {t('ranking.begin')}
            </ButtonLink>
          </div>
        )}
        <ol className="divide-y divide-line border-y border-line empty:border-0" id="ranking">
          {items.map((item) => (
            <Row key={item.entry.id} item={item} />
          ))}
        </ol>
        {query.hasNextPage && (
          <Button
            className="mt-4 w-full"
            disabled={query.isFetchingNextPage}
            onClick={() => void query.fetchNextPage()}
          >
            {t('mine.more')}
          </Button>
        )}
        {made !== undefined && items.length > 0 && (
          <p className="mt-4 text-xs text-soft">
            {t('ranking.made', {
              time: new Intl.DateTimeFormat(lang, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(made)),
            })}
          </p>
        )}
      </div>
    </div>
  );
}

function Row({ item: { rank, entry, finds, views } }: { readonly item: Ranked }): ReactElement {
  const { t } = useTranslation();
  const lang = useLanguage();
  const { guide } = useGuide();
  const number = new Intl.NumberFormat(lang);
  return (
    <li>
      <Link
        to={paths.entry(guide.id, entry.id)}
        className="flex items-center gap-3 px-1 py-3 text-ink no-underline hover:bg-sunk sm:gap-5"
      >
        <span className={`w-9 shrink-0 text-center text-xl font-extrabold tabular-nums ${rank > 3 ? 'text-soft' : ''}`}>
          {rank}
        </span>
        <Drawing entry={entry} className="h-20 w-16 shrink-0 rounded-sm bg-plate" />
        <span className="min-w-0 grow">
          <strong className="block leading-snug">{nameOf(entry.names, lang)}</strong>
          <span className="block truncate text-sm text-soft">
            {entry.scientific_name === null ? (
              otherName(entry.names, lang)
            ) : (
              <i className="latin">{entry.scientific_name}</i>
            )}
          </span>
          {entry.danger && <DangerTag level={entry.danger.level} />}
        </span>
        <span className="shrink-0 text-right text-sm">
          <strong className="block tabular-nums">
            {t('ranking.finds', { count: finds, n: number.format(finds) })}
          </strong>
          <span className="block text-xs text-soft tabular-nums">
            {t('ranking.views', { count: views, n: number.format(views) })}
          </span>
        </span>
      </Link>
    </li>
  );
}
