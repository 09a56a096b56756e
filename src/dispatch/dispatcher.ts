/**
 * Which session asks the store for which jobs, and what each session holds. Pure: it is told what happened and answers
 * through its effects; no sockets, no store, no timers, and randomness comes from outside. Owner of: sessions' states,
 * credits, demand, and flights (attempts that a worker holds). The store is the owner of the jobs.
 *
 * A session is connected → draining → gone, and away in between while its link is down. Away it keeps its flights, because
 * the worker goes on computing; it has no credit, because what was granted on the old connection is void. It is gone when
 * it was drained, when a newer run of the same worker opened, or when it was away for a whole lease.
 *
 * Work is pulled (`pull.ts`): demand and credit meet in `pump`, which asks the store for at most that many rows, and only
 * the store decides which jobs these are. So several gateways can share one store without talking to each other.
 */
import type { ErrorCode } from '../errors.ts';
import type { ModelReport } from '../protocol/messages.ts';
import { endFlight, grantRows, checkOfferCount, resetRows, startFlight, withdrawRows } from './credits.ts';
import { createDemands } from './demand.ts';
import type { Fence, Job, JobId, Loss, SessionId } from './job.ts';
import { createRouting, type Route } from './route.ts';
import { takeSharedSeat } from './seats.ts';
import { createLimits, NO_LIMITS, type ConcurrencyLimits } from './limits.ts';
import { createPull, type PullEffects } from './pull.ts';
import { newOffer, newSession, type CancelReason, type Flight, type Offer, type Session } from './session.ts';

/** What the dispatcher wants done. Called synchronously, in order. */
export interface DispatchEffects extends PullEffects {
  cancel(fence: Fence, reason: CancelReason): void;
  /** The session broke a rule, or was replaced. */
  close(session: SessionId, code: ErrorCode, reason: string): void;
  /** The session is gone: the store takes back every attempt that it holds. */
  release(session: SessionId, loss: Loss): void;
}

export interface DispatcherOptions {
  readonly effects: DispatchEffects;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Monotonic milliseconds. */
  readonly monotonic: () => number;
  readonly leaseMs: number;
  readonly limits?: ConcurrencyLimits;
  /** Which versions of a model get the work that names none; null: the newest that is ready. */
  readonly routeOf?: (model: string) => Route | null;
}

export type Dispatcher = ReturnType<typeof createDispatcher>;

export function createDispatcher(options: DispatcherOptions) {
  const { effects, random, monotonic, leaseMs } = options;
  const sessions = new Map<SessionId, Session>();
  const flights = new Map<JobId, Flight>();
  const demands = createDemands();
  const routing = createRouting({ demands, sessions, routeOf: options.routeOf ?? (() => null) });
  const limits = createLimits(options.limits ?? NO_LIMITS, () => sessions.values());
  const pull = createPull({ demands, random, effects, limits, takeOff });
  const { solo } = pull;

  // ---- sessions ----------------------------------------------------------------------------------------------------

  /**
   * A control connection is up. A session that was known keeps its flights; another run of the same worker is replaced. One
   * of `previous` still has ends to deliver: it stays away, with its flights, until `forgotten` or its lease ends.
   */
  function opened(id: SessionId, worker: string, previous: readonly SessionId[] = []): void {
    for (const other of sessions.values()) {
      if (other.worker !== worker || other.id === id) continue;
      effects.close(other.id, 'superseded', 'a newer run of this worker connected');
      if (previous.includes(other.id)) {
        if (other.state !== 'away') closed(other.id, false);
        continue;
      }
      // A process that was told to go and went took nothing down with it; one that vanished may have died of its jobs.
      gone(other, wasTold(other) ? 'free' : 'crashed');
    }
    const known = sessions.get(id);
    if (!known) {
      sessions.set(id, newSession(id, worker));
      return;
    }
    voidCredits(known);
    known.state = 'connected';
  }

  /** A connection is gone. `silentMs`: for so long nothing came through any more, in one direction at least, so the session has
   * been away since then. */
  function closed(id: SessionId, orderly: boolean, silentMs = 0): void {
    const session = sessions.get(id);
    if (!session) return;
    if (orderly) {
      gone(session, 'free');
      return;
    }
    voidCredits(session);
    solo.left(session);
    session.wasDraining = session.state === 'draining';
    session.state = 'away';
    session.awaySince = monotonic() - silentMs;
  }

  /** An earlier run of a worker has nothing more to deliver: what it still held was lost with it. */
  function forgotten(id: SessionId): void {
    const session = sessions.get(id);
    if (session) gone(session, wasTold(session) ? 'free' : 'crashed');
    // A gateway that was restarted never heard of it, but the store may have.
    else effects.release(id, 'crashed');
  }

  /** Was the session draining when it was last connected? */
  function wasTold(session: Session): boolean {
    return session.state === 'draining' || (session.state === 'away' && session.wasDraining);
  }

  function voidCredits(session: Session): void {
    session.epoch += 1;
    session.creditRows = 0;
    for (const offer of session.offers) resetRows(offer.credit);
  }

  function gone(session: Session, loss: Loss): void {
    leave(session);
    effects.release(session.id, loss);
  }

  /** Forgets a session, and takes nothing back: another gateway on the same store goes on with what it holds. */
  function handedOver(id: SessionId): void {
    const session = sessions.get(id);
    if (session) leave(session);
  }

  function leave(session: Session): void {
    sessions.delete(session.id);
    session.state = 'away';
    session.epoch += 1;
    solo.free(session);
    for (const offer of session.offers) demands.withdraw(offer);
    for (const flight of session.flights) flights.delete(flight.fence.job);
    session.flights.clear();
  }

  function draining(id: SessionId): void {
    const session = sessions.get(id);
    if (session?.state !== 'connected') return;
    session.state = 'draining';
    solo.left(session);
  }

  /** Sessions that were away for a whole lease are gone. Call it about once a second. */
  function tick(): void {
    const now = monotonic();
    for (const session of sessions.values()) {
      if (session.state === 'away' && now - session.awaySince >= leaseMs)
        gone(session, wasTold(session) ? 'free' : 'silent');
    }
  }

  // ---- models and credits ------------------------------------------------------------------------------------------

  function offerOf(session: Session, model: string, version: string): Offer {
    for (const offer of session.offers) if (offer.version === version && offer.model === model) return offer;
    checkOfferCount(session.offers.length);
    const offer = newOffer(session, model, version);
    session.offers.push(offer);
    return offer;
  }

  /** Replaces what the session serves. Credit for a model outlives its report: the worker still counts it as granted. */
  function models(id: SessionId, reports: readonly ModelReport[]): void {
    const session = sessions.get(id);
    if (!session) return;
    for (const offer of session.offers) offer.report = null;
    guard(session, () => {
      for (const report of reports) offerOf(session, report.name, report.version).report = report;
    });
    for (const offer of session.offers) {
      const demand = demands.of(offer.model);
      if (offer.report?.state === 'ready') demand.offers.add(offer);
      else demand.offers.delete(offer);
    }
    routing.reported(session);
  }

  function granted(id: SessionId, model: string, version: string, rows: number): void {
    const session = sessions.get(id);
    if (!session || session.state === 'away') return;
    guard(session, () => {
      const offer = offerOf(session, model, version);
      grantRows(offer.credit, rows, session.creditRows);
      session.creditRows += rows;
      offer.soloExhaustedAt = -1;
      if (offer.waitsForCredit) {
        offer.waitsForCredit = false;
        offer.exhaustedAt = -1;
      }
      demands.touch(demands.of(model));
    });
  }

  /** The worker takes back credit: how many rows were free, and are its own again. */
  function withdrawn(id: SessionId, model: string, version: string, rows: number): number {
    const session = sessions.get(id);
    const offer = session?.offers.find((each) => each.version === version && each.model === model);
    if (session === undefined || offer === undefined) return 0;
    const given = withdrawRows(offer.credit, rows);
    session.creditRows -= given;
    return given;
  }

  /** What a session does wrong ends that session and nothing else. */
  function guard(session: Session, step: () => void): void {
    try {
      step();
    } catch (error) {
      voidCredits(session);
      session.state = 'draining';
      effects.close(session.id, 'flow_control', (error as Error).message);
    }
  }

  // ---- demand meets credit -----------------------------------------------------------------------------------------

  /** Work was accepted, or came back. */
  function arrived(model: string, rows: number, version: string | null = null): void {
    demands.arrived(model, rows, version);
  }

  /** A job came back that must run alone. */
  function soloArrived(model: string): void {
    demands.soloArrived(model, demands.of(model).soloJobs + 1);
  }

  /** The store was looked at: so many rows wait. A backstop for what other gateways accepted, or time gave back. */
  function seenWaiting(model: string, rows: number, soloJobs: number): void {
    const demand = demands.of(model);
    if (rows > 0) {
      // Which of them name a version that serves nobody else is not counted: it asks for one, and is told what is left.
      for (const { servesFor, version } of demand.offers) {
        if (servesFor === null && !demand.named.has(version)) demand.named.set(version, 1);
      }
      demands.arrived(model, Math.max(0, rows - demand.rows));
    }
    if (soloJobs > 0 && demand.soloSession === null) demands.soloArrived(model, soloJobs);
  }

  // ---- flights -----------------------------------------------------------------------------------------------------

  function takeOff(offer: Offer, fence: Fence, job: Job): Flight {
    const earlier = flights.get(fence.job);
    if (earlier) land(earlier);
    const queueMs = Math.max(0, (job.startedAt ?? job.createdAt) - job.createdAt);
    const flight: Flight = { fence, offer, rows: job.rows, assignedAt: monotonic(), queueMs, canceled: null };
    flights.set(fence.job, flight);
    offer.session.flights.add(flight);
    startFlight(offer.credit, job.rows);
    return flight;
  }

  function land(flight: Flight): void {
    flights.delete(flight.fence.job);
    flight.offer.session.flights.delete(flight);
    endFlight(flight.offer.credit, flight.rows);
    solo.landed(flight.offer.session);
    pull.roomChanged(flight.offer);
  }

  /** The worker's slot is free: a result, a failure or a confirmed cancel came. Null when nothing of the kind was held. */
  function ended({ job, attempt, session }: Fence): Flight | null {
    const flight = flights.get(job);
    if (flight?.fence.attempt !== attempt || flight.fence.session !== session) return null;
    land(flight);
    return flight;
  }

  /** The session could not send it: the worker never saw it, so its credit is free again. */
  function unsent(fence: Fence): void {
    const flight = ended(fence);
    if (!flight) return;
    const { offer } = flight;
    guard(offer.session, () => {
      grantRows(offer.credit, flight.rows, offer.session.creditRows);
      offer.session.creditRows += flight.rows;
    });
    demands.touch(demands.of(offer.model));
  }

  /** Tells the worker to stop, once; while it is away the reason is kept and told when it is back. The slot stays taken. */
  function cancel(job: JobId, reason: CancelReason): void {
    const flight = flights.get(job);
    if (flight?.canceled !== null) return;
    flight.canceled = reason;
    if (flight.offer.session.state !== 'away') effects.cancel(flight.fence, reason);
  }

  /**
   * The worker is back and holds exactly `attempts`. Flights that it does not hold were lost on the wire; the store gives
   * these back (`reconcile`). What was to be canceled is told again: the first time may have been lost too.
   */
  function resumed(id: SessionId, attempts: readonly (readonly [JobId, number])[]): void {
    const session = sessions.get(id);
    if (!session) return;
    const held = new Map(attempts);
    for (const flight of [...session.flights]) {
      const { fence, canceled } = flight;
      if (held.get(fence.job) !== fence.attempt) land(flight);
      else if (canceled !== null) effects.cancel(fence, canceled);
    }
  }

  /** An attempt of an earlier life of this gateway: the store says that the session still holds it. */
  function adopted(job: Job): void {
    const session = sessions.get(job.session ?? '');
    const version = job.servedVersion;
    if (session === undefined || version === null) return;
    if (flights.get(job.id)?.fence.attempt === job.attempt) return;
    guard(session, () => {
      const fence: Fence = { job: job.id, attempt: job.attempt, session: session.id };
      takeOff(offerOf(session, job.model, version), fence, job);
      if (job.solo) solo.adopted(session, demands.of(job.model));
    });
  }

  return {
    opened,
    closed,
    forgotten,
    handedOver,
    draining,
    tick,
    models,
    rerouted: (model: string): void => routing.rerouted(model),
    granted,
    withdrawn,
    arrived,
    soloArrived,
    seenWaiting,
    pump: pull.pump,
    isShort: pull.isShort,
    answered: pull.answered,
    claimFailed: pull.claimFailed,
    ended,
    unsent,
    cancel,
    resumed,
    adopted,
    /** Who serves this model now, for what is no job. */
    offersOf: (model: string): Iterable<Offer> => demands.of(model).offers,
    takeSeat: (model: string, allows: (worker: string) => boolean): Offer | null =>
      takeSharedSeat(demands.of(model), allows),
    /** From now on nothing is asked for; what is in flight goes on. */
    stopClaiming: () => pull.stop(),
    get inFlightJobs(): number {
      return flights.size;
    },
    /** For views. */
    session: (id: SessionId): Session | undefined => sessions.get(id),
    sessions: (): Iterable<Session> => sessions.values(),
    flight: (job: JobId): Flight | undefined => flights.get(job),
  };
}
