/** One job: all that is known of it, and what can be done with it. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState, type ReactElement, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { PosternError } from '../../../../src/errors.ts';
import { useLanguage } from '../../i18n/use-language.ts';
import { Problem, useProblemText } from '../../ui/problem.tsx';
import { Skeleton } from '../../ui/skeleton.tsx';
import { ADMIN, jobQuery } from '../api.ts';
import { ago, bytes, moment, number, shortId } from '../format.ts';
import { useLive } from '../live.tsx';
import { CopyButton } from '../parts/code.tsx';
import { SmallButton } from '../parts/controls.tsx';
import { Modal } from '../parts/dialogs.tsx';
import { useNotice } from '../parts/notices.tsx';
import { StatePill } from '../parts/pill.tsx';
import { SplitList } from '../parts/split.tsx';
import { useSession } from '../session.tsx';
import { isDecided, isRetriable, type Job } from '../shapes.ts';

interface JobDrawerProps {
  readonly id: string;
  readonly onClose: () => void;
  readonly onOpen: (id: string) => void;
}

export function JobDrawer({ id, onClose, onOpen }: JobDrawerProps): ReactElement {
  const { t } = useTranslation('console');
  const { data: job, error, refetch } = useQuery(jobQuery(id));
  const isGone = error instanceof PosternError && error.code === 'prediction_not_found';
  return (
    <Modal drawer title={t('jobs.details', { id: shortId(id) })} onClose={onClose}>
      {isGone && <p className="mt-4 text-sm text-soft">{t('jobs.gone')}</p>}
      {!isGone && error !== null && job === undefined && <Problem error={error} onRetry={() => void refetch()} />}
      {job === undefined && error === null && <Skeleton className="mt-4 h-40" />}
      {job !== undefined && (
        <>
          <Head job={job} onOpen={onOpen} />
          <Facts job={job} />
        </>
      )}
    </Modal>
  );
}

function Head({ job, onOpen }: { readonly job: Job; readonly onOpen: (id: string) => void }): ReactElement {
  const { t } = useTranslation('console');
  const { send } = useSession();
  const queries = useQueryClient();
  const notice = useNotice();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const problem = useProblemText(error);
  const path = `/v1/admin/predictions/${encodeURIComponent(job.id)}`;

  async function act(step: () => Promise<void>): Promise<void> {
    setBusy(true);
    setError(null);
    try {
      await step();
      await queries.invalidateQueries({ queryKey: [ADMIN] });
    } catch (thrown) {
      setError(thrown);
    } finally {
      setBusy(false);
    }
  }
  const cancel = (): Promise<void> =>
    act(async () => {
      const after = await send<Job>(`${path}/cancel`);
      const text = after?.status === 'canceled' ? 'jobs.canceled' : 'jobs.cancelAsked';
      notice({ text: t(text, { id: shortId(job.id) }) });
    });
  const retry = (): Promise<void> =>
    act(async () => {
      const again = await send<Job>(`${path}/retry`);
      if (again === null) return;
      notice({ text: t('jobs.retried', { id: shortId(again.id) }) });
      onOpen(again.id);
    });
  const isCanceling = job.cancel_requested && job.status === 'processing';

  return (
    <>
      <div className="mt-3 flex flex-wrap items-center gap-2">
        <StatePill state={isCanceling ? 'canceling' : job.status} />
        {!isDecided(job.status) && (
          <SmallButton tone="grave" disabled={busy || isCanceling} onClick={() => void cancel()}>
            {t('jobs.cancel')}
          </SmallButton>
        )}
        {isRetriable(job.status) && (
          <SmallButton icon="retry" disabled={busy} onClick={() => void retry()}>
            {t('jobs.retry')}
          </SmallButton>
        )}
      </div>
      <p role="alert" className="mt-2 text-sm font-semibold text-deadly empty:hidden">
        {error === null ? '' : problem}
      </p>
      <div className="mt-3 flex items-center gap-2 rounded-md bg-sunk py-1 pr-1 pl-3">
        <code className="min-w-0 grow truncate font-mono text-xs">{job.id}</code>
        <CopyButton text={job.id} />
      </div>
    </>
  );
}

function Facts({ job }: { readonly job: Job }): ReactElement {
  const { t } = useTranslation('console');
  const lang = useLanguage();
  const { now } = useLive();
  const time = (at: string | null): ReactNode =>
    at === null ? null : (
      <time dateTime={at}>
        {moment(lang, at)} <span className="text-soft">({ago(lang, Date.parse(at), now)})</span>
      </time>
    );
  const progress =
    job.progress === null
      ? null
      : [
          job.progress.fraction === null ? '' : `${number(lang, job.progress.fraction * 100)} %`,
          job.progress.message ?? '',
        ]
          .filter(Boolean)
          .join(' · ');
  const place = job.queue_position ?? null;
  const position = place === null ? null : place === 0 ? t('jobs.first') : t('jobs.behind', { count: place });
  const facts: readonly (readonly [string, ReactNode])[] = [
    [t('jobs.model'), job.version === null ? job.model : `${job.model}@${job.version}`],
    [t('jobs.caller'), job.caller === 'anonymous' ? t('jobs.anonymous') : (job.caller_name ?? job.caller)],
    [t('jobs.worker'), job.worker],
    [t('jobs.position'), position],
    [t('jobs.progress'), progress],
    [t('jobs.attempt'), job.attempt === 0 ? null : number(lang, job.attempt)],
    [t('jobs.nextAttempt'), time(job.next_attempt_at)],
    [t('jobs.created'), time(job.created_at)],
    [t('jobs.started'), time(job.started_at)],
    [t('jobs.completed'), time(job.completed_at)],
    [t('jobs.deadline'), time(job.deadline_at)],
    [t('jobs.priority'), job.priority === 0 ? null : number(lang, job.priority)],
    [t('jobs.rows'), job.rows === 1 ? null : number(lang, job.rows)],
    [t('jobs.input'), job.content_type],
    [t('jobs.output'), job.output_bytes === null ? null : bytes(lang, job.output_bytes)],
  ];
  return (
    <>
      {job.error !== null && (
        <section className="mt-4 rounded-md bg-deadly-wash p-3 text-xs text-deadly">
          <h3 className="font-semibold tracking-normal">
            {t('jobs.error')}: <code className="font-mono">{job.error_code}</code>
          </h3>
          <p className="mt-1 [overflow-wrap:anywhere]">{job.error}</p>
        </section>
      )}
      <dl className="mt-4 grid grid-cols-[minmax(6rem,auto)_minmax(0,1fr)] gap-x-4 gap-y-1.5 text-xs">
        {facts
          .filter(([, value]) => value !== null && value !== '')
          .map(([label, value]) => (
            <div key={label} className="contents">
              <dt className="text-soft">{label}</dt>
              <dd className="[overflow-wrap:anywhere]">{value}</dd>
            </div>
          ))}
      </dl>
      {job.timings !== null && (
        <section className="mt-5">
          <h3 className="mb-2 text-sm tracking-normal">{t('jobs.timings')}</h3>
          <SplitList timings={job.timings} />
        </section>
      )}
      {job.past_attempts.length > 0 && (
        <section className="mt-5">
          <h3 className="text-sm tracking-normal">{t('jobs.past')}</h3>
          <ol className="mt-1 divide-y divide-line text-xs">
            {job.past_attempts.map(({ attempt, worker, error_code: code, error, ended_at: ended }) => (
              <li key={attempt} className="py-2">
                <p className="flex justify-between gap-3">
                  <span className="font-semibold">{t('jobs.onWorker', { attempt, worker })}</span>
                  <span className="text-soft">{ago(lang, Date.parse(ended), now)}</span>
                </p>
                <p className="text-soft [overflow-wrap:anywhere]">
                  <code className="font-mono">{code}</code> {error}
                </p>
              </li>
            ))}
          </ol>
        </section>
      )}
    </>
  );
}
