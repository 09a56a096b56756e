/** Filters of the guide: by level of danger, by family. Nothing of it is shown where the guide has neither. */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import type { EntryFilter } from '../api/guides.ts';
import { useGuide } from '../app/guide-context.tsx';
import { useLanguage } from '../i18n/use-language.ts';
import { Icon } from '../ui/icons.tsx';
import { looksOf } from './levels.ts';

export interface FiltersProps {
  readonly filter: EntryFilter;
  readonly onChange: (changed: Partial<EntryFilter>) => void;
}

export function Filters({ filter, onChange }: FiltersProps): ReactElement {
  const { t } = useTranslation();
  const { guide } = useGuide();
  const lang = useLanguage();
  const families = [...guide.families].sort((a, b) => (lang === 'ko' ? a.ko.localeCompare(b.ko, 'ko') : 0));
  return (
    <div className="mt-5 flex flex-wrap items-end gap-x-6 gap-y-4">
      {guide.levels.length > 0 && (
        <fieldset className="-mx-4 min-w-0 max-w-[100vw] sm:mx-0">
          <legend className="mb-1.5 px-4 text-xs font-semibold text-soft sm:px-0">{t('guide.level')}</legend>
          <div className="flex gap-2 overflow-x-auto px-4 pb-1 [scrollbar-width:none] sm:flex-wrap sm:px-0">
            <Chip chosen={filter.level === ''} onClick={() => onChange({ level: '' })} looks="text-ink">
              {t('guide.anyLevel')}
            </Chip>
            {guide.levels.map((level) => {
              const looks = looksOf(level);
              return (
                <Chip
                  key={level.id}
                  chosen={filter.level === level.id}
                  onClick={() => onChange({ level: filter.level === level.id ? '' : level.id })}
                  looks={looks.text}
                >
                  <Icon name={looks.icon} size={18} />
                  {level.label[lang]}
                </Chip>
              );
            })}
          </div>
        </fieldset>
      )}
      {guide.families.length > 0 && (
        <label className="block">
          <span className="mb-1.5 block text-xs font-semibold text-soft">{t('guide.family')}</span>
          <select
            value={filter.family}
            onChange={(event) => onChange({ family: event.target.value })}
            className="h-11 w-56 max-w-full rounded-md border border-edge bg-surface px-3 text-sm text-ink"
          >
            <option value="">{t('guide.anyFamily')}</option>
            {families.map(({ la, ko, entries }) => (
              <option key={la} value={la}>
                {`${lang === 'ko' ? `${ko} ${la}` : la} (${entries})`}
              </option>
            ))}
          </select>
        </label>
      )}
    </div>
  );
}

function Chip({
  chosen,
  onClick,
  looks,
  children,
}: {
  readonly chosen: boolean;
  readonly onClick: () => void;
  readonly looks: string;
  readonly children: React.ReactNode;
}): ReactElement {
  return (
    <button
      type="button"
      aria-pressed={chosen}
      onClick={onClick}
      className={`inline-flex min-h-11 shrink-0 items-center gap-1.5 rounded-full border px-3.5 text-sm font-semibold whitespace-nowrap ${chosen ? 'border-leaf bg-leaf text-on-leaf' : `border-edge bg-surface hover:bg-sunk ${looks}`}`}
    >
      {children}
    </button>
  );
}
