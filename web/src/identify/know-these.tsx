/** The worst of the guide, to be known on sight; in a guide without levels of danger, some of its entries. */
import { useQuery } from '@tanstack/react-query';
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { leafThroughQuery } from '../api/guides.ts';
import { useGuide } from '../app/guide-context.tsx';
import { paths } from '../app/paths.ts';
import { EntryCard } from '../guide/entry-card.tsx';
import { ButtonLink } from '../ui/button.tsx';

const SHOWN = 5;

export function KnowThese(): ReactElement | null {
  const { t } = useTranslation();
  const { guide } = useGuide();
  const worst = guide.levels.find((level) => level.dangerous)?.id ?? '';
  const { data } = useQuery(leafThroughQuery(guide.id, worst));
  const items = data?.items.slice(0, SHOWN) ?? [];
  if (items.length === 0) return null;
  return (
    <section className="mt-14" aria-labelledby="know-these">
      <div className="flex items-baseline justify-between gap-4">
        <h2 id="know-these" className="text-xl">
          {worst === '' ? t('identify.fromGuide') : t('identify.know')}
        </h2>
        <ButtonLink
          to={`${paths.entries(guide.id)}${worst === '' ? '' : `?level=${worst}`}`}
          tone="quiet"
          className="-mr-4 text-leaf"
        >
          {t('identify.all')}
        </ButtonLink>
      </div>
      <ul className="-mx-4 mt-4 flex snap-x gap-4 overflow-x-auto px-4 pb-2 sm:mx-0 sm:grid sm:grid-cols-3 sm:px-0 lg:grid-cols-5">
        {items.map((entry) => (
          <li key={entry.id} className="w-40 shrink-0 snap-start sm:w-auto">
            <EntryCard entry={entry} />
          </li>
        ))}
      </ul>
    </section>
  );
}
