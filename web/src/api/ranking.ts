/** The ranking as the gateway sends it: snapshots, so that the pages of one fit together. */
import { infiniteQueryOptions } from '@tanstack/react-query';
import type { EntrySummary } from './guides.ts';
import { getJson } from './http.ts';

export const WINDOWS = ['day', 'week', 'all'] as const;
export type RankingWindow = (typeof WINDOWS)[number];

export interface Ranked {
  readonly rank: number;
  readonly entry: EntrySummary;
  readonly finds: number;
  readonly views: number;
}

export interface RankingPage {
  readonly made_at: string;
  readonly total: number;
  readonly items: readonly Ranked[];
  readonly next: string | null;
}

export const rankingQuery = (guide: string, window: RankingWindow) =>
  infiniteQueryOptions({
    queryKey: ['ranking', guide, window],
    queryFn: ({ pageParam, signal }) => {
      const query = new URLSearchParams({ window, limit: '20', ...(pageParam === '' ? {} : { cursor: pageParam }) });
      return getJson<RankingPage>(`/api/guides/${encodeURIComponent(guide)}/ranking?${query.toString()}`, signal);
    },
    initialPageParam: '',
    getNextPageParam: (page) => page.next,
    staleTime: 60_000,
  });
