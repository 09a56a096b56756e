/**
 * What is to be loaded and unloaded next, of one model. Pure: it is given what there is and what is wanted, and says one step;
 * the owner takes it and asks again. So the rules can be tried with every order of successes, failures and new wishes.
 *
 *   stored ──load──▶ loading ──warm-up passed──▶ ready ──not wanted any more──▶ draining ──idle──▶ stored
 *                       └─────────refused──────▶ failed (until a new wish, or another folder)
 *
 * 1. What is wanted is loaded, in its order. Only then, and only beside one that is ready, anything is unloaded.
 * 2. When nothing that is wanted can be loaded, something else serves: what is loaded, else a standby, else the newest.
 * 3. Memory that is short is never overdrawn. Room is made by what nobody wants; by what serves only where that is allowed.
 */

/** As `deploy` says it, or as it was remembered. */
export interface Wish {
  readonly revision: number;
  readonly versions: readonly string[];
  readonly standby: readonly string[];
  readonly allowDowntime: boolean;
}

export interface StoredVersion {
  readonly version: string;
  readonly needMb: number;
}

export type LoadedState = 'loading' | 'ready' | 'draining';

export interface Situation {
  /** Usable folders, newest first. */
  readonly stored: readonly StoredVersion[];
  /** What has memory. */
  readonly loaded: ReadonlyMap<string, { readonly state: LoadedState; readonly needMb: number }>;
  readonly failed: ReadonlySet<string>;
  /** null: nobody decided; the newest that can be loaded serves. */
  readonly wish: Wish | null;
  /** Of the worker, over all models. */
  readonly freeMb: number;
  readonly totalMb: number;
  /** Will be free when what drains is gone. */
  readonly leavingMb: number;
}

export type Step =
  | { readonly type: 'load'; readonly version: string }
  | { readonly type: 'unload'; readonly version: string }
  /** It does not fit. */
  | { readonly type: 'refuse'; readonly version: string; readonly reason: string };

/** null: there is nothing to do until something changes. */
export function nextStep(now: Situation): Step | null {
  const { wish, loaded, failed } = now;
  const wanted = (wish?.versions ?? []).filter((version) => isThere(now, version));
  const open = wanted.find((version) => !loaded.has(version) && !failed.has(version));
  if (open !== undefined) return loadOrMakeRoom(now, open);
  const states = wanted.map((version) => loaded.get(version)?.state);
  if (states.includes('ready')) return tidyUp(now);
  return states.includes('loading') || states.includes('draining') ? null : fallBack(now);
}

const isThere = ({ stored, loaded }: Situation, version: string): boolean =>
  loaded.has(version) || stored.some((one) => one.version === version);

const needOf = ({ stored }: Situation, version: string): number =>
  stored.find((one) => one.version === version)?.needMb ?? 0;

function loadOrMakeRoom(now: Situation, version: string): Step | null {
  const needMb = needOf(now, version);
  if (needMb <= now.freeMb) return { type: 'load', version };
  if (needMb <= now.freeMb + now.leavingMb) return null;
  const victim = victimFor(now);
  if (victim !== null && needMb <= now.totalMb) return { type: 'unload', version: victim };
  return { type: 'refuse', version, reason: tooLarge(now, needMb) };
}

/** What may go so that another version can come. Never the last one that serves, unless callers may wait. */
function victimFor({ loaded, wish }: Situation): string | null {
  const allowDowntime = wish?.allowDowntime ?? false;
  const staying = [...loaded].filter(([, { state }]) => state !== 'draining').map(([version]) => version);
  const keep = new Set([...(wish?.versions ?? []), ...(wish?.standby ?? [])]);
  const serves = (version: string): boolean => loaded.get(version)?.state === 'ready';
  const unwanted = staying.find(
    (version) => !keep.has(version) && (allowDowntime || staying.some((other) => keep.has(other) && serves(other))),
  );
  if (unwanted !== undefined) return unwanted;
  if (wish === null || !allowDowntime) return null;
  return staying.find((version) => wish.standby.includes(version) && !wish.versions.includes(version)) ?? null;
}

function tooLarge({ freeMb, totalMb, wish, loaded }: Situation, needMb: number): string {
  const what = `memory_mb: ${needMb} MB are needed, ${freeMb} of ${totalMb} MB are left`;
  if (needMb > totalMb || wish === null || wish.allowDowntime || loaded.size === 0) return what;
  return `${what} beside what serves now: deploy it with --allow-downtime to unload that first, and callers wait`;
}

/** One that is wanted is ready: the standbys are completed, and the rest goes. */
function tidyUp(now: Situation): Step | null {
  const { wish, loaded, failed, freeMb } = now;
  const keep = new Set([...(wish?.versions ?? []), ...(wish?.standby ?? [])]);
  for (const [version, { state }] of loaded) {
    if (!keep.has(version) && state !== 'draining') return { type: 'unload', version };
  }
  const standby = wish?.standby.find(
    (version) =>
      isThere(now, version) && !loaded.has(version) && !failed.has(version) && needOf(now, version) <= freeMb,
  );
  return standby === undefined ? null : { type: 'load', version: standby };
}

/** Nothing that is wanted can be had, or nobody said what is wanted. */
function fallBack(now: Situation): Step | null {
  const { wish, stored, loaded, failed } = now;
  if ([...loaded.values()].some(({ state }) => state !== 'draining')) return null;
  const candidates = [...(wish?.standby ?? []), ...stored.map(({ version }) => version)];
  const next = candidates.find((version) => isThere(now, version) && !loaded.has(version) && !failed.has(version));
  return next === undefined ? null : loadOrMakeRoom(now, next);
}
