/** Which versions are to be loaded, when several gateways say it and one of them may be behind. Pure. */
import type { WantedVersions } from '../../protocol/messages.ts';

/** Of each model what was decided last. A model that only some name is wanted: who does not name it may not have heard yet. */
export function mergeWishes(lists: Iterable<readonly WantedVersions[]>): WantedVersions[] {
  const latest = new Map<string, WantedVersions>();
  for (const list of lists) {
    for (const wish of list) {
      const known = latest.get(wish.name);
      if (known === undefined || wish.revision > known.revision) latest.set(wish.name, wish);
    }
  }
  return [...latest.values()];
}
