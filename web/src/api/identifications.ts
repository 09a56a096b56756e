/** Identifications as the gateway sends them (docs/fieldguide.md), and what can be asked and done about them. */
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';
import type { Both } from '../i18n/use-language.ts';
import type { EntrySummary, Names } from './guides.ts';
import { call, getJson, postJson, remove } from './http.ts';

export interface WorkerPresence {
  readonly state: 'ready' | 'busy' | 'away' | 'never';
  readonly last_seen_at: string | null;
}

export interface GuideStatus {
  readonly worker: WorkerPresence;
  readonly waiting: number;
  readonly upload: { readonly max_photos: number; readonly max_bytes: number; readonly types: readonly string[] };
  readonly photo_days: number;
  readonly record_days: number;
}

export interface Candidate {
  readonly entry: EntrySummary;
  readonly score: number;
}

export interface Cause {
  readonly group: string | null;
  readonly entry: string;
  readonly names: Both;
  readonly level: string;
  readonly probability: number;
  readonly parts: Both | null;
}

export interface DangerVerdict {
  readonly verdict: 'dangerous' | 'unknown' | 'none';
  readonly probability: number;
  readonly level: string | null;
  readonly causes: readonly Cause[];
}

export interface Found {
  readonly type: 'candidates' | 'unsure' | 'not_a_plant';
  readonly candidates: readonly Candidate[];
  readonly danger: DangerVerdict | null;
  readonly label: { readonly id: string; readonly names: Names; readonly text: Both } | null;
  readonly photos_used: number;
  readonly photos_left_out: number;
}

export interface Failed {
  readonly type: 'failed';
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly retryable: boolean;
}

export type Outcome = Found | Failed;

export interface Photo {
  readonly n: number;
  readonly width: number;
  readonly height: number;
  readonly state: 'waiting' | 'processing' | 'used' | 'left_out' | 'failed';
  readonly note: string | null;
  /** null once it has expired. */
  readonly url: string | null;
  readonly thumb: string | null;
}

export interface Identification {
  readonly id: string;
  readonly guide: string;
  readonly status: 'waiting' | 'processing' | 'decided';
  readonly created_at: string;
  readonly photos_expire_at: string | null;
  readonly photos: readonly Photo[];
  readonly progress: {
    readonly done: number;
    readonly of: number;
    readonly queue_position: number | null;
    readonly fraction: number | null;
  } | null;
  readonly worker: WorkerPresence | null;
  readonly outcome: Outcome | null;
  readonly feedback: { readonly verdict: 'right' | 'wrong'; readonly entry: string | null } | null;
  readonly share: { readonly token: string; readonly url: string; readonly photos: boolean } | null;
  readonly poll_after_ms: number | null;
}

export interface Shared {
  readonly guide: string;
  readonly date: string;
  readonly outcome: Found;
  readonly photos: readonly {
    readonly n: number;
    readonly width: number;
    readonly height: number;
    readonly url: string;
  }[];
}

const pathOf = (id: string): string => `/api/identifications/${encodeURIComponent(id)}`;

export const statusQuery = (guide: string) =>
  queryOptions({
    queryKey: ['status', guide],
    queryFn: ({ signal }) => getJson<GuideStatus>(`/api/guides/${encodeURIComponent(guide)}/status`, signal),
    refetchInterval: 30_000,
  });

export const identificationQuery = (id: string) =>
  queryOptions({
    queryKey: ['identification', id],
    queryFn: ({ signal }) => getJson<Identification>(pathOf(id), signal),
    // What changes is brought by the watcher.
    staleTime: 60_000,
  });

export const ownQuery = infiniteQueryOptions({
  queryKey: ['identifications'],
  queryFn: ({ pageParam, signal }) =>
    getJson<{ items: Identification[]; next: string | null }>(
      `/api/identifications?limit=20${pageParam === '' ? '' : `&cursor=${encodeURIComponent(pageParam)}`}`,
      signal,
    ),
  initialPageParam: '',
  getNextPageParam: (page) => page.next,
});

export const sharedQuery = (token: string) =>
  queryOptions({
    queryKey: ['share', token],
    queryFn: ({ signal }) => getJson<Shared>(`/api/shares/${encodeURIComponent(token)}`, signal),
    staleTime: 60_000,
  });

export interface News {
  readonly identification: Identification | null;
  readonly etag: string | null;
}

/** One question of a watcher: waits up to `wait_s` for news. `identification` is null when there were none. */
export async function askForNews(id: string, etag: string | null, wait_s: number, signal: AbortSignal): Promise<News> {
  const response = await call({
    method: 'GET',
    path: wait_s > 0 ? `${pathOf(id)}?wait=${wait_s}` : pathOf(id),
    ...(etag === null ? {} : { headers: { 'if-none-match': etag } }),
    repeatable: false,
    signal,
  });
  if (response.status === 304) return { identification: null, etag };
  return { identification: (await response.json()) as Identification, etag: response.headers.get('etag') };
}

export const retryIdentification = (id: string) => postJson<Identification>(`${pathOf(id)}/retry`);
export const giveFeedback = (id: string, verdict: 'right' | 'wrong', entry: string | null) =>
  postJson<Identification>(`${pathOf(id)}/feedback`, { verdict, entry });
export const takeFeedbackBack = (id: string) => remove(`${pathOf(id)}/feedback`);
export const share = (id: string, photos: boolean) =>
  postJson<NonNullable<Identification['share']>>(`${pathOf(id)}/share`, { photos });
export const endShare = (id: string) => remove(`${pathOf(id)}/share`);
export const forget = (id: string) => remove(pathOf(id));
export const forgetAll = () => remove('/api/identifications');
