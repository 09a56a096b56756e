/**
 * How many workers and gateways are wanted: pure, from looks at what there was. The same looks and targets give the same verdict, at
 * whichever gateway, so nothing but looks has to be remembered and nobody has to agree.
 *
 * Each look says what is *needed* by itself: machines for the load as it is, with some room, and more for what waits, so that it is
 * worked off in time. That need follows from the load and not from how many there are, so answering it does not change it. What is
 * *wanted* then holds still: more once every look of some `upS` needed more, and then for `downS`, because machines take their time to
 * boot; fewer only when every look of the last `downS` needed fewer. So nothing that was wanted is given up within `downS`. A gateway
 * that has not watched for so long yet (it has just started) wants no fewer than there are.
 */
import type { GatewayTargets, WorkerTargets } from './targets.ts';

/** One model, over all gateways, at one moment. */
export interface ModelLook {
  /** Monotonic ms. */
  readonly at: number;
  /** That have the model ready and are not draining: connected, or without their link for less than a lease. */
  readonly workers: number;
  /** Rows that might be claimed now. */
  readonly waitingRows: number;
  /** How long the oldest of what waits has waited; 0: nothing waits. */
  readonly oldestMs: number;
  /** Rows that workers would take on top of what they have. */
  readonly freeRows: number;
  /** Rows that they take at once, in all. */
  readonly capacityRows: number;
  /** Rows that were at workers, in the mean of the last minute. */
  readonly busyRows: number;
  /** Rows that workers ended, a second, in the mean of the same minute. */
  readonly rowsPerS: number;
}

export interface GatewayLook {
  readonly at: number;
  readonly gateways: number;
  /** Sum over gateways of the share of time in which each computed. */
  readonly loops: number;
  /** Of callers, of all gateways. */
  readonly connections: number;
}

export type Reason =
  /** Enough are there. */
  | 'enough'
  /** Work waits longer than it should. */
  | 'queue'
  /** Those that are there have too little room. */
  | 'busy'
  /** Fewer would do, and did for long enough. */
  | 'idle'
  /** Work waits though workers have room: for a version that none serves, or at a limit. More workers would not help. */
  | 'blocked'
  /** The change that is needed has not been needed for long enough. */
  | 'steadying'
  /** The least or the most that was asked for. */
  | 'bound';

export interface Need {
  readonly count: number;
  readonly reason: Reason;
}

export interface Verdict {
  readonly wanted: number;
  readonly reason: Reason;
}

/** With less than this share taken, what waits does not wait for want of workers: they would have been sent it. */
const BLOCKED_BELOW = 0.5;
/** Against 3.0000001 of floating point, which is 3. */
const SLACK = 1e-9;

/** At most so many at once, because each that joins shows how much it does: 0 → 1 → 3 → 7. */
const mostFrom = (workers: number): number => 2 * workers + 1;

/** How long what waits takes at the present pace, in seconds; null: nobody can say, because nothing was ended lately. */
export function workOffS({ waitingRows, rowsPerS }: Pick<ModelLook, 'waitingRows' | 'rowsPerS'>): number | null {
  if (waitingRows === 0) return 0;
  return rowsPerS > 0 ? waitingRows / rowsPerS : null;
}

/** The figure to scale and to be alarmed by: never missing, never less than somebody has waited already. */
export function queueS(look: Pick<ModelLook, 'waitingRows' | 'rowsPerS' | 'oldestMs'>): number {
  return Math.max(look.oldestMs / 1000, workOffS(look) ?? 0);
}

export function workersNeeded(look: ModelLook, targets: Pick<WorkerTargets, 'queueS' | 'busy'>): Need {
  const { workers, waitingRows, freeRows, capacityRows, busyRows, rowsPerS } = look;
  const isLate = look.oldestMs / 1000 > targets.queueS;
  if (workers === 0 || capacityRows === 0) {
    if (workers > 0) return { count: workers, reason: 'enough' };
    return waitingRows > 0 ? { count: 1, reason: 'queue' } : { count: 0, reason: 'idle' };
  }
  const rowsOfOne = capacityRows / workers;
  const loadRows = busyRows / targets.busy;
  const forLoad = Math.min(Math.ceil(loadRows / rowsOfOne - SLACK), mostFrom(workers));
  const byLoad: Need = { count: forLoad, reason: forLoad > workers ? 'busy' : forLoad < workers ? 'idle' : 'enough' };
  if (waitingRows === 0) return byLoad;
  if (freeRows > capacityRows * (1 - BLOCKED_BELOW)) return isLate ? { ...byLoad, reason: 'blocked' } : byLoad;
  // Little's law: how long one row is at a worker. In that time a row of capacity does one row of what waits.
  if (rowsPerS <= 0 || busyRows <= 0) {
    return isLate ? { count: workers + 1, reason: 'queue' } : { count: Math.max(workers, forLoad), reason: 'enough' };
  }
  const backlogRows = (waitingRows / targets.queueS) * (busyRows / rowsPerS);
  const count = Math.min(Math.ceil((loadRows + backlogRows) / rowsOfOne - SLACK), mostFrom(workers));
  if (count <= workers) return { count: Math.max(count, forLoad), reason: count < workers ? 'idle' : 'enough' };
  return { count, reason: 'queue' };
}

export function gatewaysNeeded(look: GatewayLook, targets: Pick<GatewayTargets, 'loop' | 'connections'>): Need {
  const count = Math.max(
    1,
    Math.ceil(look.loops / targets.loop - SLACK),
    Math.ceil(look.connections / targets.connections),
  );
  const { gateways } = look;
  const bounded = Math.min(count, mostFrom(gateways));
  return { count: bounded, reason: bounded > gateways ? 'busy' : bounded < gateways ? 'idle' : 'enough' };
}

interface Looked {
  readonly at: number;
  readonly need: Need;
}

interface Steadying {
  readonly upS: number;
  readonly downS: number;
  readonly min: number;
  readonly max: number;
}

/**
 * What is wanted, given what each look needed (oldest first, the last one being of now). `present`: how many there are now; it is what
 * stays when neither more nor fewer were needed for long enough.
 */
export function steady(looks: readonly Looked[], present: number, { upS, downS, min, max }: Steadying): Verdict {
  const clamp = ({ wanted, reason }: Verdict): Verdict => {
    const bounded = Math.max(min, Math.min(max, wanted));
    return bounded === wanted ? { wanted, reason } : { wanted: bounded, reason: 'bound' };
  };
  const last = looks.at(-1);
  if (last === undefined) return clamp({ wanted: present, reason: 'steadying' });
  const { count, reason } = last.need;
  // Nobody is there: there is nothing to be steady about.
  if (present === 0 && count > 0) return clamp({ wanted: count, reason });
  const from = (windowS: number): number => last.at - windowS * 1000;
  const recent = looks.filter(({ at }) => at >= from(downS));
  const up = Math.max(...recent.map(({ at }) => lastingUntil(looks, at, upS)));
  if (up > present) return clamp({ wanted: up, reason: count > present ? reason : 'steadying' });
  const down = Math.max(...recent.map(({ need }) => need.count));
  if (down < present && looks[0]!.at <= from(downS)) return clamp({ wanted: down, reason: 'idle' });
  const isEnough = count === present || reason === 'blocked';
  return clamp({ wanted: present, reason: isEnough ? reason : 'steadying' });
}

/** The least that was needed in the `windowS` until then; 0 when they were not watched from their begin. */
function lastingUntil(looks: readonly Looked[], until: number, windowS: number): number {
  const from = until - windowS * 1000;
  if (looks[0]!.at > from) return 0;
  let least = Infinity;
  for (const { at, need } of looks) if (at >= from && at <= until) least = Math.min(least, need.count);
  return least;
}

export function workersWanted(looks: readonly ModelLook[], targets: WorkerTargets): Verdict {
  const needs = looks.map((look) => ({ at: look.at, need: workersNeeded(look, targets) }));
  const { minWorkers: min, maxWorkers: max } = targets;
  return steady(needs, looks.at(-1)?.workers ?? 0, { ...targets, min, max });
}

export function gatewaysWanted(looks: readonly GatewayLook[], targets: GatewayTargets): Verdict {
  const needs = looks.map((look) => ({ at: look.at, need: gatewaysNeeded(look, targets) }));
  const { minGateways: min, maxGateways: max } = targets;
  return steady(needs, looks.at(-1)?.gateways ?? 0, { ...targets, min, max });
}
