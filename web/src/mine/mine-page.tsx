/** One's own identifications, the newest first, under those that are under way; and how to be forgotten. */
import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { useState, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { forgetAll, ownQuery, type Identification } from '../api/identifications.ts';
import { useGuide } from '../app/guide-context.tsx';
import { PageHeading } from '../app/page-heading.tsx';
import { paths } from '../app/paths.ts';
import { Drawing } from '../art/drawing.tsx';
import { useLanguage } from '../i18n/use-language.ts';
import { JobCard } from '../identify/job-card.tsx';
import { useJobList } from '../jobs/jobs-provider.tsx';
import { headline } from '../result/headline.ts';
import { Button, ButtonLink } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { Icon } from '../ui/icons.tsx';
import { Problem } from '../ui/problem.tsx';
import { Skeleton } from '../ui/skeleton.tsx';

export function MinePage(): ReactElement {
  const { t } = useTranslation();
  const { guide } = useGuide();
  const jobs = useJobList();
  const query = useInfiniteQuery(ownQuery);
  const underWay = new Set(jobs.map((job) => job.id));
  const items = (query.data?.pages.flatMap((page) => page.items) ?? []).filter(({ id }) => !underWay.has(id));
  const nothing = query.isSuccess && items.length === 0 && jobs.length === 0;
  return (
    <div className="mx-auto max-w-3xl pt-6 sm:pt-10">
      <PageHeading title={t('nav.mine')}>{t('nav.mine')}</PageHeading>
      <p className="mt-2 text-soft">{t('mine.text')}</p>
      {jobs.length > 0 && (
        <ul className="mt-6 space-y-3">
          {jobs.map((job) => (
            <JobCard key={job.key} job={job} />
          ))}
        </ul>
      )}
      <div className="mt-6">
        {query.isPending && [1, 2, 3].map((one) => <Skeleton key={one} className="mb-3 h-24" />)}
        {query.isError && <Problem error={query.error} onRetry={() => void query.refetch()} />}
        {nothing && (
          <div className="rounded-lg border border-dashed border-edge p-8 text-center">
            <p className="text-soft">{t('mine.empty')}</p>
            <ButtonLink to={paths.identify(guide.id)} tone="call" icon="camera" className="mt-5">
              {t('mine.begin')}
            </ButtonLink>
          </div>
        )}
        <ul className="space-y-3" id="identifications">
          {items.map((identification) => (
            <Row key={identification.id} identification={identification} />
          ))}
        </ul>
        {query.hasNextPage && (
          <Button
            className="mt-4 w-full"
            disabled={query.isFetchingNextPage}
            onClick={() => void query.fetchNextPage()}
          >
            {t('mine.more')}
          </Button>
        )}
      </div>
      {items.length > 0 && <ForgetAll />}
    </div>
  );
}

function Row({ identification }: { readonly identification: Identification }): ReactElement {
  const { t } = useTranslation();
  const lang = useLanguage();
  const { outcome, photos, guide, id, created_at } = identification;
  const { title, detail } = headline(outcome, lang, t);
  const thumb = photos[0]?.thumb ?? null;
  const first = outcome !== null && outcome.type !== 'failed' ? outcome.candidates[0]?.entry : undefined;
  const date = new Intl.DateTimeFormat(lang, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(created_at));
  return (
    <li>
      <Link
        to={paths.identification(guide, id)}
        className="flex items-center gap-4 rounded-md border border-line bg-surface p-3 text-ink no-underline hover:shadow-high"
      >
        {thumb !== null ? (
          <img src={thumb} alt="" loading="lazy" className="size-20 shrink-0 rounded-sm bg-sunk object-cover" />
        ) : first ? (
          <Drawing entry={first} className="size-20 shrink-0 rounded-sm bg-plate" />
        ) : (
          <span className="size-20 shrink-0 rounded-sm bg-sunk" />
        )}
        <span className="min-w-0 grow">
          <strong className="block">{title}</strong>
          {detail !== '' && (
            <span className="flex items-center gap-1 text-sm font-semibold text-danger">
              {outcome?.type !== 'failed' && outcome?.danger?.verdict === 'dangerous' && (
                <Icon name="warning" size={16} />
              )}
              {detail}
            </span>
          )}
          <span className="block text-xs text-soft">{date}</span>
        </span>
        <Icon name="next" className="shrink-0 text-soft" />
      </Link>
    </li>
  );
}

function ForgetAll(): ReactElement {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const [open, setOpen] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const close = (): void => setOpen(false);
  const onForget = (): void => {
    forgetAll().then(async () => {
      close();
      queries.removeQueries({ queryKey: ['identification'] });
      await queries.invalidateQueries({ queryKey: ['identifications'] });
    }, setProblem);
  };
  return (
    <div className="mt-10 border-t border-line pt-6">
      <Button icon="trash" onClick={() => setOpen(true)}>
        {t('mine.forgetAll')}
      </Button>
      <Dialog open={open} onClose={close} title={t('mine.forgetTitle')}>
        <p className="mt-3 text-sm text-soft">{t('delete.text')}</p>
        <div className="mt-5 flex flex-wrap gap-3">
          <Button tone="grave" icon="trash" onClick={onForget}>
            {t('mine.forgetConfirm')}
          </Button>
          <Button tone="quiet" onClick={close}>
            {t('delete.keep')}
          </Button>
        </div>
        {problem !== null && <Problem error={problem} />}
      </Dialog>
    </div>
  );
}
