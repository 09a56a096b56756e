/** The guides as the gateway sends them (docs/guides.md), and the questions that are asked about them. */
import { infiniteQueryOptions, keepPreviousData, queryOptions } from '@tanstack/react-query';
import type { DrawingSpec } from '../art/look.ts';
import type { Language } from '../i18n/texts.ts';
import type { Both } from '../i18n/use-language.ts';
import { getJson } from './http.ts';

export interface Names {
  readonly en: readonly string[];
  readonly ko: readonly string[];
}

export interface EntrySummary {
  readonly id: string;
  readonly names: Names;
  readonly scientific_name: string | null;
  readonly family: { readonly la: string; readonly ko: string } | null;
  readonly danger: { readonly level: string; readonly dangerous: boolean } | null;
  readonly drawing?: DrawingSpec | null;
}

export interface Source {
  readonly table: string;
  readonly says: Both;
  readonly level: string;
  readonly rows: readonly { readonly row: string; readonly name: string }[];
}

export interface Entry extends Omit<EntrySummary, 'danger'> {
  readonly text: Both;
  readonly synonyms: readonly string[];
  readonly danger:
    (NonNullable<EntrySummary['danger']> & { readonly tables_disagree?: boolean; readonly parts?: Both | null }) | null;
  readonly animals?: Both | null;
  readonly notes?: readonly (Both & { readonly code: string })[];
  readonly sources?: readonly Source[];
  readonly similar: readonly EntrySummary[];
}

export interface Level {
  readonly id: string;
  readonly dangerous: boolean;
  readonly sign?: 'skull' | 'warning' | 'mouth' | 'hand' | 'leaf' | 'question';
  readonly label: Both;
  readonly meaning: Both;
}

export interface GuideOverview {
  readonly id: string;
  readonly model: string;
  readonly entries: number;
  readonly title: Both;
}

export interface GuideDetails extends GuideOverview {
  readonly texts: { readonly en: Readonly<Record<string, string>>; readonly ko: Readonly<Record<string, string>> };
  /** From the worst to the mildest. */
  readonly levels: readonly Level[];
  readonly families: readonly { readonly la: string; readonly ko: string; readonly entries: number }[];
  readonly outcomes: readonly { readonly id: string; readonly names: Names; readonly text: Both }[];
  /** The tables that the facts come from, by the names that `sources` use. */
  readonly tables?: Readonly<Record<string, { readonly short: Both; readonly title: string; readonly cite: string }>>;
}

export interface EntriesPage {
  readonly items: readonly EntrySummary[];
  readonly next: string | null;
}

export interface EntryFilter {
  readonly q: string;
  readonly level: string;
  readonly family: string;
}

/** Guides change with a release. */
const LONG_MS = 10 * 60_000;

export const guidesQuery = queryOptions({
  queryKey: ['guides'],
  queryFn: async ({ signal }) => (await getJson<{ items: GuideOverview[] }>('/api/guides', signal)).items,
  staleTime: LONG_MS,
});

export const guideQuery = (guide: string) =>
  queryOptions({
    queryKey: ['guide', guide],
    queryFn: ({ signal }) => getJson<GuideDetails>(`/api/guides/${encodeURIComponent(guide)}`, signal),
    staleTime: LONG_MS,
  });

export const entryQuery = (guide: string, entry: string) =>
  queryOptions({
    queryKey: ['entry', guide, entry],
    queryFn: ({ signal }) =>
      getJson<Entry>(`/api/guides/${encodeURIComponent(guide)}/entries/${encodeURIComponent(entry)}`, signal),
    staleTime: LONG_MS,
  });

function entriesPath(guide: string, filter: Partial<EntryFilter>, rest: Readonly<Record<string, string>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...filter, ...rest })) if (value !== '') query.set(name, value);
  return `/api/guides/${encodeURIComponent(guide)}/entries?${query.toString()}`;
}

export const entriesQuery = (guide: string, filter: EntryFilter, lang: Language) =>
  infiniteQueryOptions({
    queryKey: ['entries', guide, filter, lang],
    queryFn: ({ pageParam, signal }) =>
      getJson<EntriesPage>(entriesPath(guide, filter, { lang, limit: '48', cursor: pageParam }), signal),
    initialPageParam: '',
    getNextPageParam: (page) => page.next,
    staleTime: LONG_MS,
  });

/** What is shown under the search field while somebody types. */
export const suggestionsQuery = (guide: string, q: string) =>
  queryOptions({
    queryKey: ['suggestions', guide, q],
    queryFn: ({ signal }) => getJson<EntriesPage>(entriesPath(guide, { q }, { limit: '8' }), signal),
    enabled: q !== '',
    placeholderData: keepPreviousData,
    staleTime: LONG_MS,
  });

/** Entries to look at: many of the guide, or those of one level. */
export const leafThroughQuery = (guide: string, level = '') =>
  queryOptions({
    queryKey: ['leaf-through', guide, level],
    queryFn: ({ signal }) => getJson<EntriesPage>(entriesPath(guide, { level }, { limit: '60' }), signal),
    staleTime: LONG_MS,
  });
