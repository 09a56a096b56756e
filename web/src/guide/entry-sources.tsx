/** Where the facts of an entry come from: each table, what it says, and the row to look it up in. */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import type { Entry } from '../api/guides.ts';
import { useGuide } from '../app/guide-context.tsx';
import { useLanguage } from '../i18n/use-language.ts';
import { DangerTag } from './danger-tag.tsx';

export function EntrySources({ entry }: { readonly entry: Entry }): ReactElement | null {
  const { t } = useTranslation();
  const lang = useLanguage();
  const { guide } = useGuide();
  const sources = entry.sources ?? [];
  if (sources.length === 0) return null;
  return (
    <section className="mt-12 max-w-3xl">
      <h2 className="text-xl">{t('entry.sources')}</h2>
      {entry.danger?.tables_disagree && <p className="mt-1 text-soft">{t('entry.disagree')}</p>}
      <ul className="mt-4 divide-y divide-line border-y border-line">
        {sources.map((source) => {
          const table = guide.tables?.[source.table];
          return (
            <li key={source.table} className="py-4 text-sm">
              <p className="flex flex-wrap items-center gap-x-3 gap-y-1">
                <strong>{table?.short[lang] ?? source.table}</strong>
                <span>{t('entry.saysRow', { says: source.says[lang] })}</span>
                <DangerTag level={source.level} />
              </p>
              <p className="mt-1 text-soft">
                {source.rows.map(({ row, name }, index) => (
                  <span key={row}>
                    {index > 0 && '; '}
                    <i className="latin">{name}</i> ({row})
                  </span>
                ))}
              </p>
              {table && <p className="mt-1 text-xs text-soft">{table.cite}</p>}
            </li>
          );
        })}
      </ul>
    </section>
  );
}
