/** The workers' side of the engine: what sessions report, checked and passed on. A worker is trusted with nothing. */
import { isUtf8 } from 'node:buffer';
import type { Clock } from '../clock.ts';
import type { ErrorCode } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Dispatcher } from '../dispatch/dispatcher.ts';
import type { Fence, Job, JobId, JobTimings, Outcome, Payload, SessionId } from '../dispatch/job.ts';
import type { Flight } from '../dispatch/session.ts';
import { DEAD_MS, MAX_GATEWAYS } from '../protocol/limits.ts';
import type { ModelReport, StoredVersion, Timings } from '../protocol/messages.ts';
import type { Store } from '../store/store.ts';
import type { createCatalogue } from './engine-catalogue.ts';
import type { Turn } from './engine-turn.ts';
import type { GatewaySession, Permissions, SessionEvents } from './worker-ports.ts';
import type { RolloutDesk } from './rollouts/rollouts.ts';
import type { Streams } from './streams.ts';

export interface SessionEventsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: Store;
  readonly dispatcher: Dispatcher;
  readonly catalogue: ReturnType<typeof createCatalogue>;
  readonly permissions: Permissions;
  readonly sessions: Map<SessionId, GatewaySession>;
  readonly turn: Turn;
  readonly streams: Streams;
  readonly rollouts: RolloutDesk;
  readonly leaseMs: number;
  /** Attempts ended without a word of the worker. */
  readonly cameBack: (jobs: readonly Job[]) => void;
  readonly storeFailed: (step: string, error: unknown) => void;
  /** Some worker grants more, or serves another list, or is gone. */
  readonly creditChanged: () => void;
}

/** What a worker says that it has: loaded, and not. */
interface Announced {
  readonly reports: readonly ModelReport[];
  readonly stored: readonly StoredVersion[];
}

/** What a worker may say about an attempt; any other code becomes model_failed, so that it cannot speak for the gateway. */
const WORKER_CODES: ReadonlySet<string> = new Set<ErrorCode>([
  'not_an_image',
  'image_truncated',
  'image_too_large',
  'empty_input',
  'input_invalid',
  'bad_tensor',
  'bad_parameter',
  'model_failed',
  'model_unavailable',
  'runner_crashed',
  'output_too_large',
  'output_invalid',
  'deadline_exceeded',
  'body_too_large',
  'unsupported_media_type',
  'internal',
]);

type Held = readonly (readonly [JobId, number])[];

interface Heard {
  atMs: number;
  told: boolean;
}

export function createSessionEvents(options: SessionEventsOptions) {
  const { clock, logger, store, dispatcher, catalogue, permissions, sessions, turn, streams, leaseMs } = options;
  const { rollouts } = options;
  /** Monotonic time at which each session was heard, and whether the store knows. */
  const heard = new Map<SessionId, Heard>();

  /** What ended while the store was asked what a session holds: its answer is older than that. */
  const reconciling = new Map<GatewaySession, Set<JobId>>();

  /** What workers said of their other sessions and the store has not heard: the latest word on each. */
  const keeping = new Map<GatewaySession, Map<SessionId, Held | null>>();

  /** What each connected worker serves by its own account. */
  const announced = new Map<GatewaySession, Announced>();

  /** Passes on what the worker may be sent work for, and tells it of the rest. */
  function offer(session: GatewaySession, { reports, stored }: Announced): void {
    const allowed = reports.filter(({ name }) => permissions.allows(session.worker, name));
    const denied = reports.filter((report) => !allowed.includes(report));
    const namesOf = (list: readonly ModelReport[]): string[] => [...new Set(list.map(({ name }) => name))];
    const [names, before] = [namesOf(denied), namesOf(catalogue.deniedTo(session))];
    catalogue.announced(session, allowed, denied);
    dispatcher.models(session.id, allowed);
    rollouts.reported(
      session,
      stored.filter(({ name }) => permissions.allows(session.worker, name)),
    );
    options.creditChanged();
    turn.schedule();
    if (names.join() === before.join()) return;
    logger.warn('models not allowed', { worker: session.worker, models: names });
    session.deny(names);
  }

  function permissionsChanged(): void {
    // Live sessions of these are closed by the listener. Those that are away will not come back: no lease is waited for.
    for (const { id, worker, state } of [...dispatcher.sessions()]) {
      if (state === 'away' && permissions.isOut(worker)) dispatcher.closed(id, true);
    }
    for (const [session, list] of announced) {
      const denied = new Set(catalogue.deniedTo(session));
      const changed = list.reports.some(
        (report) => permissions.allows(session.worker, report.name) === denied.has(report),
      );
      if (changed) offer(session, list);
    }
  }

  /** Events of a connection that was replaced are void: what counts will come again on the new one. */
  const current = (session: GatewaySession): boolean => sessions.get(session.id) === session;

  function holds({ job, attempt, session }: Fence): boolean {
    const fence = dispatcher.flight(job)?.fence;
    return fence?.attempt === attempt && fence.session === session;
  }

  function hear(session: GatewaySession): void {
    const entry = heard.get(session.id);
    if (!entry) heard.set(session.id, { atMs: clock.monotonic(), told: false });
    else {
      entry.atMs = clock.monotonic();
      entry.told = false;
    }
  }

  /** From when the worker was heard: one that is gone is sent work until its link counts as lost, and must not gain a whole lease by that. */
  function leaseOf(id: SessionId): number {
    const atMs = heard.get(id)?.atMs ?? clock.monotonic();
    return Math.max(leaseMs - (clock.monotonic() - atMs), leaseMs / 6);
  }

  /**
   * Tells the store which sessions live. A lease runs from the moment the worker was heard, not from now. All are told at once, so that a
   * database has them in one statement: one after the other, two thousand sessions took longer than the second until the next sweep.
   */
  async function heartbeats(): Promise<void> {
    const telling: Promise<void>[] = [];
    for (const [id, entry] of heard) {
      if (!sessions.has(id)) heard.delete(id);
      if (entry.told) continue;
      entry.told = true;
      telling.push(tell(id, entry));
    }
    // One that fails must not lose what was answered for the others.
    const failed = (await Promise.allSettled(telling)).find(({ status }) => status === 'rejected');
    if (failed !== undefined) throw (failed as PromiseRejectedResult).reason;
  }

  async function tell(id: SessionId, entry: Heard): Promise<void> {
    try {
      const canceled = await store.heartbeat(id, leaseMs - (clock.monotonic() - entry.atMs));
      for (const job of canceled) dispatcher.cancel(job, 'caller');
    } catch (error) {
      // Again with the next sweep, not with the next word of the worker.
      entry.told = false;
      throw error;
    }
  }

  /**
   * A worker works on for a gateway that is gone. Nobody else tells the store that it lives, and it of jobs that are canceled. What was on its way when
   * the link was lost goes back, or it would stand still for as long as anything else of that session runs.
   */
  async function keepLease(session: GatewaySession, other: SessionId, attempts: Held | null): Promise<void> {
    const canceled = await store.heartbeat(other, leaseMs);
    if (attempts !== null) options.cameBack((await store.reconcile(other, attempts)).lost);
    for (const id of canceled) {
      const job = await store.get(id);
      if (job?.session !== other || job.status !== 'processing') continue;
      session.cancel({ job: id, attempt: job.attempt, session: other }, 'caller');
    }
  }

  /** One after the other: what a worker holds is asked for behind all claims, and none is to hold up the others' by saying much. */
  async function keepAll(session: GatewaySession, said: Map<SessionId, Held | null>): Promise<void> {
    keeping.set(session, said);
    for (const [other, attempts] of said) {
      said.delete(other);
      await keepLease(session, other, attempts).catch((error: unknown) => options.storeFailed('keep', error));
    }
    keeping.delete(session);
  }

  function end(session: GatewaySession, fence: Fence, outcome: Outcome, acked: boolean): void {
    reconciling.get(session)?.add(fence.job);
    turn.end({ fence, outcome, ackTo: acked ? session : null });
  }

  function timingsOf(flight: Flight | null, worker: Timings): JobTimings {
    const { queueMs, decodeMs, batchMs, computeMs } = worker;
    const awayMs = flight ? clock.monotonic() - flight.assignedAt : 0;
    return {
      queueMs: flight?.queueMs ?? 0,
      // What the worker does not account for is the wire's. A worker that exaggerates cannot make it negative.
      linkMs: Math.max(0, awayMs - queueMs - decodeMs - batchMs - computeMs),
      workerQueueMs: queueMs,
      decodeMs,
      batchMs,
      computeMs,
    };
  }

  /** Agrees with the store on what this worker holds, and tells the worker to drop the rest. */
  async function reconcile(session: GatewaySession, attempts: Held): Promise<void> {
    const endedMeanwhile = new Set<JobId>();
    reconciling.set(session, endedMeanwhile);
    const { kept, lost } = await store.reconcile(session.id, attempts).finally(() => reconciling.delete(session));
    options.cameBack(lost);
    if (!current(session)) return;
    const counts = new Set<JobId>();
    for (const job of kept) {
      counts.add(job.id);
      if (endedMeanwhile.has(job.id)) continue;
      dispatcher.adopted(job);
      // Its parts come from where this gateway has them: all, when it was started meanwhile.
      session.ackParts({ job: job.id, attempt: job.attempt, session: session.id }, streams.keptOf(job.id, job.attempt));
      if (job.cancelRequested) dispatcher.cancel(job.id, 'caller');
    }
    for (const [job, attempt] of attempts) {
      if (!counts.has(job)) session.cancel({ job, attempt, session: session.id }, 'stale');
    }
  }

  const handlers: SessionEvents = {
    onOpen(session, resumed) {
      const earlier = sessions.get(session.id);
      if (earlier && earlier.worker !== session.worker) {
        session.close('handshake_refused', 'this session belongs to another worker: start with a new session id');
        return;
      }
      sessions.set(session.id, session);
      hear(session);
      catalogue.opened(session);
      dispatcher.opened(session.id, session.worker, session.previous);
      logger.info('worker connected', { worker: session.worker, session: session.id, resumed });
    },
    onModels(session, reports, stored = []) {
      if (!current(session)) return;
      announced.set(session, { reports, stored });
      offer(session, { reports, stored });
    },
    onGrant(session, model, version, rows) {
      if (!current(session)) return;
      dispatcher.granted(session.id, model, version, rows);
      options.creditChanged();
      turn.schedule();
    },
    onWithdraw(session, model, version, rows, answer) {
      answer(current(session) ? dispatcher.withdrawn(session.id, model, version, rows) : 0);
      options.creditChanged();
    },
    onResume(session, attempts) {
      if (!current(session)) return;
      dispatcher.resumed(session.id, attempts);
      reconcile(session, attempts).catch((error: unknown) => {
        options.storeFailed('resume', error);
        // It lives, so no lease would ever give back what it does not hold: it is asked again on a new connection.
        if (current(session)) session.close('internal', 'the store could not say what this worker holds');
      });
    },
    onGone(session, previous) {
      // One that lives speaks for itself.
      if (!current(session) || !session.previous.includes(previous)) return;
      turn.settleNow();
      dispatcher.forgotten(previous);
    },
    onKeep(session, other, attempts) {
      // Where no other gateway can be, no session can be kept for one; and one that is here speaks for itself.
      const isHere = (dispatcher.session(other)?.state ?? 'away') !== 'away';
      if (!current(session) || isHere || store.members === undefined) return;
      const said = keeping.get(session);
      if (said === undefined) void keepAll(session, new Map([[other, attempts]]));
      else if (said.size < MAX_GATEWAYS) said.set(other, attempts);
    },
    onProgress(session, fence, fraction, message) {
      if (!current(session)) return;
      turn.progress({ fence, fraction, message });
      streams.progress(fence, fraction, message);
    },
    onPartial(session, fence, seq, part) {
      // Of an attempt that it does not hold (any more) nothing is taken, and nothing acked: it was told, or will be.
      if (!current(session) || !holds(fence)) return;
      const kept = streams.part(fence, seq, part);
      if (kept === null) session.close('flow_control', `part ${seq} of ${fence.job} is beyond the window`);
      else session.ackParts(fence, kept);
    },
    onResult(session, fence, output, timings) {
      if (!current(session)) return;
      const flight = dispatcher.ended(fence);
      const problem = outputProblem(output);
      end(
        session,
        fence,
        problem === null
          ? { type: 'succeeded', output, timings: timingsOf(flight, timings) }
          : { type: 'failed', error: { code: 'output_invalid', message: problem }, retryable: false },
        true,
      );
    },
    onFailure(session, fence, code, message, retryable) {
      if (!current(session)) return;
      // The one failure that the session itself reports: the input exceeds what this worker takes, and was never sent.
      if (code === 'body_too_large') dispatcher.unsent(fence);
      else dispatcher.ended(fence);
      const known = WORKER_CODES.has(code) ? (code as ErrorCode) : 'model_failed';
      // A worker that is told to go gives its jobs back: that is nobody's fault, and costs no attempt.
      const outcome: Outcome =
        code === 'draining'
          ? { type: 'interrupted', error: { code: 'draining', message }, loss: 'free' }
          : { type: 'failed', error: { code: known, message }, retryable };
      end(session, fence, outcome, true);
    },
    onCanceled(session, fence) {
      if (!current(session)) return;
      const drained = dispatcher.ended(fence)?.canceled === 'drain';
      const outcome: Outcome = drained
        ? { type: 'interrupted', error: { code: 'draining', message: 'taken back to drain' }, loss: 'free' }
        : { type: 'canceled' };
      end(session, fence, outcome, false);
    },
    onHeard(session) {
      if (current(session)) hear(session);
    },
    onDraining(session) {
      if (!current(session)) return;
      dispatcher.draining(session.id);
      options.creditChanged();
      logger.info('worker draining', { worker: session.worker, session: session.id });
    },
    onClose(session, error) {
      announced.delete(session);
      if (!current(session)) return;
      catalogue.left(session);
      // Either end may have noticed: what it was not heard for counts.
      const silentMs = error?.code === 'peer_dead' ? DEAD_MS : 0;
      dispatcher.closed(session.id, error === null || permissions.isOut(session.worker), silentMs);
      options.creditChanged();
      logger.info('worker disconnected', { worker: session.worker, session: session.id, code: error?.code ?? null });
    },
  };

  /** Lets a worker go to another gateway on the same store, with all that it holds. */
  function handOver(session: GatewaySession, reason: string): void {
    if (!current(session)) return;
    sessions.delete(session.id);
    announced.delete(session);
    catalogue.left(session);
    dispatcher.handedOver(session.id);
    options.creditChanged();
    logger.info('worker handed over', { worker: session.worker, session: session.id });
    session.close('draining', reason);
  }

  return { handlers, heartbeats, leaseOf, permissionsChanged, handOver };
}

/** null when callers can be given it. JSON is passed on as the bytes it came in, so it is checked here, once. */
function outputProblem({ contentType, bytes }: Payload): string | null {
  if (!contentType.startsWith('application/json')) return null;
  if (!isUtf8(bytes)) return 'the output is called JSON and is not UTF-8';
  try {
    JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
    return null;
  } catch {
    return 'the output is called JSON and does not parse';
  }
}
