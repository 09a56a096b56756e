/** An entry among others: a plate with its drawing, its names and its level of danger. */
import type { ReactElement } from 'react';
import { Link } from 'react-router';
import type { EntrySummary } from '../api/guides.ts';
import { useGuide } from '../app/guide-context.tsx';
import { paths } from '../app/paths.ts';
import { Drawing } from '../art/drawing.tsx';
import { useLanguage } from '../i18n/use-language.ts';
import { DangerTag } from './danger-tag.tsx';
import { nameOf, otherName } from './names.ts';

export function EntryCard({ entry }: { readonly entry: EntrySummary }): ReactElement {
  const { guide } = useGuide();
  const lang = useLanguage();
  return (
    <Link
      to={paths.entry(guide.id, entry.id)}
      className="group flex h-full flex-col overflow-hidden rounded-md border border-line bg-surface text-ink no-underline transition-shadow hover:shadow-high"
    >
      <span className="flex h-40 items-center justify-center border-b border-line bg-plate sm:h-48">
        <Drawing
          entry={entry}
          className="h-36 transition-transform duration-300 group-hover:scale-105 motion-reduce:transition-none sm:h-44"
        />
      </span>
      <span className="flex grow flex-col gap-0.5 p-3">
        <span className="line-clamp-2 leading-snug font-bold">{nameOf(entry.names, lang)}</span>
        <span className="truncate text-xs text-soft">
          {entry.scientific_name === null ? (
            otherName(entry.names, lang)
          ) : (
            <i className="latin text-sm">{entry.scientific_name}</i>
          )}
        </span>
        <span className="mt-auto pt-2">
          <DangerTag level={entry.danger?.level} />
        </span>
      </span>
    </Link>
  );
}
