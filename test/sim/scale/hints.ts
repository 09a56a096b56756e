/**
 * What gateways tell each other by the database, as `store/postgres/hints.ts` does it: one notification of a gateway at a time, and what
 * happens meanwhile is told by the next one. Every gateway hears every notification.
 */
import { COSTS } from './costs.ts';
import type { GatewayPart, World } from './shape.ts';

export type Hints = ReturnType<typeof createHints>;

export function createHints(world: () => World) {
  const collected = new Map<GatewayPart, Set<string>>();
  const sending = new Set<GatewayPart>();

  function listeners(from: GatewayPart): GatewayPart[] {
    return [...world().gateways.values()].filter((one) => one !== from && one.isUp && one.isServing);
  }

  function send(from: GatewayPart): void {
    const models = collected.get(from);
    if (models === undefined || sending.has(from)) return;
    collected.delete(from);
    sending.add(from);
    const { database, timeline, sent } = world();
    database
      .ask(
        'notify',
        () => Promise.resolve(),
        () => world().gateways.size,
        () => from.isUp,
      )
      .then(
        () => {
          timeline.after(COSTS.databaseOneWayMs, () => {
            for (const other of listeners(from)) {
              sent.add('hints heard');
              other.thread.run(COSTS.messageMs, () => other.hinted(models));
            }
          });
        },
        () => undefined,
      )
      .finally(() => {
        sending.delete(from);
        send(from);
      });
  }

  return {
    waiting(from: GatewayPart, models: ReadonlySet<string>): void {
      if (models.size === 0 || world().gateways.size === 1) return;
      const before = collected.get(from);
      if (before === undefined) collected.set(from, new Set(models));
      else for (const model of models) before.add(model);
      if (from.isServing) send(from);
    },
    /** Told to all too, for callers who wait elsewhere; counted, because nobody waits elsewhere here. */
    decided(from: GatewayPart, jobs: number): void {
      if (jobs === 0 || world().gateways.size === 1) return;
      world().database.charge('notify', world().gateways.size);
      for (const other of world().gateways.values()) {
        if (other === from || !other.isUp) continue;
        world().sent.add('hints heard');
        other.thread.spend(COSTS.messageMs);
      }
    },
  };
}
