/** What the console asks the gateway, and how often. */
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';
import type { DeployedModel } from '../../../src/client/rollouts.ts';
import { call, getJson } from '../api/http.ts';
import {
  isDecided,
  type ApiKey,
  type AuditPage,
  type Job,
  type JobFilter,
  type WhoAmI,
  type Worker,
} from './shapes.ts';

/** Under this key lies all that needs the sign-in: it is forgotten with it. */
export const ADMIN = 'admin';
const SOON_MS = 2_000;
const LATER_MS = 10_000;

export const whoQuery = queryOptions({
  queryKey: [ADMIN, 'who'],
  queryFn: ({ signal }) => getJson<WhoAmI>('/v1/admin/whoami', signal),
  staleTime: 60_000,
  retry: false,
});

export const workersQuery = queryOptions({
  queryKey: [ADMIN, 'workers'],
  queryFn: async ({ signal }) => (await getJson<{ results: Worker[] }>('/v1/admin/workers', signal)).results,
  refetchInterval: LATER_MS,
});

export const rolloutsQuery = queryOptions({
  queryKey: [ADMIN, 'rollouts'],
  queryFn: async ({ signal }) => (await getJson<{ results: DeployedModel[] }>('/v1/admin/models', signal)).results,
  refetchInterval: SOON_MS,
});

export const keysQuery = queryOptions({
  queryKey: [ADMIN, 'keys'],
  queryFn: async ({ signal }) => (await getJson<{ results: ApiKey[] }>('/v1/admin/keys', signal)).results,
  refetchInterval: LATER_MS,
});

export const jobsQuery = (filter: JobFilter) =>
  infiniteQueryOptions({
    queryKey: [ADMIN, 'jobs', filter],
    queryFn: ({ pageParam, signal }) => {
      const query = new URLSearchParams({ limit: '40' });
      for (const [name, value] of Object.entries({ ...filter, cursor: pageParam })) {
        if (value !== '') query.set(name, value);
      }
      return getJson<{ results: Job[]; next_cursor: string | null }>(`/v1/admin/predictions?${query}`, signal);
    },
    initialPageParam: '',
    getNextPageParam: (page) => page.next_cursor,
    // Whoever has gone back in time reads there: only the first page moves by itself.
    refetchInterval: ({ state }) => ((state.data?.pages.length ?? 1) === 1 ? SOON_MS : false),
  });

export const jobQuery = (id: string) =>
  queryOptions({
    queryKey: [ADMIN, 'job', id],
    queryFn: ({ signal }) => getJson<Job>(`/v1/admin/predictions/${encodeURIComponent(id)}`, signal),
    refetchInterval: ({ state }) => (state.data !== undefined && isDecided(state.data.status) ? false : SOON_MS / 2),
  });

export const auditQuery = infiniteQueryOptions({
  queryKey: [ADMIN, 'audit'],
  queryFn: ({ pageParam, signal }) =>
    getJson<AuditPage>(`/v1/admin/audit?limit=50${pageParam === 0 ? '' : `&before=${pageParam}`}`, signal),
  initialPageParam: 0,
  getNextPageParam: (page) => page.next_before,
  refetchInterval: ({ state }) => ((state.data?.pages.length ?? 1) === 1 ? SOON_MS : false),
});

/** Sends a write of the console. `proof`: what the sign-in gave for writes; null: there is none. */
export async function write<T>(path: string, proof: string | null, value?: unknown): Promise<T | null> {
  const body = value === undefined ? undefined : new Blob([JSON.stringify(value)], { type: 'application/json' });
  const response = await call({
    method: 'POST',
    path,
    body,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(proof === null ? {} : { 'x-csrf-token': proof }),
    },
    // A key that is made twice is one too many.
    repeatable: false,
  });
  return response.status === 204 ? null : ((await response.json()) as T);
}
