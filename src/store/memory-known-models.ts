/** The known models of the memory driver. */
import { MAX_KNOWN_MODELS, type KnownModel } from './known-models.ts';

export function createMemoryKnownModels(modelTtlMs: number) {
  let models = new Map<string, KnownModel>();
  const inOrder = (): KnownModel[] =>
    [...models.values()].sort((a, b) => a.lastSeenAt - b.lastSeenAt || (a.name < b.name ? -1 : 1));
  return {
    /** Longest unheard first. */
    all: inOrder,
    remember(given: readonly KnownModel[], nowMs: number): void {
      for (const one of given) {
        const lastSeenAt = Math.max(one.lastSeenAt, models.get(one.name)?.lastSeenAt ?? 0);
        models.set(one.name, { ...one, lastSeenAt });
      }
      // Of those heard at the same time the first names stay, as in the other driver.
      const newestFirst = [...models.values()].sort(
        (a, b) => b.lastSeenAt - a.lastSeenAt || (a.name < b.name ? -1 : 1),
      );
      const kept = newestFirst.filter(({ lastSeenAt }) => lastSeenAt > nowMs - modelTtlMs).slice(0, MAX_KNOWN_MODELS);
      models = new Map(kept.map((one) => [one.name, one]));
    },
  };
}
