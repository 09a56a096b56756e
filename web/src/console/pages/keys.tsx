/** The API keys: who has one, what it may do, and the way to make or end one. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { useLanguage } from '../../i18n/use-language.ts';
import { Problem } from '../../ui/problem.tsx';
import { Skeleton } from '../../ui/skeleton.tsx';
import { ADMIN, keysQuery } from '../api.ts';
import { ago, moment, number } from '../format.ts';
import { useLive } from '../live.tsx';
import { SmallButton } from '../parts/controls.tsx';
import { Confirm } from '../parts/dialogs.tsx';
import { useNotice } from '../parts/notices.tsx';
import { ConsolePage, Empty, Panel } from '../parts/panel.tsx';
import { StatePill } from '../parts/pill.tsx';
import { useSession } from '../session.tsx';
import type { ApiKey } from '../shapes.ts';
import { NewKey } from './new-key.tsx';

export function Keys(): ReactElement {
  const { t } = useTranslation('console');
  const { data: keys, error, refetch } = useQuery(keysQuery);
  const [query, setQuery] = useSearchParams();
  const [showsEnded, setShowsEnded] = useState(false);
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  const { who, send } = useSession();
  const queries = useQueryClient();
  const notice = useNotice();
  const isMaking = query.has('new');
  const setMaking = (value: boolean): void => setQuery(value ? { new: '1' } : {}, { replace: !value });

  async function revoke({ id, name }: ApiKey): Promise<void> {
    await send(`/v1/admin/keys/${encodeURIComponent(id)}/revoke`);
    notice({ text: t('keys.revoked', { name }) });
    await queries.invalidateQueries({ queryKey: [ADMIN] });
  }
  const shown = keys?.filter(({ state }) => showsEnded || state === 'active') ?? null;

  return (
    <ConsolePage
      title={t('keys.title')}
      actions={
        <>
          <label className="inline-flex min-h-9 cursor-pointer items-center gap-2 text-xs text-soft pointer-coarse:min-h-11">
            <input
              type="checkbox"
              checked={showsEnded}
              onChange={({ target }) => setShowsEnded(target.checked)}
              className="size-4"
            />
            {t('keys.ended')}
          </label>
          <SmallButton tone="solid" icon="plus" onClick={() => setMaking(true)}>
            {t('keys.create')}
          </SmallButton>
        </>
      }
    >
      {shown === null && error !== null && <Problem error={error} onRetry={() => void refetch()} />}
      {shown === null && error === null && <Skeleton className="h-40" />}
      {shown !== null && (
        <Panel className="overflow-hidden">
          {shown.length === 0 ? (
            <Empty icon="key">{t('keys.none')}</Empty>
          ) : (
            <List keys={shown} onRevoke={setRevoking} />
          )}
        </Panel>
      )}
      {isMaking && <NewKey isFirst={who.key === null} onClose={() => setMaking(false)} />}
      {revoking !== null && (
        <Confirm
          title={t('keys.revokeTitle', { name: revoking.name })}
          text={`${t('keys.revokeText')}${who.key?.id === revoking.id ? ` ${t('keys.revokeOwn')}` : ''}`}
          act={t('keys.revoke')}
          onConfirm={() => revoke(revoking)}
          onClose={() => setRevoking(null)}
        />
      )}
    </ConsolePage>
  );
}

function List({
  keys,
  onRevoke,
}: {
  readonly keys: readonly ApiKey[];
  readonly onRevoke: (key: ApiKey) => void;
}): ReactElement {
  return (
    <ul className="divide-y divide-line">
      {keys.map((key) => (
        <Row key={key.id} entry={key} onRevoke={() => onRevoke(key)} />
      ))}
    </ul>
  );
}

function Row({ entry, onRevoke }: { readonly entry: ApiKey; readonly onRevoke: () => void }): ReactElement {
  const { t } = useTranslation('console');
  const lang = useLanguage();
  const { now } = useLive();
  const when = (at: string | null, never: string): string => (at === null ? never : ago(lang, Date.parse(at), now));
  const limits = [
    entry.rate_per_s === null ? null : t('keys.rate', { rate: number(lang, entry.rate_per_s, 2) }),
    entry.max_undecided_jobs === null ? null : t('keys.jobs', { count: entry.max_undecided_jobs }),
  ].filter((text) => text !== null);
  const facts: readonly (readonly [label: string, value: string, title?: string])[] = [
    [t('keys.models'), entry.models === null ? t('keys.all') : entry.models.join(', ')],
    [t('keys.limits'), limits.length === 0 ? t('keys.noLimit') : limits.join(', ')],
    [t('keys.used'), when(entry.last_used_at, t('keys.never'))],
    [t('keys.made'), when(entry.created_at, ''), moment(lang, entry.created_at)],
    [t('keys.expires'), when(entry.expires_at, t('keys.noEnd'))],
  ];
  return (
    <li
      data-key={entry.id}
      data-state={entry.state}
      className="flex flex-wrap items-center gap-x-6 gap-y-2 px-3 py-3 sm:px-4"
    >
      <div className="min-w-0 grow basis-56">
        <h2 className="flex flex-wrap items-center gap-2 text-sm tracking-normal">
          <span className="min-w-0 truncate">{entry.name}</span>
          {entry.state !== 'active' && <StatePill state={entry.state} />}
          {entry.scopes.map((scope) => (
            <code key={scope} className="rounded-sm bg-sunk px-1.5 py-0.5 font-mono text-[0.6875rem] font-normal">
              {scope}
            </code>
          ))}
        </h2>
        <p className="mt-0.5 font-mono text-[0.6875rem] text-soft [overflow-wrap:anywhere]">{entry.id}</p>
      </div>
      <dl className="grid grow-[3] basis-96 grid-cols-2 gap-x-4 gap-y-1 text-xs sm:grid-cols-5">
        {facts.map(([label, value, title]) => (
          <div key={label} className="min-w-0">
            <dt className="text-soft">{label}</dt>
            <dd className="truncate" title={title ?? value}>
              {value}
            </dd>
          </div>
        ))}
      </dl>
      <div className="w-24 text-right">
        {entry.state === 'active' && (
          <SmallButton tone="end" onClick={onRevoke}>
            {t('keys.revoke')}
            <span className="sr-only"> {entry.name}</span>
          </SmallButton>
        )}
      </div>
    </li>
  );
}
