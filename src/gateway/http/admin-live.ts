/**
 * `GET /v1/admin/live`: what goes on, as server-sent events, once a second; and `/v1/admin/series`, the last hour. Owner of the
 * viewers' connections.
 *
 * A snapshot is written as text once, whatever the number of viewers. A viewer that does not keep up misses snapshots, never
 * queues them; one that takes nothing for half a minute is cut.
 */
import type { ServerResponse } from 'node:http';
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { Activity, Snapshot } from '../activity/activity.ts';
import { NO_RATES } from '../activity/rates.ts';
import { OWNER_ACCESS } from './access.ts';
import { modelBody, workerBody } from './models.ts';
import { json, type Call, type Route, type StreamAnswer } from './route.ts';
import { SSE_HEADERS, sseEvent, sseRetry } from './sse.ts';

/** More people than this do not look at one gateway; each costs a connection and a copy of the snapshot a second. */
const MAX_VIEWERS = 32;
/** In a snapshot: the lists have all. */
const MAX_SHOWN = 200;
const STALL_MS = 30_000;
const RETRY_MS = 1_000;
const DRAIN_RETRY_MS = 250;

/** What only the HTTP side knows. */
export interface HttpState {
  readonly phase: string;
  readonly requestsInFlight: number;
  readonly bodyBytes: number;
  /** Why nothing can be kept now. */
  readonly fault: string | null;
}

export interface AdminLiveOptions {
  readonly activity: Activity;
  readonly clock: Clock;
  readonly state: () => HttpState;
  /** Since there are keys, nobody watches without one, not even who began before. */
  readonly isClosed: () => boolean;
}

export interface AdminLive {
  readonly routes: readonly Route[];
  /** Every viewer is told to come back, and let go. */
  drain(): void;
}

interface Viewer {
  readonly response: ServerResponse;
  readonly isOwner: boolean;
  /** Monotonic; null: it keeps up. */
  stalledAt: number | null;
  readonly leave: () => void;
}

export function adminLive({ activity, clock, state, isClosed }: AdminLiveOptions): AdminLive {
  const viewers = new Set<Viewer>();
  const startedAt = clock.now();
  let unwatch: (() => void) | null = null;
  let draining = false;

  function textOf(snapshot: Snapshot): string {
    const { at, point, models, workers, rates } = snapshot;
    const body = {
      at: new Date(at).toISOString(),
      gateway: {
        phase: state().phase,
        started_at: new Date(startedAt).toISOString(),
        fault: state().fault,
        requests_in_flight: state().requestsInFlight,
        body_bytes: state().bodyBytes,
        viewers: viewers.size,
      },
      latest: point,
      workers: workers.slice(0, MAX_SHOWN).map(workerBody),
      models: models
        .slice(0, MAX_SHOWN)
        .map((model) => ({ ...modelBody(model, ''), ...(rates.get(model.name) ?? NO_RATES) })),
      left_out: {
        workers: Math.max(0, workers.length - MAX_SHOWN),
        models: Math.max(0, models.length - MAX_SHOWN),
      },
    };
    return sseEvent('snapshot', JSON.stringify(body));
  }

  function show(snapshot: Snapshot): void {
    let text = textOf(snapshot);
    if (snapshot.isNewPoint) text += sseEvent('point', JSON.stringify({ at: snapshot.at, ...snapshot.point }));
    for (const viewer of [...viewers]) {
      if (viewer.isOwner && isClosed()) viewer.leave();
      else send(viewer, text);
    }
  }

  function send(viewer: Viewer, text: string): void {
    const { response } = viewer;
    if (!response.writableNeedDrain) {
      viewer.stalledAt = null;
      response.write(text);
      return;
    }
    viewer.stalledAt ??= clock.monotonic();
    if (clock.monotonic() - viewer.stalledAt >= STALL_MS) response.destroy();
  }

  function follow(response: ServerResponse, isOwner: boolean): Promise<void> {
    return new Promise((resolve) => {
      const viewer: Viewer = {
        response,
        isOwner,
        stalledAt: null,
        leave: () => {
          response.off('close', viewer.leave);
          viewers.delete(viewer);
          if (viewers.size === 0) {
            unwatch?.();
            unwatch = null;
          }
          resolve();
        },
      };
      response.once('close', viewer.leave);
      viewers.add(viewer);
      unwatch ??= activity.watch(show);
      response.write(sseRetry(RETRY_MS));
      // Not only in a second: somebody has just opened the page.
      activity.snapshot().then(
        (snapshot) => {
          if (viewers.has(viewer)) send(viewer, textOf(snapshot));
        },
        () => undefined,
      );
    });
  }

  async function live(call: Call): Promise<StreamAnswer> {
    if (draining) throw new PosternError('draining', 'This gateway is about to stop.', { retryAfterS: 1 });
    if (viewers.size >= MAX_VIEWERS) {
      throw new PosternError('overloaded', `${MAX_VIEWERS} viewers watch this gateway already.`, { retryAfterS: 30 });
    }
    return Promise.resolve({
      status: 200,
      headers: SSE_HEADERS,
      stream: (response) => follow(response, call.access === OWNER_ACCESS),
      abandon: () => undefined,
    });
  }

  return {
    routes: [
      { method: 'GET', path: '/v1/admin/live', scope: 'admin', handle: live },
      {
        method: 'GET',
        path: '/v1/admin/series',
        scope: 'admin',
        handle: () => json(200, JSON.stringify(activity.series())),
      },
    ],
    drain() {
      draining = true;
      for (const viewer of [...viewers]) {
        viewer.response.write(sseRetry(DRAIN_RETRY_MS) + sseEvent('reconnect', '{"reason":"draining"}'));
        viewer.leave();
      }
    },
  };
}
