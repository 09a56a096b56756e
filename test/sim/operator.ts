/**
 * Who decides about versions: deploys one with some weight, goes back, deploys the next, while everything else goes wrong. When the
 * faults are over, both versions of each model are to serve, so that what was accepted for either can be run.
 */
import type { Random } from '../support/random.ts';
import type { History } from './history.ts';
import type { Site } from './site.ts';
import type { ServedModel } from './versions.ts';
import type { SimWorker } from './worker.ts';
import type { World } from './world.ts';

export interface OperatorOptions {
  readonly world: World;
  readonly random: Random;
  readonly site: Site;
  readonly history: History;
  readonly models: readonly ServedModel[];
  readonly isOver: () => boolean;
}

const RETRY_MS = 1_000;

export function startOperator({ world, random, site, history, models, isOver }: OperatorOptions) {
  const versioned = [...new Set(models.map(({ name }) => name))].filter(
    (name) => models.filter((one) => one.name === name).length > 1,
  );
  /** Models whose last decision is not made yet. */
  const unsettled = new Set(versioned);
  const decision = () => ({ actor: 'sim', at: world.clock.now() });

  /** False: it was refused, or nobody heard it. */
  function decide(what: string, how: (rollouts: NonNullable<Site['front']>['engine']['rollouts']) => void): boolean {
    let done = false;
    site.call(({ rollouts }) => {
      try {
        how(rollouts);
        done = true;
        world.trace(what);
      } catch (error) {
        world.trace(`${what}: ${(error as Error).message}`);
      }
    });
    return done;
  }

  function again(): void {
    if (isOver()) return;
    const model = random.pick(versioned);
    const version = random.pick(['1', '2']);
    const [weight, allowDowntime] = [random.pick([0, 10, 50, 100, 100, 100]), random.chance(0.3)];
    if (random.chance(0.25)) decide(`rollback ${model}`, (rollouts) => rollouts.rollback(model, decision()));
    else {
      const order = { version, weight, allowDowntime };
      decide(`deploy ${model}@${version} ${weight}`, (rollouts) => rollouts.deploy(model, order, decision()));
    }
    world.after(random.next() * 2 * periodMs, again);
  }

  const periodMs = random.pick([1_500, 6_000, 30_000]);
  if (versioned.length > 0) world.after(random.next() * 5_000, again);

  /** The first version takes all of it, then half goes to the second: that needs no memory of what was decided before. */
  function settle(): void {
    for (const model of unsettled) {
      const order = { version: '2', weight: 50, allowDowntime: false };
      const first = { version: '1', weight: 100, allowDowntime: false };
      const settled = decide(`settle ${model}`, (rollouts) => {
        rollouts.deploy(model, first, decision());
        rollouts.deploy(model, order, decision());
      });
      if (settled) unsettled.delete(model);
    }
    if (unsettled.size > 0) world.after(RETRY_MS, settle);
  }

  return {
    settle,
    /** In the end every worker serves what was decided. */
    check(healthy: readonly SimWorker[]): void {
      for (const model of versioned) {
        const view = site.front?.engine.rollouts.view(model);
        const { version, previous, weight, failure } = view?.rollout ?? {};
        if (version !== '2' || previous !== '1' || weight !== 50 || failure !== null)
          history.violation(`${model} is to serve 1 and 2: ${JSON.stringify(view?.rollout)}`);
        for (const worker of healthy) {
          const has = worker.has.filter(({ name }) => name === model).length;
          const ready = worker.serves.filter(({ name }) => name === model).length;
          if (ready < has) history.violation(`${worker.name} serves ${ready} of ${has} versions of ${model}`);
        }
      }
    },
  };
}
