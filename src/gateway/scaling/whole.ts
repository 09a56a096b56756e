/** All gateways' loads, and what waits in the store that they share, as one: pure. */
import type { ModelCounts } from '../../store/store.ts';
import type { GatewayLoad, ModelLoad } from './load.ts';
import type { GatewayLook, ModelLook } from './policy.ts';

export interface ModelWork extends Omit<ModelLook, 'at'> {
  readonly waitingJobs: number;
  readonly inFlightJobs: number;
}

export interface MemberLoad {
  readonly id: string;
  readonly state: 'serving' | 'draining';
  readonly load: GatewayLoad;
}

/** As it was at one moment. */
export interface Whole {
  /** Monotonic. */
  readonly at: number;
  /** Epoch ms. */
  readonly seenAt: number;
  /** This one first. */
  readonly members: readonly MemberLoad[];
  readonly models: ReadonlyMap<string, ModelWork>;
}

export interface SharedQueues {
  readonly counts: ReadonlyMap<string, ModelCounts>;
  readonly oldest: ReadonlyMap<string, number>;
}

export function modelsOf(
  known: readonly string[],
  members: readonly MemberLoad[],
  { counts, oldest }: SharedQueues,
): Map<string, ModelWork> {
  const names = new Set([...known, ...counts.keys(), ...members.flatMap(({ load }) => Object.keys(load.models))]);
  return new Map(
    [...names].sort().map((name): [string, ModelWork] => {
      const loads = members.flatMap(({ load }) => (Object.hasOwn(load.models, name) ? [load.models[name]!] : []));
      const sum = (read: (load: ModelLoad) => number): number => loads.reduce((total, one) => total + read(one), 0);
      const shared = counts.get(name);
      return [
        name,
        {
          workers: workersOf(loads),
          waitingJobs: (shared?.waitingJobs ?? 0) + sum(({ waitingJobs }) => waitingJobs),
          waitingRows: (shared?.waitingRows ?? 0) + (shared?.soloJobs ?? 0) + sum(({ waitingRows }) => waitingRows),
          inFlightJobs: (shared?.processingJobs ?? 0) + sum(({ inFlightJobs }) => inFlightJobs),
          oldestMs: Math.max(oldest.get(name) ?? 0, ...loads.map(({ oldestMs }) => oldestMs)),
          freeRows: sum(({ freeRows }) => freeRows),
          capacityRows: sum(({ capacityRows }) => capacityRows),
          busyRows: sum(({ busyRows }) => busyRows),
          rowsPerS: sum(({ rowsPerS }) => rowsPerS),
        },
      ];
    }),
  );
}

/** Workers dial all gateways: each counts once. Where their names are too many to be told, the gateway that has most has about all. */
function workersOf(loads: readonly ModelLoad[]): number {
  const names = new Set(loads.flatMap(({ workers }) => (typeof workers === 'number' ? [] : workers)));
  return Math.max(names.size, ...loads.map(({ workers }) => (typeof workers === 'number' ? workers : 0)));
}

export function gatewayLook({ at, members }: Pick<Whole, 'at' | 'members'>): GatewayLook {
  const sum = (read: (load: GatewayLoad) => number): number =>
    members.reduce((total, { load }) => total + read(load), 0);
  return {
    at,
    gateways: members.filter(({ state }) => state === 'serving').length,
    loops: sum(({ loop }) => loop),
    connections: sum(({ connections }) => connections),
  };
}
