/**
 * Which worker is asked to serve an HTTP request. Owner of those that wait for a free row, and of how many each caller has
 * open. Nothing here is recorded: who waits, waits in memory, and a caller that leaves is forgotten.
 */
import type { Clock, Timer } from '../clock.ts';
import { leaveSeat, returnSeat } from '../dispatch/seats.ts';
import type { Dispatcher } from '../dispatch/dispatcher.ts';
import type { SessionId } from '../dispatch/job.ts';
import type { Offer } from '../dispatch/session.ts';
import { PosternError } from '../errors.ts';
import type { ModelReport } from '../protocol/messages.ts';
import type { createCatalogue } from './engine-catalogue.ts';
import type { Settling } from './settling.ts';
import type { Seat, SeatRequest, Services } from './ports.ts';
import type { GatewaySession, Permissions } from './worker-ports.ts';
import { roomOf } from './room.ts';

/** Requests that wait for one service. */
const MAX_WAITING = 1_000;
/** As long as most callers wait at all. */
const MAX_WAIT_MS = 30_000;
/** A worker that dials again is back in about a second. */
const RETRY_AFTER_S = 1;

export interface ServicesOptions {
  readonly clock: Clock;
  readonly dispatcher: Pick<Dispatcher, 'offersOf' | 'takeSeat'>;
  readonly catalogue: Pick<ReturnType<typeof createCatalogue>, 'report' | 'known'>;
  readonly sessions: ReadonlyMap<SessionId, GatewaySession>;
  readonly permissions: Permissions;
  /** Of a key that has no limit of its own; it holds for open requests as for jobs. */
  readonly maxUndecidedJobsOfKey: number | null;
  readonly settling: Pick<Settling, 'wait'>;
}

export interface ServiceDesk extends Services {
  /** Rows may be free, or gone, since a grant, a report or the end of a session. */
  changed(): void;
  /** Requests that this session carries now. */
  openOn(session: SessionId): number;
  stop(): void;
}

interface Waiting {
  readonly request: SeatRequest;
  readonly resolve: (seat: Seat) => void;
  readonly reject: (error: PosternError) => void;
}

const isService = ({ kind }: ModelReport): boolean => kind === 'service' || kind === 'openai';

export function createServices(options: ServicesOptions): ServiceDesk {
  const { clock, dispatcher, catalogue, sessions, permissions } = options;
  const queues = new Map<string, Set<Waiting>>();
  const openOf = new Map<string, number>();
  const openOn = new Map<SessionId, number>();
  let scheduled = false;

  function report(service: string): ModelReport {
    const found = catalogue.report(service, null);
    if (found !== null && isService(found.report)) return found.report;
    const hint = found === null ? 'GET /v1/models lists what there is.' : 'It is a model: ask for predictions.';
    throw new PosternError('model_not_found', `There is no service "${service}". ${hint}`);
  }

  function count(counts: Map<string, number>, key: string, change: 1 | -1): void {
    const open = (counts.get(key) ?? 0) + change;
    if (open === 0) counts.delete(key);
    else counts.set(key, open);
  }

  function checkQuota({ caller, maxOpen }: SeatRequest): void {
    const limit = maxOpen ?? options.maxUndecidedJobsOfKey;
    if (limit === null || (openOf.get(caller) ?? 0) < limit) return;
    const message = `This API key has ${limit} requests open already: wait for one of them.`;
    throw new PosternError('quota_exceeded', message, { retryAfterS: RETRY_AFTER_S });
  }

  function take(request: SeatRequest): Seat | null {
    const { service, refused } = request;
    const mayAsk = (worker: string): boolean => !refused.has(worker) && permissions.allows(worker, service);
    const offer = dispatcher.takeSeat(service, mayAsk);
    const session = offer && sessions.get(offer.session.id);
    if (!offer || !session) return null;
    return seatOf(offer, session, request);
  }

  function seatOf(offer: Offer, session: GatewaySession, { caller }: SeatRequest): Seat {
    const { epoch } = offer.session;
    let state: 'taken' | 'open' | 'left' = 'taken';
    const counted = (change: 1 | -1): void => {
      count(openOf, caller, change);
      count(openOn, session.id, change);
    };
    counted(1);
    return {
      worker: session.worker,
      open(request, events) {
        state = 'open';
        return session.request(offer, request, events, () => {
          state = 'left';
          counted(-1);
          leaveSeat(offer);
        });
      },
      leave() {
        if (state !== 'taken') return;
        state = 'left';
        counted(-1);
        returnSeat(offer, epoch);
        changed();
      },
    };
  }

  /** Somebody serves it, though nobody may have a row free. */
  function isServed({ service, refused }: SeatRequest): boolean {
    for (const { session } of dispatcher.offersOf(service)) {
      if (session.state === 'connected' && !refused.has(session.worker)) return true;
    }
    return false;
  }

  function noWorker(service: string): PosternError {
    const { state, message } = report(service);
    const why = state === 'ready' || message === undefined ? '' : ` Its server is not ready: ${message}`;
    return new PosternError('no_worker', `No worker serves "${service}" now.${why}`, { retryAfterS: RETRY_AFTER_S });
  }

  function wait(request: SeatRequest): Promise<Seat> {
    const { service } = request;
    const queue = queues.get(service) ?? new Set<Waiting>();
    if (queue.size >= MAX_WAITING) {
      const message = `${queue.size} requests wait for "${service}" already.`;
      throw new PosternError('overloaded', message, { retryAfterS: RETRY_AFTER_S });
    }
    queues.set(service, queue);
    const signal = request.leaving();
    return new Promise((resolve, reject) => {
      const end = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', onAbort);
        queue.delete(waiting);
        if (queue.size === 0 && queues.get(service) === queue) queues.delete(service);
      };
      const waiting: Waiting = {
        request,
        resolve(seat) {
          end();
          resolve(seat);
        },
        reject(error) {
          end();
          reject(error);
        },
      };
      const onAbort = (): void => waiting.reject(new PosternError('canceled', 'The caller left.'));
      const timer: Timer = clock.after(MAX_WAIT_MS, () => {
        const message = `"${service}" had no room for this within ${MAX_WAIT_MS / 1_000} s.`;
        waiting.reject(new PosternError('overloaded', message, { retryAfterS: RETRY_AFTER_S }));
      });
      signal.addEventListener('abort', onAbort, { once: true });
      queue.add(waiting);
    });
  }

  function serveWaiting(): void {
    scheduled = false;
    for (const [service, queue] of queues) {
      for (const waiting of [...queue]) {
        const seat = take(waiting.request);
        if (seat !== null) waiting.resolve(seat);
        else if (!isServed(waiting.request)) waiting.reject(noWorker(service));
        else break;
      }
    }
  }

  function changed(): void {
    if (queues.size === 0 || scheduled) return;
    scheduled = true;
    process.nextTick(serveWaiting);
  }

  return {
    room: (service) => roomOf(catalogue.report(service, null)),
    report,
    changed,
    openOn: (session) => openOn.get(session) ?? 0,
    seat(request) {
      checkQuota(request);
      // Who waits already comes first.
      const seat = queues.has(request.service) ? null : take(request);
      if (seat !== null) return seat;
      report(request.service);
      if (isServed(request)) return wait(request);
      const arriving = options.settling.wait(request.service);
      if (arriving === null) throw noWorker(request.service);
      return arriving.then(() => {
        if (!isServed(request)) throw noWorker(request.service);
        return take(request) ?? wait(request);
      });
    },
    openAi() {
      return catalogue.known().flatMap((name) => {
        const found = catalogue.report(name, null);
        if (found?.report.kind !== 'openai') return [];
        return [{ service: name, models: found.report.service?.models ?? [name], ready: found.ready }];
      });
    },
    stop() {
      for (const queue of queues.values()) {
        for (const waiting of [...queue]) {
          waiting.reject(new PosternError('draining', 'The gateway stops.', { retryAfterS: RETRY_AFTER_S }));
        }
      }
    },
  };
}
