/** The guide that the page is about: from its address, else the one read last, else the first. */
import { useQuery } from '@tanstack/react-query';
import { createContext, useContext, useEffect, type ReactElement, type ReactNode } from 'react';
import { useParams } from 'react-router';
import { guideQuery, guidesQuery, type GuideDetails, type GuideOverview } from '../api/guides.ts';
import { useLanguage } from '../i18n/use-language.ts';
import { Problem } from '../ui/problem.tsx';
import { PageSkeleton } from '../ui/skeleton.tsx';

interface Value {
  readonly guide: GuideDetails;
  readonly guides: readonly GuideOverview[];
}

const Context = createContext<Value | null>(null);
const STORED = 'postern.guide';

function remembered(): string | null {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}

function remember(id: string): void {
  try {
    localStorage.setItem(STORED, id);
  } catch {
    // Storage may be refused; then the first guide is shown next time.
  }
}

export function GuideProvider({ children }: { readonly children: ReactNode }): ReactElement {
  const named = useParams().guide;
  const guides = useQuery(guidesQuery);
  // The largest first: it is what most people come for.
  const list = [...(guides.data ?? [])].sort((a, b) => b.entries - a.entries);
  const last = remembered();
  const id = named ?? list.find((one) => one.id === last)?.id ?? list[0]?.id;
  const guide = useQuery({ ...guideQuery(id ?? ''), enabled: id !== undefined });
  useEffect(() => {
    if (guide.data) remember(guide.data.id);
  }, [guide.data]);

  const failed = guide.error ?? (guide.data ? null : guides.error);
  if (failed) {
    const again = (): void => {
      void guides.refetch();
      if (id !== undefined) void guide.refetch();
    };
    return <Problem error={failed} onRetry={again} page />;
  }
  if (!guide.data) return <PageSkeleton />;
  return <Context value={{ guide: guide.data, guides: list }}>{children}</Context>;
}

/** The guide of what is inside, where the address does not name it: of a shared identification. */
export function GuideScope({ id, children }: { readonly id: string; readonly children: ReactNode }): ReactElement {
  const { guides } = useGuide();
  const guide = useQuery(guideQuery(id));
  if (guide.data) return <Context value={{ guide: guide.data, guides }}>{children}</Context>;
  if (guide.error) return <Problem error={guide.error} onRetry={() => void guide.refetch()} page />;
  return <PageSkeleton />;
}

export function useGuide(): Value {
  const value = useContext(Context);
  if (value === null) throw new Error('useGuide outside of a GuideProvider');
  return value;
}

/** The guide's own words, in the language of the page; an empty text where it has none. */
export function useGuideText(): (key: string) => string {
  const { guide } = useGuide();
  const lang = useLanguage();
  return (key) => guide.texts[lang][key] ?? '';
}
