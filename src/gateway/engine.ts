/**
 * The engine: jobs between callers (`Predictions`) and workers (`SessionEvents`). It owns nothing durable: the store owns
 * the jobs, the dispatcher owns credits and flights; the engine carries what one says to the other.
 *
 * Everything of one turn of the event loop goes to the store as one batch (`engine-turn.ts`): results first, because they
 * free what new work needs, then submissions, then claims. A result is acked after the store has it, never before.
 */
import { randomBytes as cryptoBytes } from 'node:crypto';
import type { Timer } from '../clock.ts';
import { PosternError, toPosternError } from '../errors.ts';
import { createService } from '../service.ts';
import { createDispatcher } from '../dispatch/dispatcher.ts';
import { NO_LIMITS } from '../dispatch/limits.ts';
import { LOST_ON_THE_WAY, NOT_ALLOWED } from '../dispatch/endings.ts';
import { createIds, isUnrecorded } from '../dispatch/id.ts';
import { DEFAULT_LEASE_MS, TERMINAL, type Fence, type Job, type JobId, type SessionId } from '../dispatch/job.ts';
import { createServiceRate, type ServiceRate } from '../dispatch/service-rate.ts';
import { createBesideOthers } from './beside-others.ts';
import { createBeside } from './beside.ts';
import { createCatalogue } from './engine-catalogue.ts';
import type { Engine, EngineOptions } from './engine-options.ts';
import { refusalOf } from './engine-refusal.ts';
import { createRetry } from './engine-retry.ts';
import { seatsByModel } from './engine-load.ts';
import { createTotals, engineStats } from './engine-stats.ts';
import { submissionOf } from './engine-submission.ts';
import { createLeaving } from './engine-leave.ts';
import { createTurn } from './engine-turn.ts';
import { createSessionEvents } from './engine-workers.ts';
import type { PredictionRequest } from './ports.ts';
import type { GatewaySession, Permissions } from './worker-ports.ts';
import { createMemoryBook } from './rollouts/book.ts';
import { createRollouts, DEFAULT_SOAK_MS } from './rollouts/rollouts.ts';
import { createElsewhere } from './elsewhere.ts';
import { createModelMemory } from './model-memory.ts';
import { createSweep } from './engine-sweep.ts';
import { createStoreHealth } from './store-health.ts';
import { createServices } from './services.ts';
import { createSettling } from './settling.ts';
import { createStreams } from './streams.ts';
import { createWaiters } from './waiters.ts';
import { createWakeups } from './wakeups.ts';

export type { Engine, EngineOptions } from './engine-options.ts';

const ALL_ALLOWED: Permissions = { allows: () => true, isOut: () => false, onChange: () => () => undefined };
const SWEEP_MS = 1_000;
/** A drain, and what it takes beside. */
const DEFAULT_BESIDE_MS = 45_000;

export function createEngine(options: EngineOptions): Engine {
  const { clock, logger, store } = options;
  const leaseMs = options.leaseMs ?? DEFAULT_LEASE_MS;
  const permissions = options.permissions ?? ALL_ALLOWED;
  const maxUndecidedJobsOfKey = options.maxUndecidedJobsOfKey ?? null;
  const nextId = createIds(clock, options.randomBytes ?? cryptoBytes);
  const sessions = new Map<SessionId, GatewaySession>();
  const waiters = createWaiters({ clock, maxWaiters: options.maxWaiters ?? 10_000, fault: store.fault });
  const counters = createTotals();
  const rates = new Map<string, ServiceRate>();
  const observers = new Set<(job: Job) => void>();
  /** Accepted here and not decided yet: a wait for one of these need not ask the store. */
  const undecided = new Set<JobId>();
  /** Cancelled after the store gave it to a session, and before the answer was here. */
  const cancelEarly = new Set<JobId>();
  let lateMessages = 0;
  let isStopping = false;
  let timer: Timer | null = null;
  let endPermissions: () => void = () => undefined;

  const dispatcher = createDispatcher({
    random: options.random ?? Math.random,
    monotonic: () => clock.monotonic(),
    leaseMs,
    limits: options.limits ?? NO_LIMITS,
    routeOf: (model) => rollouts.routeOf(model),
    effects: {
      claim: (ask) => turn.claim(ask),
      assign({ fence, offer }, job) {
        if (!permissions.allows(offer.session.worker, job.model)) {
          takeBack(fence);
          return;
        }
        const timeoutMs = job.deadlineAt === null ? null : Math.max(0, job.deadlineAt - clock.now());
        sessions.get(fence.session)?.assign(job, offer.version, timeoutMs);
        streams.changed(job);
        if (cancelEarly.delete(job.id)) dispatcher.cancel(job.id, 'caller');
      },
      giveBack: (fence) => turn.end({ fence, outcome: LOST_ON_THE_WAY, ackTo: null }),
      cancel: (fence, reason) => sessions.get(fence.session)?.cancel(fence, reason),
      close(id, code, reason) {
        logger.warn('session closed by the dispatcher', { session: id, code, reason });
        sessions.get(id)?.close(code, reason);
      },
      release(id, loss) {
        sessions.delete(id);
        if (loss === 'silent' && store.members) return; // it may live at another gateway: its lease decides
        store.release(id, loss).then(cameBack, (error: unknown) => storeFailed('release', error));
      },
    },
  });
  const rollouts = createRollouts({
    book: options.rollouts ?? createMemoryBook(),
    soakMs: options.soakMs ?? DEFAULT_SOAK_MS,
    dispatcher,
    sessions,
    clock,
    logger,
    rerouted() {
      services.changed();
      turn.schedule();
    },
  });
  const catalogue = createCatalogue(dispatcher, sessions, rollouts);
  const modelMemory = createModelMemory(catalogue, store);
  const health = createStoreHealth(store, logger);
  const storeFailed = (step: string, error: unknown): void => health.failed(step, error);
  /** Another process decided it, and did not say so. */
  function decidedElsewhere(job: Job): void {
    undecided.delete(job.id);
    waiters.decided(job);
    streams.changed(job);
  }
  const asElsewhere = {
    clock,
    store,
    waiters,
    decided: decidedElsewhere,
    failed: (error: unknown) => storeFailed('decidedAmong', error),
  };
  const beside = createBeside({ ...asElsewhere, undecided });
  /** Will this process hear of what becomes of the job? */
  const isHere = (id: JobId): boolean =>
    dispatcher.flight(id) !== undefined ||
    (undecided.has(id) && (isUnrecorded(id) || (sweeper.claims && leaving.claims && beside.isOver)));
  const elsewhere = createElsewhere({ ...asElsewhere, isHere });
  const others = createBesideOthers({
    ...asElsewhere,
    look: elsewhere.look,
    readModels: () => modelMemory.restoreAgain(),
    waiting: (model) => waitsAgain({ model, version: null, rows: 1, solo: false }),
  });
  const wakeups = createWakeups({ clock, due: waitsAgain });
  const settling = createSettling({ clock, isServed: (model) => catalogue.report(model, null)?.ready === true });
  const services = createServices({
    clock,
    dispatcher,
    catalogue,
    sessions,
    permissions,
    maxUndecidedJobsOfKey,
    settling,
  });

  const streams = createStreams({
    clock,
    logger,
    read: (id) => store.get(id),
    isHere,
    maxWatches: options.maxWatches ?? 1_000,
  });

  const turn = createTurn({
    store,
    dispatcher: () => dispatcher,
    leaseOf: (session) => events.leaseOf(session),
    defer: options.defer ?? setImmediate,
    accepted(job) {
      // With others beside, nobody would say when one of these is decided there.
      if (!others.isShared || isUnrecorded(job.id)) undecided.add(job.id);
      counters.of(job.model).submitted += 1;
    },
    ended(outcome) {
      if (outcome.type === 'applied') cameBack([outcome.job]);
      else lateMessages += 1;
    },
    quiet() {
      cancelEarly.clear();
      leaving.changed();
    },
    storeFailed(step, error, unacked) {
      storeFailed(step, error);
      // The worker keeps what was not acked and sends it again on a new connection: the safest way to try again.
      for (const session of unacked) session.close('internal', 'the store could not keep the results');
    },
  });

  /** The permission ended while the store was asked. On a later tick, because the dispatcher is in the middle of assigning. */
  function takeBack(fence: Fence): void {
    process.nextTick(() => {
      dispatcher.unsent(fence);
      turn.end({ fence, outcome: NOT_ALLOWED, ackTo: null });
    });
  }

  /** Attempts ended: each job is decided, or waits again. */
  function cameBack(jobs: readonly Job[]): void {
    for (const job of jobs) {
      if (TERMINAL.has(job.status)) decided(job);
      else if (job.status === 'starting') {
        counters.of(job.model).retried += 1;
        streams.changed(job);
        if (job.nextAttemptAt === null) waitsAgain(job);
        else wakeups.add(job.nextAttemptAt - clock.now(), job);
      }
    }
  }

  function waitsAgain({ model, version, rows, solo }: Pick<Job, 'model' | 'version' | 'rows' | 'solo'>): void {
    if (solo) dispatcher.soloArrived(model);
    else dispatcher.arrived(model, rows, version);
    turn.schedule();
  }

  function decided(job: Job): void {
    undecided.delete(job.id);
    counters.decided(job);
    rateOf(job.model).add(clock.monotonic(), 1);
    waiters.decided(job);
    streams.changed(job);
    for (const observer of observers) {
      try {
        observer(job);
      } catch (error) {
        // The job is decided and stored: what somebody does with the news must not look like a store that failed.
        logger.error('an observer of decisions failed', { job: job.id, error: toPosternError(error).message });
      }
    }
    leaving.changed();
  }

  function rateOf(model: string): ServiceRate {
    let rate = rates.get(model);
    if (!rate) rates.set(model, (rate = createServiceRate()));
    return rate;
  }

  // ---- callers -----------------------------------------------------------------------------------------------------

  async function submit(request: PredictionRequest): Promise<Job> {
    if (isStopping || !leaving.takes(request.recorded !== false))
      throw new PosternError('draining', 'this gateway is about to stop: try again', { retryAfterS: 1 });
    const refusal = refusalOf(request, catalogue, clock.now());
    if (refusal) throw refusal;
    const { model } = request;
    const outcome = await turn.submit(submissionOf(request, nextId(request.recorded), maxUndecidedJobsOfKey));
    if (outcome.type !== 'refused') return outcome.job;
    counters.of(model).refused += 1;
    const { error } = outcome;
    if (!error.retryable) throw error;
    const waitingJobs = (await store.counts()).get(model)?.waitingJobs ?? 0;
    const retryAfterS = rateOf(model).retryAfterS(clock.monotonic(), waitingJobs);
    throw new PosternError(error.code, error.message, { retryAfterS });
  }

  async function wait(id: JobId, timeoutMs: number, signal?: AbortSignal): Promise<Job | null> {
    if (undecided.has(id)) return (await waiters.wait(id, timeoutMs, signal)) ?? store.get(id);
    const reading = waiters.reading(id);
    let decision: Promise<Job | null>;
    try {
      const job = await store.get(id);
      if (job === null || TERMINAL.has(job.status)) return job;
      decision = waiters.wait(id, timeoutMs, signal);
      // It was told before anybody waited, and is told only once.
      if (reading.isOld) elsewhere.look();
    } finally {
      reading.end();
    }
    return (await decision) ?? store.get(id);
  }

  async function cancel(id: JobId): Promise<Job | null> {
    const job = await store.cancel(id);
    if (job === null) return null;
    // Nobody held it, so a cancel decided it. Whatever else ended it is told by its own answer, maybe a moment later.
    if (undecided.has(id) && job.status === 'canceled' && job.session === null) decided(job);
    else if (others.isShared && TERMINAL.has(job.status)) decidedElsewhere(job);
    else if (job.status === 'processing') {
      if (dispatcher.flight(id)) dispatcher.cancel(id, 'caller');
      else if (turn.claiming) cancelEarly.add(id);
    }
    return job;
  }

  async function giveUp(id: JobId): Promise<void> {
    try {
      await cancel(id);
    } catch (error) {
      storeFailed('cancel', error);
    }
  }

  const events = createSessionEvents({
    clock,
    logger,
    store,
    dispatcher,
    catalogue,
    permissions,
    sessions,
    turn,
    streams,
    rollouts,
    leaseMs,
    cameBack,
    storeFailed,
    creditChanged() {
      services.changed();
      settling.changed();
    },
  });
  const leaving = createLeaving({
    clock,
    store,
    dispatcher,
    turn,
    undecided,
    sessions,
    openOn: (session) => services.openOn(session),
    handOver: events.handOver,
    hasOthers: options.hasOthers ?? (() => false),
    hasParts: ({ job, attempt }) => streams.keptOf(job, attempt) >= 0,
    giveUp,
    storeFailed,
  });

  const sweeper = createSweep({
    store,
    dispatcher,
    turn,
    streams,
    rollouts,
    modelMemory,
    isStoreUp: () => health.look(),
    heartbeats: () => events.heartbeats(),
    mayClaim: () => leaving.claims,
    cameBack,
    storeFailed,
  });

  async function activate(): Promise<void> {
    if (timer !== null) return;
    timer = clock.every(SWEEP_MS, () => void sweeper.sweep());
    if (options.standby !== true) return;
    // What the gateway before heard of since this one started.
    await modelMemory.restoreAgain().catch((error: unknown) => storeFailed('knownModels', error));
    settling.begin();
    beside.begin(options.besideMs ?? DEFAULT_BESIDE_MS);
  }

  const service = createService({
    async start() {
      await store.start();
      await modelMemory.restore().catch((error: unknown) => storeFailed('knownModels', error));
      elsewhere.start();
      others.start();
      rollouts.start();
      if (options.standby !== true) await activate();
      endPermissions = permissions.onChange(events.permissionsChanged);
    },
    async stop() {
      isStopping = true;
      timer?.cancel();
      endPermissions();
      waiters.stop();
      services.stop();
      settling.end();
      beside.stop();
      streams.stop();
      wakeups.stop();
      elsewhere.stop();
      others.stop();
      rollouts.stop();
      await store.stop();
    },
  });

  return {
    ...service,
    ...events.handlers,
    services,
    rollouts,
    submit,
    wait,
    cancel,
    retry: createRetry({ store, submit }),
    get: (id) => store.get(id),
    list: (request) => store.list(request),
    watch: (id, onChange) => streams.watch(id, onChange),
    queuePosition: (id) => store.queuePosition(id),
    deliveriesOf: (id) => store.deliveries.ofJob(id),
    report: (model, version) => catalogue.report(model, version),
    models: async () => catalogue.models(await store.counts()),
    workers: () => catalogue.workers(),
    storeFault: () => health.fault,
    drain: (deadlineMs) => leaving.drain(deadlineMs),
    handOver: (deadlineMs) => leaving.handOver(deadlineMs),
    activate,
    endWaits: () => waiters.stop(),
    settled: (model) => settling.wait(model),
    onDecided(observer) {
      observers.add(observer);
      return () => observers.delete(observer);
    },
    stats: () => engineStats(counters, lateMessages, waiters, dispatcher),
    seats: () => seatsByModel(dispatcher.sessions()),
    knownModels: () => catalogue.known(),
  };
}
