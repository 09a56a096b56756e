/** What somebody who scales wants: how long work may wait, how busy machines may be, how many there may be. Each poll brings its own. */

export interface WorkerTargets {
  /** What waits is to be worked off within this time. */
  readonly queueS: number;
  /** Share of the rows that workers take at once that may be taken, in the mean: the rest is for bursts. */
  readonly busy: number;
  readonly minWorkers: number;
  readonly maxWorkers: number;
  /** More are wanted only after they were needed for so long without a break. Costs that much waiting at the begin of a rush. */
  readonly upS: number;
  /** Fewer are wanted only after so long in which fewer were enough. Costs that much of a machine after each rush. */
  readonly downS: number;
}

export interface GatewayTargets {
  /** Share of time in which a gateway's event loop computes. It has one, so that a machine of two cores is full at half of its processor. */
  readonly loop: number;
  /** Callers' connections of one gateway. */
  readonly connections: number;
  readonly minGateways: number;
  readonly maxGateways: number;
  readonly upS: number;
  readonly downS: number;
}

/** As people who poll name them, with what each may be. */
export const BOUNDS = {
  target_queue_s: { min: 0.1, max: 86_400, default: 10 },
  target_busy: { min: 0.05, max: 1, default: 0.8 },
  min_workers: { min: 0, max: 10_000, default: 1, whole: true },
  max_workers: { min: 0, max: 10_000, default: 100, whole: true },
  target_loop: { min: 0.05, max: 1, default: 0.6 },
  target_connections: { min: 1, max: 1_000_000, default: 5_000, whole: true },
  min_gateways: { min: 0, max: 1_000, default: 1, whole: true },
  max_gateways: { min: 0, max: 1_000, default: 20, whole: true },
  up_s: { min: 0, max: 300, default: 15 },
  down_s: { min: 0, max: 900, default: 300 },
} as const satisfies Record<string, TargetBound>;

export interface TargetBound {
  readonly min: number;
  readonly max: number;
  readonly default: number;
  readonly whole?: boolean;
}

export type TargetName = keyof typeof BOUNDS;
export type Wishes = Readonly<Record<TargetName, number>>;

export const DEFAULT_WISHES = Object.freeze(
  Object.fromEntries(Object.entries(BOUNDS).map(([name, bound]) => [name, bound.default])),
) as Wishes;

export const workerTargets = (wishes: Wishes): WorkerTargets => ({
  queueS: wishes.target_queue_s,
  busy: wishes.target_busy,
  minWorkers: wishes.min_workers,
  maxWorkers: wishes.max_workers,
  upS: wishes.up_s,
  downS: wishes.down_s,
});

export const gatewayTargets = (wishes: Wishes): GatewayTargets => ({
  loop: wishes.target_loop,
  connections: wishes.target_connections,
  minGateways: wishes.min_gateways,
  maxGateways: wishes.max_gateways,
  upS: wishes.up_s,
  downS: wishes.down_s,
});
