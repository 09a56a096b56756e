/**
 * A rollout: which version of a model is deployed, with what share of the callers' work, and which one was there before. What is
 * decided is one record for each model, the same for all workers; each worker changes over when its own copy is ready.
 *
 *   deploy ─▶ loading ──ready on a worker──▶ active ──soak over──▶ the previous version is unloaded
 *                └──failed on every worker that has it──▶ the previous version, with the reason
 *
 * Pure: decisions in, records out.
 */
import type { Route } from '../../dispatch/route.ts';
import { PosternError } from '../../errors.ts';
import type { WantedVersions } from '../../protocol/messages.ts';

export interface Rollout {
  readonly model: string;
  /** Grows with every decision. */
  readonly revision: number;
  readonly version: string;
  /** Percent of the work that names no version; the rest is the previous version's. */
  readonly weight: number;
  /** What served before, and does again after a rollback. null: nothing did. */
  readonly previous: string | null;
  readonly allowDowntime: boolean;
  /** Epoch ms until which the previous version stays loaded. null: the new one has not been ready anywhere yet. */
  readonly soakUntil: number | null;
  /** The deployment that did not come about, and why. */
  readonly failure: { readonly version: string; readonly reason: string } | null;
  /** The newest version that was ever deployed because it appeared: it is not deployed again for that. */
  readonly seenVersion: string | null;
  /** Epoch ms. */
  readonly changedAt: number;
  readonly changedBy: string;
}

export interface DeployOrder {
  readonly version: string;
  readonly weight: number;
  readonly allowDowntime: boolean;
}

/** Who decides, and when. */
export interface Decision {
  readonly actor: string;
  readonly at: number;
}

const refuse = (message: string): PosternError => new PosternError('rollout_refused', message);

const mainOf = ({ version, weight, previous }: Rollout): string =>
  weight >= 50 || previous === null ? version : previous;

/** `serving`: what callers get now without any decision. */
export function deployed(
  model: string,
  current: Rollout | null,
  serving: string | null,
  order: DeployOrder,
  { actor, at }: Decision,
): Rollout {
  const { version, weight, allowDowntime } = order;
  const before = current === null ? serving : current.version === version ? current.previous : mainOf(current);
  const previous = before === version ? null : before;
  if (weight < 100 && previous === null) {
    throw refuse(
      `${model}@${version} cannot have ${weight} % of the work, because no other version serves the rest: deploy it without a weight`,
    );
  }
  return {
    model,
    revision: (current?.revision ?? 0) + 1,
    version,
    weight,
    previous,
    allowDowntime,
    soakUntil: null,
    failure: null,
    seenVersion: current?.seenVersion ?? null,
    changedAt: at,
    changedBy: actor,
  };
}

/** All of the work goes back to the version before; what it is taken from stays loaded, so that one can go forward again. */
export function rolledBack(model: string, current: Rollout | null, { actor, at }: Decision): Rollout {
  if (!current?.previous) {
    throw refuse(`${model} has no earlier version to go back to: deploy the one that is wanted`);
  }
  return {
    ...current,
    revision: current.revision + 1,
    version: current.previous,
    weight: 100,
    previous: current.version,
    soakUntil: null,
    failure: null,
    changedAt: at,
    changedBy: actor,
  };
}

/** No worker that has it could load it. */
export function failed(current: Rollout, reason: string, at: number): Rollout {
  const failure = { version: current.version, reason };
  if (current.previous === null) return { ...current, failure };
  return {
    ...current,
    revision: current.revision + 1,
    version: current.previous,
    weight: 100,
    previous: null,
    soakUntil: at,
    failure,
    changedAt: at,
    changedBy: 'gateway',
  };
}

export function weightsOf({ version, weight, previous }: Rollout): ReadonlyMap<string, number> {
  if (weight === 100 || previous === null) return new Map([[version, 100]]);
  return new Map([
    [version, weight],
    [previous, 100 - weight],
  ]);
}

export function routeOf(rollout: Rollout): Route {
  const { weight, previous } = rollout;
  return { weights: weightsOf(rollout), standby: weight === 100 && previous !== null ? [previous] : [] };
}

/** What a worker is to have loaded, when these versions are ready there. */
export function wantedOf(rollout: Rollout, ready: ReadonlySet<string>, nowMs: number): WantedVersions {
  const { model, revision, version, weight, previous, soakUntil, allowDowntime } = rollout;
  const wanted = (versions: string[], standby: string[]): WantedVersions => {
    return { name: model, revision, versions, standby, allowDowntime };
  };
  if (previous === null) return wanted([version], []);
  if (weight < 100) return wanted(weight >= 50 ? [version, previous] : [previous, version], []);
  const isSoaking = soakUntil === null || nowMs < soakUntil || !ready.has(version);
  return wanted([version], isSoaking ? [previous] : []);
}
