/**
 * Carries what is decided about versions to those who act on it: the dispatcher (whose work goes where) and the workers (what is
 * to be loaded); and what workers report back to the record: the new version is ready, or no worker can load it. The record is
 * the book's; owner of: what each session was told, and what lies unloaded on each worker.
 */
import type { Clock } from '../../clock.ts';
import type { Dispatcher } from '../../dispatch/dispatcher.ts';
import type { SessionId } from '../../dispatch/job.ts';
import type { Route } from '../../dispatch/route.ts';
import { PosternError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { ModelReport, StoredVersion } from '../../protocol/messages.ts';
import { compareVersions } from '../../protocol/version-order.ts';
import type { RolloutView, Rollouts, VersionOnWorker } from '../ports.ts';
import type { GatewaySession } from '../worker-ports.ts';
import type { RolloutBook } from './book.ts';
import {
  deployed,
  failed,
  rolledBack,
  routeOf,
  wantedOf,
  type Decision,
  type DeployOrder,
  type Rollout,
} from './rollout.ts';

/** Long enough to see in the figures that a new version is worse; until then it can be gone back from at once. */
export const DEFAULT_SOAK_MS = 600_000;

export interface RolloutsOptions {
  readonly book: RolloutBook;
  readonly dispatcher: Dispatcher;
  readonly sessions: ReadonlyMap<SessionId, GatewaySession>;
  /** How long the previous version stays loaded. */
  readonly soakMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Work goes elsewhere than before: there may be something to ask for. */
  readonly rerouted: () => void;
}

export interface RolloutDesk extends Rollouts {
  routeOf(model: string): Route | null;
  start(): void;
  stop(): void;
  /** A session reported what it has, as far as it may have it. Call it when the dispatcher knows. */
  reported(session: GatewaySession, stored: readonly StoredVersion[]): void;
  /** Once a second. */
  tick(): void;
}

export function createRollouts(options: RolloutsOptions): RolloutDesk {
  const { book, dispatcher, sessions, soakMs, clock, logger } = options;
  const told = new WeakMap<GatewaySession, string>();
  const stored = new WeakMap<GatewaySession, readonly StoredVersion[]>();
  /** The revisions that the dispatcher has heard of. */
  const routed = new Map<string, number>();
  let endWatch = (): void => undefined;
  let lookedAt = clock.now();

  // ---- who has what ------------------------------------------------------------------------------------------------

  function* connected(): Iterable<GatewaySession> {
    for (const session of sessions.values()) {
      const state = dispatcher.session(session.id)?.state;
      if (state !== undefined && state !== 'away') yield session;
    }
  }

  function reportsOf({ id }: GatewaySession, model: string): ModelReport[] {
    const offers = dispatcher.session(id)?.offers ?? [];
    return offers.flatMap(({ report }) => (report?.name === model ? [report] : []));
  }

  const storedOf = (session: GatewaySession, model: string): string[] =>
    (stored.get(session) ?? []).filter(({ name }) => name === model).map(({ version }) => version);

  /** What callers get who name no version; of several the newest. null: nothing serves. */
  function servingOf(model: string): string | null {
    const versions = [...dispatcher.offersOf(model)].filter((one) => one.servesFor !== null).map((one) => one.version);
    return versions.sort(compareVersions).at(-1) ?? null;
  }

  function versionsOf(session: GatewaySession, model: string): VersionOnWorker[] {
    const offers = (dispatcher.session(session.id)?.offers ?? []).filter((one) => one.model === model);
    const loaded = offers.flatMap(({ report, servesFor }): VersionOnWorker[] => {
      if (report === null) return [];
      const { version, state, message } = report;
      return [{ version, state, serves: servesFor !== null, message: message ?? null }];
    });
    const unloaded = storedOf(session, model).map((version): VersionOnWorker => {
      return { version, state: 'stored', serves: false, message: null };
    });
    return [...loaded, ...unloaded].sort((a, b) => compareVersions(b.version, a.version));
  }

  // ---- what follows from the record --------------------------------------------------------------------------------

  /** Tells a session what is to be loaded, when that is another thing than it was told last. */
  function tell(session: GatewaySession): void {
    if (!session.deploy) return;
    const names = new Set((stored.get(session) ?? []).map(({ name }) => name));
    for (const { report } of dispatcher.session(session.id)?.offers ?? []) if (report) names.add(report.name);
    const models = [...names].sort().flatMap((name) => {
      const rollout = book.get(name);
      if (rollout === null) return [];
      const ready = reportsOf(session, name).filter(({ state }) => state === 'ready');
      return [wantedOf(rollout, new Set(ready.map(({ version }) => version)), clock.now())];
    });
    const text = JSON.stringify(models);
    if (text === (told.get(session) ?? '[]')) return;
    told.set(session, text);
    session.deploy(models);
  }

  function bookChanged(): void {
    const changed = book.all().filter(({ model, revision }) => routed.get(model) !== revision);
    for (const { model, revision } of changed) {
      routed.set(model, revision);
      dispatcher.rerouted(model);
    }
    for (const session of connected()) tell(session);
    if (changed.length > 0) options.rerouted();
  }

  /** Did what was deployed become ready, or is there no worker left that could load it? */
  function settle(rollout: Rollout): void {
    const { model, version, revision } = rollout;
    if (rollout.soakUntil !== null || rollout.failure !== null) return;
    const reports = [...connected()].flatMap((session) => [
      ...reportsOf(session, model).filter((report) => report.version === version),
      ...storedOf(session, model)
        .filter((one) => one === version)
        .map(() => null),
    ]);
    if (reports.some((report) => report?.state === 'ready')) {
      book.put({ ...rollout, soakUntil: clock.now() + soakMs }, revision, null);
      logger.info('version is served', { model, version, weight: rollout.weight });
      return;
    }
    // What was said before it was told of this decision counts for nothing.
    const failures = reports.filter((report) => report?.state === 'failed' && report.revision === revision);
    if (reports.length === 0 || failures.length < reports.length) return;
    const reason = failures.find((report) => report?.message)?.message ?? 'it could not be loaded';
    logger.error('version could not be deployed', { model, version, reason, stays: rollout.previous });
    book.put(failed(rollout, reason.slice(0, 500), clock.now()), revision, 'model.revert');
  }

  /** New versions whose worker's owner wants them deployed. */
  function takeWishes(session: GatewaySession): void {
    const wished = new Map<string, string>();
    for (const { name, version, wish } of stored.get(session) ?? []) {
      const best = wished.get(name);
      if (wish === true && (best === undefined || compareVersions(version, best) > 0)) wished.set(name, version);
    }
    for (const [model, version] of wished) {
      const current = book.get(model);
      const known = [current?.seenVersion, current?.version, current?.previous, servingOf(model)];
      if (known.some((one) => one && compareVersions(version, one) <= 0)) continue;
      const decision = { actor: `worker:${session.worker}`, at: clock.now() };
      const order = { version, weight: 100, allowDowntime: false };
      const next = deployed(model, current, servingOf(model), order, decision);
      logger.info('new version is deployed', { model, version, worker: session.worker });
      book.put({ ...next, seenVersion: version }, current?.revision ?? 0, 'model.deploy');
    }
  }

  // ---- decisions ---------------------------------------------------------------------------------------------------

  function decide(
    model: string,
    action: 'model.deploy' | 'model.rollback',
    next: (now: Rollout | null) => Rollout,
  ): void {
    const current = book.get(model);
    if (book.put(next(current), current?.revision ?? 0, action)) return;
    throw new PosternError(
      'rollout_refused',
      `somebody else changed the versions of ${model} at the same moment: look again`,
    );
  }

  function checkThere(model: string, version: string): void {
    const there = new Set<string>();
    for (const session of connected()) for (const one of versionsOf(session, model)) there.add(one.version);
    if (there.has(version)) return;
    const have = [...there].sort(compareVersions).join(', ');
    const what =
      have === ''
        ? `no connected worker has the model "${model}"`
        : `no connected worker has ${model}@${version}, only ${have}`;
    throw new PosternError('model_not_found', `${what}: copy it into the worker's model repository first`);
  }

  function view(model: string): RolloutView | null {
    const workers = [...connected()].flatMap((session) => {
      const versions = versionsOf(session, model);
      return versions.length === 0
        ? []
        : [{ name: session.worker, takesDeploy: session.deploy !== undefined, versions }];
    });
    const rollout = book.get(model);
    return rollout === null && workers.length === 0 ? null : { model, serving: servingOf(model), rollout, workers };
  }

  return {
    routeOf(model) {
      const rollout = book.get(model);
      return rollout === null ? null : routeOf(rollout);
    },
    start() {
      endWatch = book.onChange(bookChanged);
      bookChanged();
    },
    stop: () => endWatch(),
    reported(session, unloaded) {
      stored.set(session, unloaded);
      takeWishes(session);
      for (const rollout of book.all()) settle(rollout);
      tell(session);
    },
    tick() {
      const now = clock.now();
      const isOver = book.all().some(({ soakUntil }) => soakUntil !== null && soakUntil > lookedAt && soakUntil <= now);
      lookedAt = now;
      if (isOver) for (const session of connected()) tell(session);
    },
    deploy(model: string, order: DeployOrder, decision: Decision) {
      checkThere(model, order.version);
      decide(model, 'model.deploy', (now) => deployed(model, now, servingOf(model), order, decision));
      const rollout = book.get(model);
      if (rollout !== null) settle(rollout);
    },
    rollback(model, decision) {
      decide(model, 'model.rollback', (now) => rolledBack(model, now, decision));
      const rollout = book.get(model);
      if (rollout !== null) settle(rollout);
    },
    view,
    views() {
      const names = new Set(book.all().map(({ model }) => model));
      for (const session of connected()) {
        for (const { name } of stored.get(session) ?? []) names.add(name);
        for (const { report } of dispatcher.session(session.id)?.offers ?? []) if (report) names.add(report.name);
      }
      return [...names].sort().flatMap((name) => view(name) ?? []);
    },
  };
}
