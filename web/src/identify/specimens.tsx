/** A sheet of drawings beside the first page's words: what this guide is about, at one glance. An ornament. */
import { useQuery } from '@tanstack/react-query';
import type { ReactElement } from 'react';
import { leafThroughQuery } from '../api/guides.ts';
import { useGuide } from '../app/guide-context.tsx';
import { Drawing } from '../art/drawing.tsx';

/** From all over the alphabet, so that they differ. */
const SHOWN = 9;

export function Specimens(): ReactElement {
  const { guide } = useGuide();
  const { data } = useQuery(leafThroughQuery(guide.id));
  const items = data?.items ?? [];
  const step = Math.max(1, Math.floor(items.length / SHOWN));
  const shown = items.filter((_, index) => index % step === 0).slice(0, SHOWN);
  return (
    <div
      aria-hidden="true"
      className="hidden aspect-[5/6] -rotate-1 grid-cols-3 rounded-lg border border-line bg-plate p-6 shadow-high lg:grid"
    >
      {shown.map((entry) => (
        <Drawing key={entry.id} entry={entry} className="come h-full w-full" />
      ))}
    </div>
  );
}
