/**
 * What goes on, as it comes: one connection for all of the console. The browser opens it again after a cut; where it gives up (the
 * gateway refused), we ask who we are, which leads to the sign-in if that is over, and try again by and by.
 */
import { useQueryClient } from '@tanstack/react-query';
import { createContext, use, useEffect, useMemo, useState, type ReactElement, type ReactNode } from 'react';
import { getJson } from '../api/http.ts';
import { whoQuery } from './api.ts';
import { fromBody, NO_SERIES, withPoint, type Series } from './series.ts';
import type { Point, SeriesBody, Snapshot } from './shapes.ts';

export type LiveStatus = 'connecting' | 'live' | 'lost';

export interface Live {
  readonly status: LiveStatus;
  readonly snapshot: Snapshot | null;
  readonly series: Series;
  /** Epoch ms by the gateway's clock, as of the snapshot. */
  readonly now: number;
}

const LiveContext = createContext<Live>({ status: 'connecting', snapshot: null, series: NO_SERIES, now: Date.now() });

export const useLive = (): Live => use(LiveContext);

/** Before a connection that was refused is tried again. */
const AGAIN_MS = 2_000;

export function LiveProvider({ children }: { readonly children: ReactNode }): ReactElement {
  const [status, setStatus] = useState<LiveStatus>('connecting');
  const [snapshot, setSnapshot] = useState<Snapshot | null>(null);
  const [series, setSeries] = useState(NO_SERIES);
  const queries = useQueryClient();

  useEffect(() => {
    let source: EventSource | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ending = new AbortController();

    /** Points that went by while nobody listened. */
    const loadSeries = (): void => {
      getJson<SeriesBody>('/v1/admin/series', ending.signal).then(
        (body) => setSeries(fromBody(body)),
        // The next connection asks again; until then the charts go on from what comes.
        () => undefined,
      );
    };

    function open(): void {
      const opened = new EventSource('/v1/admin/live');
      source = opened;
      opened.addEventListener('open', loadSeries);
      opened.addEventListener('snapshot', ({ data }: MessageEvent<string>) => {
        setSnapshot(JSON.parse(data) as Snapshot);
        setStatus('live');
      });
      opened.addEventListener('point', ({ data }: MessageEvent<string>) => {
        const point = JSON.parse(data) as Point;
        setSeries((before) => withPoint(before, point));
      });
      opened.addEventListener('error', () => {
        setStatus('lost');
        if (opened.readyState !== EventSource.CLOSED) return;
        void queries.invalidateQueries({ queryKey: whoQuery.queryKey });
        timer = setTimeout(open, AGAIN_MS);
      });
    }

    open();
    return () => {
      clearTimeout(timer);
      source?.close();
      ending.abort(new Error('the console was closed'));
    };
  }, [queries]);

  const live = useMemo(
    () => ({ status, snapshot, series, now: snapshot === null ? Date.now() : Date.parse(snapshot.at) }),
    [status, snapshot, series],
  );
  return <LiveContext value={live}>{children}</LiveContext>;
}
