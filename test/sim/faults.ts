/** Everything that goes wrong, and when. Each seed has its own taste: some faults often, others never. */
import type { Random } from '../support/random.ts';
import { CRASH_POINTS, type SimDisk } from './disk.ts';
import type { Site } from './site.ts';
import type { Side, WireConditions } from './wire.ts';
import type { SimWorker } from './worker.ts';
import type { World } from './world.ts';

export interface Faults {
  /** What a worker's links are like now. */
  conditions(worker: string): WireConditions & { readonly duplicate: number };
  /** From now on things go wrong. */
  start(workers: readonly SimWorker[]): void;
  /** Everything is well again, except for the workers that stay `broken`: they are dead, or cut off for good. */
  heal(broken: readonly SimWorker[]): void;
  readonly isOver: boolean;
}

export interface FaultsOptions {
  readonly world: World;
  readonly random: Random;
  readonly site: Site;
  readonly disk: SimDisk;
}

const CALM = { latencyMs: [1, 5], noticeMs: [0, 100], duplicate: 0 } as const;

export function createFaults({ world, random, site, disk }: FaultsOptions): Faults {
  const { clock } = world;
  /** By worker: until when each side is not heard. */
  const blocked = new Map<string, Record<Side, number>>();
  const bad = {
    latencyMs: random.pick<readonly [number, number]>([
      [0, 1],
      [1, 50],
      [10, 2_000],
    ]),
    noticeMs: random.pick<readonly [number, number]>([
      [0, 10],
      [0, 5_000],
      [1_000, 30_000],
    ]),
    duplicate: random.pick([0, 0.05, 0.5]),
  };
  let isOver = false;

  function block(worker: SimWorker, ms: number): void {
    const until = clock.monotonic() + ms;
    const sides = random.pick<readonly Side[]>([['gateway'], ['worker'], ['gateway', 'worker']]);
    world.trace(`${sides.join(' and ')} of ${worker.name} not heard for ${ms.toFixed(0)} ms`);
    const of = blocked.get(worker.name) ?? { gateway: 0, worker: 0 };
    for (const side of sides) of[side] = until;
    blocked.set(worker.name, of);
  }

  function restartSoon(): void {
    world.after(random.next() * 10_000, () => site.start());
  }

  function menu(workers: readonly SimWorker[]): readonly (() => void)[] {
    const worker = (): SimWorker => random.pick(workers);
    return [
      () => worker().cutLink(),
      () => worker().cutLink(),
      () => worker().die(random.next() * 40_000),
      () => worker().pause(random.pick([50, 3_000, 25_000])),
      () => worker().drain(random.pick([0, 2_000, 30_000]), random.next() * 10_000),
      () => block(worker(), random.pick([500, 8_000, 40_000])),
      () => world.jump(random.int(-3_600_000, 3_600_000)),
      () => site.front?.drainSession(worker().name),
      () => {
        site.kill();
        restartSoon();
      },
      () => {
        disk.faults.killAt(random.pick(CRASH_POINTS));
        restartSoon();
      },
      () => site.front?.process.pause(random.pick([50, 3_000, 25_000])),
      () => site.switchRelease(random.pick([0, 2_000, 30_000])),
      () => disk.faults.failUntil(clock.monotonic() + random.pick([1, 500, 8_000]), random.pick(['io', 'full'])),
    ];
  }

  return {
    conditions(worker) {
      const of = blocked.get(worker);
      return { ...(isOver ? CALM : bad), blockedUntilMs: (from) => of?.[from] ?? 0 };
    },
    start(workers) {
      const taste = menu(workers).filter(() => random.chance(0.5));
      const faultMs = random.pick([500, 4_000, 20_000]);
      function faultAgain(): void {
        if (isOver) return;
        if (taste.length > 0) random.pick(taste)();
        world.after(random.next() * 2 * faultMs, faultAgain);
      }
      world.after(random.next() * 5_000, faultAgain);
      // Whatever killed the last gateway, somebody starts the next one: a point in the writing may be reached late.
      const supervise = (): void => {
        site.start();
        world.after(isOver ? 1_000 : 15_000, supervise);
      };
      world.after(15_000, supervise);
    },
    heal(broken) {
      isOver = true;
      disk.faults.disarm();
      blocked.clear();
      for (const worker of broken) {
        if (random.chance(0.5)) worker.die(Infinity);
        else block(worker, Infinity);
      }
      site.start();
    },
    get isOver() {
      return isOver;
    },
  };
}
