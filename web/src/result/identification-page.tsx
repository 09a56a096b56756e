/** One's own identification: what happens with it while it is under way, then what was found, and what can be done with it. */
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useParams } from 'react-router';
import { identificationQuery, type Identification } from '../api/identifications.ts';
import { PageHeading } from '../app/page-heading.tsx';
import { paths } from '../app/paths.ts';
import { useLanguage } from '../i18n/use-language.ts';
import { useJobList, useJobs } from '../jobs/jobs-provider.tsx';
import { ButtonLink } from '../ui/button.tsx';
import { Icon } from '../ui/icons.tsx';
import { Problem } from '../ui/problem.tsx';
import { PageSkeleton } from '../ui/skeleton.tsx';
import { FailedView } from './failed-view.tsx';
import { Feedback } from './feedback.tsx';
import { headline } from './headline.ts';
import { OutcomeView } from './outcome-view.tsx';
import { OwnerActions } from './owner-actions.tsx';
import { Waiting } from './waiting.tsx';

export function IdentificationPage(): ReactElement {
  const { id = '' } = useParams();
  const query = useQuery(identificationQuery(id));
  if (query.data) return <View key={id} identification={query.data} />;
  if (query.isError) return <Problem error={query.error} onRetry={() => void query.refetch()} page />;
  return <PageSkeleton />;
}

function View({ identification }: { readonly identification: Identification }): ReactElement {
  const { t } = useTranslation();
  const lang = useLanguage();
  const { outcome, status, guide, id } = identification;
  const decided = status === 'decided' && outcome !== null;
  useWatched(identification);
  const { title, detail } = headline(outcome, lang, t);
  const arrived = useArrival(decided);

  return (
    <div className="pt-4 sm:pt-8">
      <Link
        to={paths.mine(guide)}
        className="inline-flex min-h-11 items-center gap-1 text-sm font-semibold text-leaf no-underline hover:underline"
      >
        <Icon name="back" size={18} />
        {t('nav.mine')}
      </Link>
      <div className="mt-2 grid gap-6 md:grid-cols-[minmax(0,18rem)_1fr] md:gap-10">
        <PhotoStrip identification={identification} />
        <div className="min-w-0">
          <PageHeading title={title}>
            {decided ? <Title identification={identification} text={title} /> : t('result.waitingTitle')}
          </PageHeading>
          <p role="status" className="sr-only">
            {arrived ? t('result.arrived', { title, detail }) : ''}
          </p>
          {!decided && <Waiting identification={identification} />}
          {decided && outcome.type === 'failed' && <FailedView identification={identification} outcome={outcome} />}
          {decided && outcome.type !== 'failed' && (
            <>
              <OutcomeView outcome={outcome} />
              {outcome.type !== 'not_a_plant' && <Feedback identification={identification} outcome={outcome} />}
            </>
          )}
          {decided && (
            <div className="mt-8 flex flex-wrap gap-3 border-t border-line pt-6">
              <ButtonLink to={paths.identify(guide)} tone="call" icon="camera">
                {t('result.another')}
              </ButtonLink>
              <OwnerActions key={id} identification={identification} />
            </div>
          )}
        </div>
      </div>
    </div>
  );
}

/** The heading names the first candidate where there is one that counts; its page is one step away. */
function Title({
  identification,
  text,
}: {
  readonly identification: Identification;
  readonly text: string;
}): ReactElement {
  const { outcome, guide } = identification;
  const first = outcome?.type === 'candidates' ? outcome.candidates[0] : undefined;
  if (!first) return <>{text}</>;
  return (
    <Link
      to={paths.entry(guide, first.entry.id)}
      className="text-ink decoration-lichen-deep decoration-4 underline-offset-8 hover:underline"
    >
      {text}
    </Link>
  );
}

/** An identification that is not decided is watched, whoever opened it; one that is decided before one's eyes was seen. */
function useWatched(identification: Identification): void {
  const jobs = useJobs();
  const list = useJobList();
  const { id, status } = identification;
  const unseen = list.some((job) => job.id === id && job.phase === 'decided');
  useEffect(() => {
    if (status !== 'decided') jobs.follow(identification);
    // Followed once; its news come by the watcher.
  }, [jobs, id, status]);
  useEffect(() => {
    if (!unseen) return;
    const look = (): void => {
      if (document.visibilityState === 'visible') void jobs.seen(id);
    };
    look();
    document.addEventListener('visibilitychange', look);
    return () => document.removeEventListener('visibilitychange', look);
  }, [jobs, id, unseen]);
}

/** Did the outcome come while the page was open? Then it is said aloud. */
function useArrival(decided: boolean): boolean {
  const before = useRef(decided);
  return decided && !before.current;
}

function PhotoStrip({ identification }: { readonly identification: Identification }): ReactElement {
  const { t } = useTranslation();
  const { photos } = identification;
  return (
    <ul className={`grid gap-3 self-start ${photos.length > 1 ? 'grid-cols-2' : ''}`}>
      {photos.map((photo) => (
        <li key={photo.n} className="relative overflow-hidden rounded-md border border-line bg-sunk">
          {photo.url === null ? (
            <span className="flex aspect-4/3 items-center justify-center p-4 text-center text-sm text-soft">
              {t('result.photoGone')}
            </span>
          ) : (
            <img
              src={photos.length > 1 ? (photo.thumb ?? photo.url) : photo.url}
              alt={t('identify.photo', { n: photo.n + 1 })}
              width={photo.width}
              height={photo.height}
              className={`h-auto max-h-64 w-full object-cover md:max-h-96 ${photo.state === 'left_out' ? 'opacity-45' : ''}`}
            />
          )}
          {(photo.state === 'left_out' || photo.state === 'failed') && (
            <span className="absolute inset-x-0 bottom-0 bg-ink px-2 py-1 text-xs font-semibold text-paper">
              {t('result.leftOut')}
            </span>
          )}
        </li>
      ))}
    </ul>
  );
}
