/**
 * The models and workers that this gateway knows, and how it shows them. Owner of: which models were ever announced (a job
 * for one of these waits for its worker; any other name is unknown) and the last view of workers that are gone.
 */
import type { Dispatcher } from '../dispatch/dispatcher.ts';
import type { Route } from '../dispatch/route.ts';
import type { Session } from '../dispatch/session.ts';
import type { SessionId } from '../dispatch/job.ts';
import type { ModelReport, ModelState } from '../protocol/messages.ts';
import { compareVersions } from '../protocol/version-order.ts';
import { MAX_KNOWN_MODELS, type KnownModel } from '../store/known-models.ts';
import type { ModelCounts } from '../store/store.ts';
import type { ModelView, WorkerView } from './ports.ts';
import type { GatewaySession } from './worker-ports.ts';
import type { ReportedModel } from './room.ts';

/** A worker chooses its name too, within what its certificate says; those longest gone are left out first. */
const MAX_AWAY_WORKERS = 256;

/** What the store knows of a model's last sign may be so old: a write a minute costs nothing. */
const REMEMBER_MS = 60_000;

interface Known {
  report: ModelReport;
  readonly versions: Set<string>;
  lastSeenAt: number;
  /** What the store was told; −∞: nothing of what changed since. */
  rememberedAt: number;
}

const BEST_FIRST: readonly ModelState[] = ['ready', 'draining', 'loading', 'failed'];

export type Catalogue = ReturnType<typeof createCatalogue>;

export function createCatalogue(
  dispatcher: Dispatcher,
  sessions: ReadonlyMap<SessionId, GatewaySession>,
  { routeOf }: { readonly routeOf: (model: string) => Route | null },
) {
  const known = new Map<string, Known>();
  const away = new Map<string, WorkerView>();
  const denied = new WeakMap<GatewaySession, readonly ModelReport[]>();

  function best(states: readonly ModelState[]): ModelState | null {
    return BEST_FIRST.find((state) => states.includes(state)) ?? null;
  }

  function workerView(session: GatewaySession, state: WorkerView['state'], inner: Session | undefined): WorkerView {
    return {
      name: session.worker,
      session: session.id,
      state,
      agent: session.agent,
      address: session.address,
      connectedAt: session.connectedAt,
      lastSeenAt: session.lastSeenAt,
      roundTripMs: session.roundTripMs,
      certificateEndsAt: session.certificateEndsAt,
      notAllowed: denied.get(session) ?? [],
      models: (inner?.offers ?? []).flatMap(({ report, credit }) =>
        report ? [{ ...report, creditRows: credit.freeRows, inFlightJobs: credit.inFlightJobs }] : [],
      ),
    };
  }

  function modelView(
    name: string,
    { report, versions, lastSeenAt }: Known,
    counts: ModelCounts | undefined,
  ): ModelView {
    const states = new Map<string, ModelState[]>();
    const serving = new Map<string, number>();
    let seenAt = lastSeenAt;
    for (const session of dispatcher.sessions()) {
      if (session.state === 'away') continue;
      for (const offer of session.offers) {
        if (offer.model !== name || !offer.report) continue;
        states.set(offer.version, [...(states.get(offer.version) ?? []), offer.report.state]);
        if (offer.servesFor !== null) serving.set(offer.version, (serving.get(offer.version) ?? 0) + 1);
        seenAt = Math.max(seenAt, sessions.get(session.id)?.lastSeenAt ?? 0);
      }
    }
    const weights = routeOf(name)?.weights ?? newestOnly(serving.keys());
    return {
      name,
      description: report.description ?? null,
      kind: report.kind,
      state: best([...states.values()].flat()) ?? 'away',
      versions: [...versions].sort().flatMap((version) => {
        const of = states.get(version) ?? [];
        const state = best(of);
        if (state === null) return [];
        const servingWorkers = serving.get(version) ?? 0;
        return [{ version, state, workers: of.length, weight: weights.get(version) ?? 0, servingWorkers }];
      }),
      waitingJobs: counts?.waitingJobs ?? 0,
      processingJobs: counts?.processingJobs ?? 0,
      lastSeenAt: seenAt || null,
    };
  }

  /** Without a decision each worker serves its newest; of several the newest of these is what most will get. */
  function newestOnly(versions: Iterable<string>): ReadonlyMap<string, number> {
    const newest = [...versions].sort(compareVersions).at(-1);
    return new Map(newest === undefined ? [] : [[newest, 100]]);
  }

  return {
    /** Which versions of it are loaded on a worker that is connected, or were to be. */
    loadedVersions(model: string): ReadonlySet<string> {
      const loaded = new Set<string>();
      for (const session of dispatcher.sessions()) {
        if (session.state === 'away') continue;
        for (const { report } of session.offers) if (report?.name === model) loaded.add(report.version);
      }
      return loaded;
    },
    /** null: no worker ever announced it. */
    versionsOf: (model: string): ReadonlySet<string> | null => known.get(model)?.versions ?? null,
    /** `notAllowed`: what it announced and was not invited for. It does not make a model known. */
    announced(session: GatewaySession, reports: readonly ModelReport[], notAllowed: readonly ModelReport[]): void {
      denied.set(session, notAllowed);
      for (const report of reports) {
        const versions = known.get(report.name)?.versions ?? new Set<string>();
        versions.add(report.version);
        // Put in anew, so that the first of the map is the one longest unheard.
        known.delete(report.name);
        known.set(report.name, { report, versions, lastSeenAt: session.lastSeenAt, rememberedAt: -Infinity });
        const first = known.keys().next().value;
        if (known.size > MAX_KNOWN_MODELS && first !== undefined) known.delete(first);
      }
    },
    /** What the store remembered. */
    restore(models: readonly KnownModel[]): void {
      for (const { name, report: text, versions, lastSeenAt } of models) {
        if (known.has(name)) continue;
        const report = JSON.parse(text) as ModelReport;
        known.set(name, { report, versions: new Set(versions), lastSeenAt, rememberedAt: lastSeenAt });
      }
    },
    /** What the store is to remember: models that are new or changed, and those heard long after it was last told. */
    takeNews(): KnownModel[] {
      for (const session of dispatcher.sessions()) {
        const seenAt = session.state === 'away' ? 0 : (sessions.get(session.id)?.lastSeenAt ?? 0);
        for (const { model, report } of session.offers) {
          const entry = report && known.get(model);
          if (entry && seenAt > entry.lastSeenAt) entry.lastSeenAt = seenAt;
        }
      }
      const news: KnownModel[] = [];
      for (const [name, entry] of known) {
        if (entry.lastSeenAt - entry.rememberedAt < REMEMBER_MS) continue;
        entry.rememberedAt = entry.lastSeenAt;
        const { report, versions, lastSeenAt } = entry;
        news.push({ name, report: JSON.stringify(report), versions: [...versions], lastSeenAt });
      }
      return news;
    },
    deniedTo: (session: GatewaySession): readonly ModelReport[] => denied.get(session) ?? [],
    opened(session: GatewaySession): void {
      away.delete(session.worker);
    },
    /** Call it while the dispatcher still knows the session. */
    left(session: GatewaySession): void {
      for (const offer of dispatcher.session(session.id)?.offers ?? []) {
        const entry = known.get(offer.model);
        if (!entry || !offer.report) continue;
        entry.lastSeenAt = Math.max(entry.lastSeenAt, session.lastSeenAt);
        entry.rememberedAt = -Infinity;
      }
      away.set(session.worker, workerView(session, 'away', dispatcher.session(session.id)));
      const first = away.keys().next().value;
      if (away.size > MAX_AWAY_WORKERS && first !== undefined) away.delete(first);
    },
    /** The best that any connected worker says of it; else what was said last, by a worker that is gone. */
    report(model: string, version: string | null): ReportedModel | null {
      let found: ModelReport | null = null;
      let serving: ModelReport | null = null;
      for (const session of dispatcher.sessions()) {
        if (session.state === 'away') continue;
        for (const { model: name, report, servesFor, credit } of session.offers) {
          if (name !== model || !report || (version !== null && report.version !== version)) continue;
          const serves = version !== null || servesFor !== null;
          if (serves && report.state === 'ready' && session.state === 'connected') {
            if (credit.freeRows > 0) return { report, ready: true, isFree: true };
            serving ??= report;
          }
          found ??= report;
        }
      }
      if (serving !== null) return { report: serving, ready: true, isFree: false };
      const entry = known.get(model);
      if (!found && (version === null || entry?.versions.has(version))) found = entry?.report ?? null;
      return found === null ? null : { report: found, ready: false, isFree: false };
    },
    known: (): string[] => [...known.keys()].sort(),
    models(counts: ReadonlyMap<string, ModelCounts>): ModelView[] {
      return [...known]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, one]) => modelView(name, one, counts.get(name)));
    },
    workers(): WorkerView[] {
      const connected = [...sessions.values()].flatMap((session) => {
        const inner = dispatcher.session(session.id);
        if (!inner || inner.state === 'away') return [];
        return [workerView(session, inner.state, inner)];
      });
      const names = new Set(connected.map((view) => view.name));
      return [...connected, ...[...away.values()].filter((view) => !names.has(view.name))];
    },
  };
}
