/** The list under the search field. The focus stays in the field; what is chosen is said by `aria-activedescendant`. */
import { useEffect, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import type { EntrySummary } from '../api/guides.ts';
import { Drawing } from '../art/drawing.tsx';
import { DangerTag } from '../guide/danger-tag.tsx';
import { nameOf, otherName } from '../guide/names.ts';
import { useLanguage } from '../i18n/use-language.ts';
import { Icon } from '../ui/icons.tsx';

export interface SuggestionsProps {
  /** Of the field; options are `<id>-<index>`. */
  readonly id: string;
  readonly items: readonly EntrySummary[];
  readonly query: string;
  readonly active: number;
  readonly onChoose: (index: number) => void;
  readonly onPoint: (index: number) => void;
}

export function Suggestions({ id, items, query, active, onChoose, onPoint }: SuggestionsProps): ReactElement {
  const { t } = useTranslation();
  const lang = useLanguage();
  useEffect(() => {
    if (active >= 0) document.getElementById(`${id}-${active}`)?.scrollIntoView({ block: 'nearest' });
  }, [active, id]);
  const option = (index: number) => ({
    id: `${id}-${index}`,
    role: 'option',
    'aria-selected': index === active,
    // The field must keep the focus while an option is clicked.
    onMouseDown: (event: React.MouseEvent) => event.preventDefault(),
    onClick: () => onChoose(index),
    onMouseMove: () => onPoint(index),
  });
  const look = (index: number): string =>
    `flex min-h-14 cursor-pointer items-center gap-3 rounded-md px-2 py-1.5 ${index === active ? 'bg-sunk outline-2 -outline-offset-2 outline-leaf' : ''}`;
  return (
    <div className="come absolute inset-x-0 top-full z-40 mt-1.5 min-w-72 rounded-lg border border-line bg-surface shadow-high md:left-auto md:w-96">
      {items.length === 0 && <p className="px-4 py-5 text-sm text-soft">{t('search.none', { query })}</p>}
      <ul
        id={`${id}-list`}
        role="listbox"
        aria-label={t('search.label')}
        className="max-h-[min(70dvh,32rem)] overflow-y-auto p-1.5 empty:hidden"
      >
        {items.map((item, index) => (
          <li key={item.id} {...option(index)} className={look(index)}>
            <Drawing entry={item} className="h-12 w-10 shrink-0 rounded-sm bg-plate" />
            <span className="min-w-0 grow">
              <span className="block text-sm font-semibold">{nameOf(item.names, lang)}</span>
              <span className="block truncate text-xs text-soft">
                {item.scientific_name !== null ? (
                  <span className="latin">{item.scientific_name}</span>
                ) : (
                  otherName(item.names, lang)
                )}
              </span>
              {item.danger?.dangerous && <DangerTag level={item.danger.level} />}
            </span>
          </li>
        ))}
        {items.length > 0 && (
          <li {...option(items.length)} className={`${look(items.length)} text-sm font-semibold text-leaf`}>
            <Icon name="search" className="mx-2.5 shrink-0" />
            <span className="min-w-0 truncate">{t('search.all', { query })}</span>
          </li>
        )}
      </ul>
    </div>
  );
}
