/** The first page: bring a photo. Under it what is under way, what was found before, and what one should know on sight. */
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useEffect, useState, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { Navigate, useNavigate, useParams } from 'react-router';
import { ownQuery, statusQuery } from '../api/identifications.ts';
import { useGuide, useGuideText } from '../app/guide-context.tsx';
import { PageHeading } from '../app/page-heading.tsx';
import { paths } from '../app/paths.ts';
import { useLanguage } from '../i18n/use-language.ts';
import { useJobList } from '../jobs/jobs-provider.tsx';
import { ButtonLink } from '../ui/button.tsx';
import { Icon } from '../ui/icons.tsx';
import { RecentCard } from '../mine/recent-card.tsx';
import { Capture } from './capture.tsx';
import { JobCard } from './job-card.tsx';
import { KnowThese } from './know-these.tsx';
import { Specimens } from './specimens.tsx';

/** Of one's own, as many as one row has. */
const RECENT = 4;

export function IdentifyPage(): ReactElement {
  const { guide } = useGuide();
  // "/" is whichever guide was read last; its address says which.
  return useParams().guide === undefined ? <Navigate to={paths.identify(guide.id)} replace /> : <Identify />;
}

function Identify(): ReactElement {
  const { t } = useTranslation();
  const { guide } = useGuide();
  const lang = useLanguage();
  const text = useGuideText();
  const jobs = useJobList();
  const [sent, setSent] = useState<string | null>(null);
  useOpening(sent);
  const warning = text('warning');
  return (
    <>
      <div className="grid items-center gap-8 pt-6 sm:pt-12 lg:grid-cols-[minmax(0,1fr)_26rem] lg:gap-14">
        <div className="min-w-0">
          <PageHeading title={guide.title[lang]} className="text-3xl">
            {text('tagline') || guide.title[lang]}
          </PageHeading>
          <p className="mt-4 mb-6 max-w-xl text-soft sm:text-lg">
            {text('lead') || t('identify.lead', { count: guide.entries })}
          </p>
          <Capture onSent={setSent} />
          <Presence />
          {warning !== '' && (
            <p className="mt-4 flex items-start gap-2.5 text-sm font-semibold">
              <Icon name="warning" size={20} className="mt-0.5 shrink-0 text-danger" />
              {warning}
            </p>
          )}
        </div>
        <Specimens />
      </div>
      {jobs.length > 0 && (
        <section className="mt-12" aria-labelledby="under-way">
          <h2 id="under-way" className="text-xl">
            {t('identify.underWay')}
          </h2>
          <ul className="mt-4 grid gap-3 lg:grid-cols-2" id="jobs">
            {jobs.map((job) => (
              <JobCard key={job.key} job={job} />
            ))}
          </ul>
        </section>
      )}
      <Recent />
      <KnowThese />
    </>
  );
}

/** What was sent from here is opened as soon as it has an address, if nobody went elsewhere meanwhile. */
function useOpening(key: string | null): void {
  const navigate = useNavigate();
  const job = useJobList().find((one) => one.key === key);
  const id = job?.id ?? null;
  const guide = job?.guide ?? '';
  useEffect(() => {
    if (id !== null) void navigate(paths.identification(guide, id));
  }, [id, guide, navigate]);
}

/** Said only when photos have to wait: nobody needs to know that all is well. */
function Presence(): ReactElement | null {
  const { t } = useTranslation();
  const { guide } = useGuide();
  const lang = useLanguage();
  const { data } = useQuery(statusQuery(guide.id));
  if (!data || data.worker.state === 'ready') return null;
  const { state, last_seen_at: at } = data.worker;
  const time =
    at === null ? '' : new Intl.DateTimeFormat(lang, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(at));
  return (
    <p
      role="status"
      id="presence"
      className="mt-4 flex items-start gap-2.5 rounded-md bg-unknown-wash p-3 text-sm text-unknown"
    >
      <Icon name="clock" size={20} className="mt-0.5 shrink-0" />
      {state === 'busy' ? t('stage.busy') : at === null ? t('stage.never') : t('stage.away', { time })}
    </p>
  );
}

function Recent(): ReactElement | null {
  const { t } = useTranslation();
  const { guide } = useGuide();
  const jobs = useJobList();
  const { data } = useInfiniteQuery(ownQuery);
  const underWay = new Set(jobs.map((job) => job.id));
  const items = (data?.pages[0]?.items ?? []).filter(({ id }) => !underWay.has(id)).slice(0, RECENT);
  if (items.length === 0) return null;
  return (
    <section className="mt-14" aria-labelledby="recent">
      <div className="flex items-baseline justify-between gap-4">
        <h2 id="recent" className="text-xl">
          {t('identify.recent')}
        </h2>
        <ButtonLink to={paths.mine(guide.id)} tone="quiet" className="-mr-4 text-leaf">
          {t('identify.all')}
        </ButtonLink>
      </div>
      <ul className="mt-4 grid grid-cols-2 gap-4 sm:grid-cols-4">
        {items.map((identification) => (
          <RecentCard key={identification.id} identification={identification} />
        ))}
      </ul>
    </section>
  );
}
