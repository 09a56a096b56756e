/**
 * Which version gets the work that names none. A route is decided for a model; what it means for a session depends on which
 * versions are ready there, so that each worker changes over in the moment in which its own new version is ready.
 */
import { compareVersions } from '../protocol/version-order.ts';
import type { Demands } from './demand.ts';
import type { SessionId } from './job.ts';
import type { Offer, Session } from './session.ts';
import { createShares } from './shares.ts';

export interface Route {
  /** Shares of the work that names no version. Versions with 0 serve nobody but those who name them. */
  readonly weights: ReadonlyMap<string, number>;
  /** What serves where none of these is ready, best first. */
  readonly standby: readonly string[];
}

/** The version with the largest share: it also takes what the others cannot. */
export function mainVersion({ weights }: Route): string {
  let main = '';
  let most = -1;
  for (const [version, weight] of weights) {
    if (weight <= most) continue;
    main = version;
    most = weight;
  }
  return main;
}

/** Writes for each of a session's offers of one model for which version's share it serves. Without a route: the newest serves. */
export function assignShares(offers: readonly Offer[], route: Route | null): void {
  const ready = offers.filter(({ report }) => report?.state === 'ready');
  const newest = ready.toSorted((a, b) => compareVersions(b.version, a.version))[0];
  for (const offer of offers) offer.servesFor = null;
  if (newest === undefined) return;
  if (route === null) {
    newest.servesFor = '';
    return;
  }
  const weighted = ready.filter(({ version }) => (route.weights.get(version) ?? 0) > 0);
  for (const offer of weighted) offer.servesFor = offer.version;
  if (weighted.length > 0) return;
  const standby = route.standby.map((version) => ready.find((offer) => offer.version === version)).find(Boolean);
  (standby ?? newest).servesFor = mainVersion(route);
}

export interface RoutingOptions {
  readonly demands: Demands;
  readonly sessions: ReadonlyMap<SessionId, Session>;
  readonly routeOf: (model: string) => Route | null;
}

/** Keeps what offers serve in step with what sessions report and what was decided. */
export function createRouting({ demands, sessions, routeOf }: RoutingOptions) {
  const offersOf = (session: Session, model: string): Offer[] => session.offers.filter((one) => one.model === model);

  /** Counting begins anew with other weights, and with other versions that take part. */
  function shareAnew(model: string): void {
    const demand = demands.of(model);
    const weights = new Map<string, number>();
    for (const { servesFor } of demand.offers) {
      if (servesFor) weights.set(servesFor, routeOf(model)?.weights.get(servesFor) ?? 0);
    }
    if (weights.size < 2) demand.shares = null;
    else if (!demand.shares || !areEqual(demand.shares.weights, weights)) demand.shares = createShares(weights);
    demands.touch(demand);
  }

  return {
    /** A session serves another list than before. */
    reported(session: Session): void {
      for (const model of new Set(session.offers.map((offer) => offer.model))) {
        assignShares(offersOf(session, model), routeOf(model));
        shareAnew(model);
      }
    },
    /** The route of a model is another than before. */
    rerouted(model: string): void {
      const route = routeOf(model);
      for (const session of sessions.values()) assignShares(offersOf(session, model), route);
      shareAnew(model);
      // Whoever found nothing may find something now that it serves others than before.
      demands.arrived(model, 0);
    },
  };
}

function areEqual(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean {
  if (a.size !== b.size) return false;
  for (const [version, weight] of a) if (b.get(version) !== weight) return false;
  return true;
}
