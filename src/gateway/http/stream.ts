/**
 * `GET /v1/predictions/{id}/stream`: a prediction as it goes on, as server-sent events. Owner of the readers' connections.
 *
 * The parts of a job that another gateway runs are there: the request is passed on. Where a job goes over to another gateway under way, the
 * reader is told to come back, and is then passed on.
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { Job } from '../../dispatch/job.ts';
import type { JobWatch, Predictions } from '../ports.ts';
import { ownJob } from './access.ts';
import type { Forwarder } from './forward.ts';
import { isPeer } from './forwarded.ts';
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
/** No gateway said that it runs the job: one that was killed had it, and until its lease is over nobody has. Readers ask again so often. */
const ASK_AGAIN_MS = 3_000;

export interface StreamRoutesOptions {
  readonly predictions: Predictions;
  readonly forwarder: Forwarder;
  readonly clock: Clock;
}

export interface StreamRoutes {
  readonly routes: readonly Route[];
  readonly openStreams: number;
  /** Every reader is told to come back, and let go. From now on for new ones too, once they have what is there. */
  drain(): void;
}

export function streamRoutes({ predictions, forwarder, clock }: StreamRoutesOptions): StreamRoutes {
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
      let settledAt = -Infinity;
      if (isElsewhere(watch!)) {
        const answer = await followElsewhere(call, job);
        if (answer !== null) {
          watch!.close();
          return answer;
        }
        settledAt = clock.monotonic();
      }
      const reader = new Reader(watch!, from?.type === 'done' ? null : from);
      return {
        status: 200,
        headers: SSE_HEADERS,
        stream: (response) =>
          send(response, { reader, watch: watch!, settledAt }, (onChange) => (changed = onChange)).finally(() =>
            watch?.close(),
          ),
        abandon: () => watch?.close(),
      };
    } catch (error) {
      watch?.close();
      throw error;
    }
  }

  /** null: nobody says that it runs there. One that was asked by another gateway says so itself. */
  function followElsewhere(call: Call, { model }: Job): Promise<StreamAnswer | null> {
    if (!isPeer(call.request.socket)) return forwarder.follow(call, model);
    throw new PosternError('no_worker', 'This gateway does not run the prediction.', { retryAfterS: 1 });
  }

  /** Resolves when nothing more is to be sent, or the reader left. */
  async function send(
    response: ServerResponse,
    { reader, watch, settledAt }: Reading,
    listen: (fn: () => void) => void,
  ): Promise<void> {
    let wake: (() => void) | null = null;
    let gone = false;
    let told: 'draining' | 'moved' | null = draining ? 'draining' : null;
    const look = (): void => {
      wake?.();
      wake = null;
    };
    const onClose = (): void => {
      gone = true;
      look();
    };
    const onDrain = (): void => {
      told = 'draining';
      look();
    };
    const hasMoved = (): boolean =>
      isElsewhere(watch) && clock.monotonic() - settledAt >= ASK_AGAIN_MS && forwarder.mayRunElsewhere(watch.job.model);
    const again = clock.every(ASK_AGAIN_MS, look);
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
        if (text === null && told === null && hasMoved()) told = 'moved';
        if (text !== null) {
          if (!response.write(text) && !(await drained(response))) return;
        } else if (reader.done) return;
        else if (told !== null) {
          response.write(sseRetry(DRAIN_RETRY_MS) + sseEvent('reconnect', `{"reason":"${told}"}`));
          return;
        } else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      heartbeat.cancel();
      again.cancel();
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

interface Reading {
  readonly reader: Reader;
  readonly watch: JobWatch;
  /** When it was last asked who runs it, and nobody said so; −∞: it was not asked. */
  readonly settledAt: number;
}

/** It runs, and this process hears nothing of its parts. */
const isElsewhere = ({ job, isHere }: JobWatch): boolean => job.status === 'processing' && !isHere;

function header(call: Call, name: string): string | undefined {
  const value = call.request.headers[name];
  return typeof value === 'string' ? value : undefined;
}
