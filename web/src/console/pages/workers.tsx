/** The workers: those on record or invited, with the session of those that are here, live. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { useLanguage } from '../../i18n/use-language.ts';
import { Problem } from '../../ui/problem.tsx';
import { Skeleton } from '../../ui/skeleton.tsx';
import { workersQuery } from '../api.ts';
import { ago, duration, moment } from '../format.ts';
import { useLive } from '../live.tsx';
import { Code } from '../parts/code.tsx';
import { SmallButton } from '../parts/controls.tsx';
import { Confirm } from '../parts/dialogs.tsx';
import { useNotice } from '../parts/notices.tsx';
import { ConsolePage, Empty, Panel } from '../parts/panel.tsx';
import { StatePill } from '../parts/pill.tsx';
import { useSession } from '../session.tsx';
import type { SessionModel, Worker, WorkerSession } from '../shapes.ts';

export function Workers(): ReactElement {
  const { t } = useTranslation('console');
  const { snapshot } = useLive();
  const { data, error, refetch } = useQuery(workersQuery);
  const [revoking, setRevoking] = useState<string | null>(null);
  const { send } = useSession();
  const queries = useQueryClient();
  const notice = useNotice();

  const workers = data === undefined ? null : withSessions(data, snapshot?.workers ?? null);
  async function revoke(name: string): Promise<void> {
    await send(`/v1/admin/workers/${encodeURIComponent(name)}/revoke`);
    await queries.invalidateQueries({ queryKey: workersQuery.queryKey });
    notice({ text: t('workers.revoked', { name }) });
  }

  return (
    <ConsolePage title={t('workers.title')}>
      {workers === null && error !== null && <Problem error={error} onRetry={() => void refetch()} />}
      {workers === null && error === null && <Skeleton className="h-40" />}
      {workers?.length === 0 && (
        <Panel>
          <Empty icon="server">
            <p>{t('workers.noneYet')}</p>
            <p>{t('workers.invite')}</p>
            <Code text="postern invite gpu-1 --all-models" />
          </Empty>
        </Panel>
      )}
      <ul className="grid gap-3 xl:grid-cols-2">
        {workers?.map((worker) => (
          <li key={worker.name} className="min-w-0">
            <WorkerCard worker={worker} onRevoke={() => setRevoking(worker.name)} />
          </li>
        ))}
      </ul>
      {snapshot !== null && snapshot.left_out.workers > 0 && (
        <p className="mt-3 text-xs text-soft">{t('workers.leftOut', { count: snapshot.left_out.workers })}</p>
      )}
      {revoking !== null && (
        <Confirm
          title={t('workers.revokeTitle', { name: revoking })}
          text={t('workers.revokeText')}
          act={t('workers.revoke')}
          onConfirm={() => revoke(revoking)}
          onClose={() => setRevoking(null)}
        />
      )}
    </ConsolePage>
  );
}

/** The records say who there is, once in a while; the live view says how they are. Workers of another authority have no record. */
function withSessions(listed: readonly Worker[], live: readonly WorkerSession[] | null): Worker[] {
  if (live === null) return [...listed];
  const sessions = new Map(live.map((session) => [session.name, session]));
  const known = listed.map((worker) => ({ ...worker, session: sessions.get(worker.name) ?? null }));
  const names = new Set(listed.map(({ name }) => name));
  const others = live.filter(({ name }) => !names.has(name)).map(unlisted);
  return [...known, ...others].sort((a, b) => (a.name < b.name ? -1 : 1));
}

const unlisted = (session: WorkerSession): Worker => ({
  name: session.name,
  standing: 'joined',
  models: null,
  invited_until: null,
  certificate_ends_at: session.certificate_ends_at,
  late_renewals: 0,
  last_seen_at: session.last_seen_at,
  lock_reason: null,
  session,
});

function WorkerCard({ worker, onRevoke }: { readonly worker: Worker; readonly onRevoke: () => void }): ReactElement {
  const { t } = useTranslation('console');
  const lang = useLanguage();
  const { now } = useLive();
  const { name, standing, session } = worker;
  const state = standing === 'joined' && session !== null ? session.state : standing;
  const seen = session?.last_seen_at ?? worker.last_seen_at;
  const isHere = session !== null && session.state !== 'away';
  return (
    <Panel className="h-full">
      <article aria-label={name} data-worker={name} data-state={state} className="p-3 sm:p-4">
        <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
          <h2 className="min-w-0 truncate text-base">{name}</h2>
          <StatePill state={state} />
          {standing !== 'revoked' && (
            <SmallButton tone="end" className="ml-auto" onClick={onRevoke}>
              {t('workers.revoke')}
              <span className="sr-only"> {name}</span>
            </SmallButton>
          )}
        </div>
        <p className="mt-0.5 text-xs text-soft [overflow-wrap:anywhere]">
          {session !== null
            ? [
                session.address,
                session.agent,
                isHere && t('workers.since', { when: ago(lang, Date.parse(session.connected_at), now) }),
              ]
                .filter(Boolean)
                .join(' · ')
            : worker.models === null
              ? t('workers.anyModel')
              : worker.models.join(', ')}
          {worker.invited_until !== null &&
            ` · ${t('workers.invitedUntil', { when: moment(lang, worker.invited_until) })}`}
          {worker.lock_reason !== null && ` · ${worker.lock_reason}`}
        </p>
        <dl className="mt-3 grid grid-cols-3 gap-2 text-xs">
          <Fact label={t('workers.seen')}>{seen === null ? t('workers.never') : ago(lang, Date.parse(seen), now)}</Fact>
          <Fact label={t('workers.roundTrip')}>
            {isHere && session.round_trip_ms !== null ? duration(lang, session.round_trip_ms) : '–'}
          </Fact>
          <Fact label={t('workers.certificate')}>
            <Certificate worker={worker} />
          </Fact>
        </dl>
        {isHere && session.models.length > 0 && <Credits models={session.models} />}
        {session?.not_allowed.map(({ name: model, version }) => (
          <p key={`${model}@${version}`} className="mt-2 text-xs text-harm">
            {t('workers.notAllowed', { model: `${model}@${version}` })}
          </p>
        ))}
      </article>
    </Panel>
  );
}

const Fact = ({ label, children }: { readonly label: string; readonly children: React.ReactNode }): ReactElement => (
  <div className="min-w-0">
    <dt className="text-soft">{label}</dt>
    <dd className="font-semibold">{children}</dd>
  </div>
);

const HOUR_MS = 3_600_000;

function Certificate({ worker }: { readonly worker: Worker }): ReactElement {
  const { t } = useTranslation('console');
  const lang = useLanguage();
  const { now } = useLive();
  const ends = worker.session?.certificate_ends_at ?? worker.certificate_ends_at;
  if (ends === null) return <>–</>;
  const leftMs = Date.parse(ends) - now;
  if (leftMs <= 0) {
    return <span className="text-deadly">{t('workers.ended', { when: ago(lang, Date.parse(ends), now) })}</span>;
  }
  const hours = Math.floor(leftMs / HOUR_MS);
  const time =
    hours >= 48
      ? t('workers.days', { count: Math.floor(hours / 24) })
      : hours >= 1
        ? t('workers.hours', { count: hours })
        : t('workers.minutes', { count: Math.ceil(leftMs / 60_000) });
  return (
    <span title={moment(lang, ends)}>
      {t('workers.left', { time })}
      {worker.late_renewals > 0 && (
        <span className="block font-normal text-harm">{t('workers.late', { count: worker.late_renewals })}</span>
      )}
    </span>
  );
}

/** Of each version: how many rows it would take now, of how many. */
function Credits({ models }: { readonly models: readonly SessionModel[] }): ReactElement {
  const { t } = useTranslation('console');
  return (
    <ul aria-label={t('workers.models')} className="mt-3 divide-y divide-line border-t border-line">
      {models.map(({ name, version, state, credit_rows: free, in_flight_jobs: jobs, message }) => (
        <li key={`${name}@${version}`} className="py-2 text-xs">
          <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
            <span className="min-w-0 truncate font-semibold">
              {name}
              <span className="font-normal text-soft">@{version}</span>
            </span>
            {state !== 'ready' && <StatePill state={state} />}
            <span className="ml-auto text-soft">{t('workers.credit', { free, jobs })}</span>
          </div>
          <div className="mt-1.5 h-1.5 overflow-hidden rounded-full bg-sunk" aria-hidden="true">
            <div
              className="h-full rounded-full bg-leaf"
              style={{ width: `${(100 * jobs) / Math.max(1, jobs + free)}%` }}
            />
          </div>
          {message !== null && <p className="mt-1 text-deadly [overflow-wrap:anywhere]">{message}</p>}
        </li>
      ))}
    </ul>
  );
}
