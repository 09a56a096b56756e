/** The audit log, newest first. */
import { useInfiniteQuery } from '@tanstack/react-query';
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import type { Language } from '../../i18n/texts.ts';
import { useLanguage } from '../../i18n/use-language.ts';
import { Problem } from '../../ui/problem.tsx';
import { Skeleton } from '../../ui/skeleton.tsx';
import { auditQuery } from '../api.ts';
import { moment } from '../format.ts';
import { CopyButton } from '../parts/code.tsx';
import { SmallButton } from '../parts/controls.tsx';
import { ConsolePage, Empty, Panel } from '../parts/panel.tsx';
import type { AuditEntry } from '../shapes.ts';

export function Audit(): ReactElement {
  const { t } = useTranslation('console');
  const { data, error, refetch, hasNextPage, isFetchingNextPage, fetchNextPage } = useInfiniteQuery(auditQuery);
  const entries = data?.pages.flatMap(({ results }) => results) ?? null;
  const head = data?.pages[0]?.head ?? null;
  return (
    <ConsolePage title={t('audit.title')} about={t('audit.about')}>
      {head !== null && (
        <Panel className="mb-3 px-3 py-2 sm:px-4">
          <div className="flex items-center gap-3 text-xs">
            <span className="shrink-0 font-semibold">{t('audit.head')}</span>
            <code className="min-w-0 grow truncate font-mono text-soft">{head}</code>
            <CopyButton text={head} label={`${t('jobs.copy')}: ${t('audit.head')}`} />
          </div>
          <p className="text-xs text-soft [overflow-wrap:anywhere]">{t('audit.headHint')}</p>
        </Panel>
      )}
      {entries === null && error !== null && <Problem error={error} onRetry={() => void refetch()} />}
      {entries === null && error === null && <Skeleton className="h-64" />}
      {entries !== null && (
        <Panel className="overflow-hidden">
          {entries.length === 0 ? <Empty icon="list">{t('audit.none')}</Empty> : <List entries={entries} />}
        </Panel>
      )}
      {hasNextPage && (
        <div className="mt-3 flex justify-center">
          <SmallButton disabled={isFetchingNextPage} onClick={() => void fetchNextPage()}>
            {t('audit.more')}
          </SmallButton>
        </div>
      )}
    </ConsolePage>
  );
}

function List({ entries }: { readonly entries: readonly AuditEntry[] }): ReactElement {
  const { t } = useTranslation('console');
  const lang = useLanguage();
  const cell = 'px-3 py-2 align-top [overflow-wrap:anywhere]';
  const wide = `${cell} hidden md:table-cell`;
  return (
    <table className="w-full table-fixed text-left text-xs">
      <thead>
        <tr className="border-b border-line text-soft">
          <th scope="col" className={`${wide} w-16 text-right font-semibold`}>
            #
          </th>
          <th scope="col" className={`${cell} w-28 font-semibold sm:w-48`}>
            {t('audit.when')}
          </th>
          <th scope="col" className={`${cell} font-semibold`}>
            {t('audit.what')}
          </th>
          <th scope="col" className={`${wide} font-semibold`}>
            {t('audit.who')}
          </th>
          <th scope="col" className={`${wide} w-2/5 font-semibold`}>
            {t('audit.detail')}
          </th>
        </tr>
      </thead>
      <tbody className="divide-y divide-line">
        {entries.map(({ seq, at, actor, action, target, detail }) => (
          <tr key={seq} data-action={action}>
            <td className={`${wide} text-right text-soft`}>{seq}</td>
            <td className={`${cell} text-soft`}>{moment(lang, at)}</td>
            <td className={cell}>
              <code className="font-mono font-semibold">{action}</code>
              <span className="block font-mono text-[0.6875rem] text-soft">{target}</span>
              <span className="block text-[0.6875rem] text-soft md:hidden">{actor}</span>
            </td>
            <td className={`${wide} font-mono text-[0.6875rem]`}>{actor}</td>
            <td className={`${wide} font-mono text-[0.6875rem] text-soft`}>{detailText(lang, detail)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function detailText(lang: Language, detail: Readonly<Record<string, unknown>>): string {
  const shown = ([name, value]: [string, unknown]): string => {
    if (typeof value === 'number' && name.endsWith('_at')) return `${name}=${moment(lang, value)}`;
    return `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`;
  };
  return Object.entries(detail).map(shown).join('  ');
}
