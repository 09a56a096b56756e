/** Everybody's jobs: filtered in the address, so that a view can be sent to somebody; a job opens beside the list. */
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useCallback, type KeyboardEvent, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { useLanguage } from '../../i18n/use-language.ts';
import { Problem } from '../../ui/problem.tsx';
import { Skeleton } from '../../ui/skeleton.tsx';
import { jobsQuery, keysQuery } from '../api.ts';
import { ago, duration, shortId } from '../format.ts';
import { useLive } from '../live.tsx';
import { Choice, Segments, SmallButton } from '../parts/controls.tsx';
import { ConsolePage, Empty, Panel } from '../parts/panel.tsx';
import { StatePill } from '../parts/pill.tsx';
import { SplitBar } from '../parts/split.tsx';
import { STATUSES, type Job, type JobFilter } from '../shapes.ts';
import { JobDrawer } from './job-drawer.tsx';

export function Jobs(): ReactElement {
  const { t } = useTranslation('console');
  const [query, setQuery] = useSearchParams();
  const filter: JobFilter = {
    status: query.get('status') ?? '',
    model: query.get('model') ?? '',
    caller: query.get('caller') ?? '',
  };
  const isFiltered = Object.values(filter).some((value) => value !== '');
  const { data, error, refetch, hasNextPage, isFetchingNextPage, fetchNextPage } = useInfiniteQuery(jobsQuery(filter));
  const jobs = data?.pages.flatMap(({ results }) => results) ?? null;

  const change = useCallback(
    (name: string, value: string, replace = false) =>
      setQuery(
        (before) => {
          const after = new URLSearchParams(before);
          if (value === '') after.delete(name);
          else after.set(name, value);
          return after;
        },
        { replace, preventScrollReset: true },
      ),
    [setQuery],
  );
  const open = query.get('job');

  return (
    <ConsolePage title={t('jobs.title')}>
      <Filters filter={filter} onChange={(name, value) => change(name, value, true)} />
      {jobs === null && error !== null && <Problem error={error} onRetry={() => void refetch()} />}
      {jobs === null && error === null && <Skeleton className="h-64" />}
      {jobs !== null && (
        <Panel className="overflow-hidden">
          {jobs.length === 0 ? (
            <Empty icon="clock">{isFiltered ? t('jobs.none') : t('jobs.noneYet')}</Empty>
          ) : (
            <List jobs={jobs} onOpen={(id) => change('job', id)} />
          )}
        </Panel>
      )}
      {hasNextPage && (
        <div className="mt-3 flex justify-center">
          <SmallButton disabled={isFetchingNextPage} onClick={() => void fetchNextPage()}>
            {t('jobs.more')}
          </SmallButton>
        </div>
      )}
      {open !== null && (
        <JobDrawer
          key={open}
          id={open}
          onClose={() => change('job', '', true)}
          onOpen={(id) => change('job', id, true)}
        />
      )}
    </ConsolePage>
  );
}

function Filters({
  filter,
  onChange,
}: {
  readonly filter: JobFilter;
  readonly onChange: (name: keyof JobFilter, value: string) => void;
}): ReactElement {
  const { t } = useTranslation('console');
  const { snapshot } = useLive();
  const { data: keys = [] } = useQuery(keysQuery);
  const models = [...new Set([...(snapshot?.models.map(({ name }) => name) ?? []), filter.model])].filter(Boolean);
  const callers = keys.map(({ id, name }) => ({ value: id, label: name }));
  return (
    <div role="group" aria-label={t('jobs.filters')} className="mb-3 flex flex-wrap items-center gap-2">
      <Segments
        label={t('jobs.status')}
        value={filter.status}
        onChange={(value) => onChange('status', value)}
        choices={['', ...STATUSES].map((value) => ({
          value,
          label: isStatus(value) ? t(`state.${value}`) : t('jobs.any'),
        }))}
      />
      <Choice
        label={t('jobs.model')}
        value={filter.model}
        onChange={({ target }) => onChange('model', target.value)}
        choices={[{ value: '', label: t('jobs.anyModel') }, ...models.map((name) => ({ value: name, label: name }))]}
      />
      <Choice
        label={t('jobs.caller')}
        value={filter.caller}
        onChange={({ target }) => onChange('caller', target.value)}
        choices={[
          { value: '', label: t('jobs.anyCaller') },
          { value: 'anonymous', label: t('jobs.anonymous') },
          ...callers,
        ]}
      />
    </div>
  );
}

const isStatus = (text: string): text is (typeof STATUSES)[number] => (STATUSES as readonly string[]).includes(text);

/** One row is in the order of Tab; the arrows go from row to row. */
function moveFocus(event: KeyboardEvent<HTMLTableSectionElement>): void {
  const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
  if (step === undefined) return;
  const links = [...event.currentTarget.querySelectorAll<HTMLButtonElement>('button[data-row]')];
  const at = links.indexOf(document.activeElement as HTMLButtonElement);
  if (at === -1) return;
  event.preventDefault();
  links[Math.min(links.length - 1, Math.max(0, at + step))]?.focus();
}

const CELL = 'px-3 py-1.5 align-middle';
/** Columns that a phone has no room for: the drawer has them. */
const WIDE = `${CELL} hidden md:table-cell`;

function List({
  jobs,
  onOpen,
}: {
  readonly jobs: readonly Job[];
  readonly onOpen: (id: string) => void;
}): ReactElement {
  const { t } = useTranslation('console');
  return (
    <table className="w-full table-fixed text-left text-xs">
      <caption className="sr-only">{t('table.rows')}</caption>
      <thead>
        <tr className="border-b border-line text-soft">
          <th scope="col" className={`${CELL} w-30 font-semibold`}>
            {t('jobs.status')}
          </th>
          <th scope="col" className={`${CELL} font-semibold`}>
            {t('jobs.id')}
          </th>
          <th scope="col" className={`${WIDE} font-semibold`}>
            {t('jobs.caller')}
          </th>
          <th scope="col" className={`${WIDE} hidden font-semibold lg:table-cell`}>
            {t('jobs.worker')}
          </th>
          <th scope="col" className={`${CELL} w-24 text-right font-semibold`}>
            {t('jobs.created')}
          </th>
          <th scope="col" className={`${WIDE} w-44 font-semibold`}>
            {t('jobs.time')}
          </th>
        </tr>
      </thead>
      <tbody onKeyDown={moveFocus} className="divide-y divide-line">
        {jobs.map((job) => (
          <Row key={job.id} job={job} onOpen={onOpen} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ job, onOpen }: { readonly job: Job; readonly onOpen: (id: string) => void }): ReactElement {
  const { t } = useTranslation('console');
  const lang = useLanguage();
  const { now } = useLive();
  const state = job.cancel_requested && job.status === 'processing' ? 'canceling' : job.status;
  return (
    <tr data-job={job.id} data-status={job.status} className="relative hover:bg-sunk has-focus-visible:bg-leaf-wash">
      <td className={CELL}>
        <StatePill state={state} />
      </td>
      <td className={CELL}>
        <button
          type="button"
          data-row
          onClick={() => onOpen(job.id)}
          title={job.id}
          className="block w-full truncate text-left after:absolute after:inset-0"
        >
          <span className="font-semibold">{job.model}</span>
          {job.version !== null && <span className="text-soft">@{job.version}</span>}{' '}
          <span className="block truncate font-mono text-[0.6875rem] text-soft">
            {shortId(job.id)}
            {job.attempt > 1 && ` · ${t('jobs.attempt')} ${job.attempt}`}
            {job.error_code !== null && ` · ${job.error_code}`}
          </span>
        </button>
      </td>
      <td className={`${WIDE} truncate`}>
        {job.caller_name ?? (job.caller === 'anonymous' ? t('jobs.anonymous') : job.caller)}
      </td>
      <td className={`${WIDE} hidden truncate lg:table-cell`}>{job.worker ?? '–'}</td>
      <td className={`${CELL} text-right whitespace-nowrap text-soft`}>{ago(lang, Date.parse(job.created_at), now)}</td>
      <td className={WIDE}>
        {job.timings === null ? (
          <span className="text-soft">–</span>
        ) : (
          <span className="flex items-center gap-2">
            <span className="w-16 shrink-0 text-right">{duration(lang, job.timings.total_ms)}</span>
            <SplitBar timings={job.timings} />
          </span>
        )}
      </td>
    </tr>
  );
}
