/** Entries in rows of a window: however many there are, a screenful of them exists. The next page comes before its end. */
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useLayoutEffect, useRef, useState, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import type { EntrySummary } from '../api/guides.ts';
import { Skeleton } from '../ui/skeleton.tsx';
import { EntryCard } from './entry-card.tsx';

const GAP = 16;
/** Narrower cards break names; two fit on 320 px. */
const MIN_CARD = 136;
const WIDE_CARD = 184;
/** What a row is taken for until it is measured. */
const ROW = 296;

const columnsOf = (width: number): number => {
  const least = width < 640 ? MIN_CARD : WIDE_CARD;
  return Math.max(1, Math.floor((width + GAP) / (least + GAP)));
};

export interface EntriesGridProps {
  readonly entries: readonly EntrySummary[];
  readonly hasMore: boolean;
  readonly loading: boolean;
  readonly onMore: () => void;
}

export function EntriesGrid({ entries, hasMore, loading, onMore }: EntriesGridProps): ReactElement {
  const { t } = useTranslation();
  const list = useRef<HTMLUListElement>(null);
  const [columns, setColumns] = useState(() => columnsOf(Math.min(innerWidth - 32, 1104)));
  const [top, setTop] = useState(0);
  useLayoutEffect(() => {
    const element = list.current;
    if (element === null) return;
    const measure = (): void => {
      setColumns(columnsOf(element.clientWidth));
      setTop(element.getBoundingClientRect().top + scrollY);
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const rows = Math.ceil(entries.length / columns);
  const virtual = useWindowVirtualizer({
    count: rows,
    estimateSize: () => ROW,
    overscan: 3,
    gap: GAP,
    scrollMargin: top,
  });
  const shown = virtual.getVirtualItems();
  const lastRow = shown[shown.length - 1]?.index ?? 0;
  useEffect(() => {
    if (hasMore && !loading && lastRow >= rows - 4) onMore();
  }, [hasMore, loading, lastRow, rows, onMore]);

  return (
    <>
      <ul ref={list} className="relative" style={{ height: virtual.getTotalSize() }}>
        {shown.flatMap((row) =>
          entries.slice(row.index * columns, (row.index + 1) * columns).map((entry, column) => (
            <li
              key={entry.id}
              data-index={row.index}
              ref={column === 0 ? virtual.measureElement : undefined}
              aria-setsize={hasMore ? -1 : entries.length}
              aria-posinset={row.index * columns + column + 1}
              className="absolute top-0 min-h-64"
              style={{
                left: `calc(${column} * (100% + ${GAP}px) / ${columns})`,
                width: `calc((100% - ${(columns - 1) * GAP}px) / ${columns})`,
                transform: `translateY(${row.start - virtual.options.scrollMargin}px)`,
              }}
            >
              <EntryCard entry={entry} />
            </li>
          )),
        )}
      </ul>
      <p role="status" className="py-6 text-center text-sm text-soft">
        {loading ? t('guide.more') : hasMore ? '' : t('guide.end')}
      </p>
    </>
  );
}

export function GridSkeleton(): ReactElement {
  return (
    <div className="grid grid-cols-2 gap-4 sm:grid-cols-3 lg:grid-cols-5" aria-hidden="true">
      {Array.from({ length: 10 }, (_, index) => (
        <Skeleton key={index} className="h-72" />
      ))}
    </div>
  );
}
