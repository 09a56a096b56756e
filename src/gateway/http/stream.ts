/** `GET /v1/predictions/{id}/stream`: a prediction as it goes on, as server-sent events. Owner of the readers' connections. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Clock } from '../../clock.ts';
import type { Predictions } from '../ports.ts';
import { ownJob } from './access.ts';
import { Reader } from './reader.ts';
import type { Answer, Call, Route, StreamAnswer } from './route.ts';
import { readPosition, SSE_HEADERS, sseComment, sseEvent, sseRetry } from './sse.ts';

/** A line from time to time, so that neither side nor a proxy between them takes silence for death. */
const HEARTBEAT_MS = 15_000;
/** A reader that takes nothing for so long is cut. It may come back with Last-Event-ID. */
const STALL_MS = 30_000;
/** After a cut, and after a drain: the next gateway is there already. */
const RETRY_MS = 1_000;
const DRAIN_RETRY_MS = 250;

export interface StreamRoutesOptions {
  readonly predictions: Predictions;
  readonly clock: Clock;
}

export interface StreamRoutes {
  readonly routes: readonly Route[];
  readonly openStreams: number;
  /** Every reader is told to come back, and let go. From now on for new ones too, once they have what is there. */
  drain(): void;
}

export function streamRoutes({ predictions, clock }: StreamRoutesOptions): StreamRoutes {
  const leaving = new Set<() => void>();
  let draining = false;

  async function follow(call: Call): Promise<Answer | StreamAnswer> {
    const id = call.params.id ?? '';
    let changed: () => void = () => undefined;
    const watch = await predictions.watch(id, () => changed());
    try {
      const job = ownJob(call.access, id, watch?.job ?? null);
      const from = readPosition(header(call, 'last-event-id'));
      // 204 tells an EventSource that asks again, as it does after every end, to stop.
      if (from?.type === 'done' && from.attempt === job.attempt) {
        watch?.close();
        return { status: 204, headers: ['cache-control', 'no-store'], body: '' };
      }
      const reader = new Reader(watch!, from?.type === 'done' ? null : from);
      return {
        status: 200,
        headers: SSE_HEADERS,
        stream: (response) => send(response, reader, (onChange) => (changed = onChange)).finally(() => watch?.close()),
        abandon: () => watch?.close(),
      };
    } catch (error) {
      watch?.close();
      throw error;
    }
  }

  /** Resolves when nothing more is to be sent, or the reader left. */
  async function send(response: ServerResponse, reader: Reader, listen: (fn: () => void) => void): Promise<void> {
    let wake: (() => void) | null = null;
    let gone = false;
    let told = draining;
    const look = (): void => {
      wake?.();
      wake = null;
    };
    const onClose = (): void => {
      gone = true;
      look();
    };
    const onDrain = (): void => {
      told = true;
      look();
    };
    response.once('close', onClose);
    leaving.add(onDrain);
    listen(look);
    const heartbeat = clock.every(HEARTBEAT_MS, () => {
      if (!response.writableNeedDrain) response.write(sseComment('still here'));
    });
    try {
      response.write(sseRetry(RETRY_MS));
      while (!gone) {
        const text = reader.next();
        if (text !== null) {
          if (!response.write(text) && !(await drained(response))) return;
        } else if (reader.done) return;
        else if (told) {
          response.write(sseRetry(DRAIN_RETRY_MS) + sseEvent('reconnect', '{"reason":"draining"}'));
          return;
        } else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      heartbeat.cancel();
      leaving.delete(onDrain);
      response.off('close', onClose);
    }
  }

  /** False: the reader left, or took nothing for too long. */
  async function drained(response: ServerResponse): Promise<boolean> {
    const stall = new AbortController();
    const timer = clock.after(STALL_MS, () => stall.abort());
    const closed = (): void => stall.abort();
    response.once('close', closed);
    try {
      await once(response, 'drain', { signal: stall.signal });
      return true;
    } catch {
      response.destroy();
      return false;
    } finally {
      timer.cancel();
      response.off('close', closed);
    }
  }

  return {
    routes: [{ method: 'GET', path: '/v1/predictions/:id/stream', scope: 'predict', handle: follow }],
    get openStreams() {
      return leaving.size;
    },
    drain() {
      draining = true;
      for (const leave of [...leaving]) leave();
    },
  };
}

function header(call: Call, name: string): string | undefined {
  const value = call.request.headers[name];
  return typeof value === 'string' ? value : undefined;
}
