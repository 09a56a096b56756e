/**
 * Of which new jobs the other gateways on the store are told: those that the own workers cannot take. The others would ask the database
 * for each, mostly in vain, because a gateway that has room for a job asks for it itself within the same turn. Whether it got it, its
 * claim's answer says; if not, the others are told then. Owner of: what was accepted here and neither told nor answered for.
 *
 * Whoever dies between the two leaves the job to the sweeps of the others, a second later at most.
 */
import type { Dispatcher } from '../dispatch/dispatcher.ts';
import { isUnrecorded } from '../dispatch/id.ts';
import type { Job } from '../dispatch/job.ts';
import type { Store } from '../store/store.ts';

export interface TellingOptions {
  readonly store: Pick<Store, 'tellWaiting'>;
  readonly dispatcher: () => Pick<Dispatcher, 'isShort'>;
}

export function createTelling({ store, dispatcher }: TellingOptions) {
  /** Of each model the versions that were named; null: none was. */
  const untold = new Map<string, Set<string | null>>();
  const unasked = new Set<string>();

  function isShort(model: string, versions: ReadonlySet<string | null>): boolean {
    for (const version of versions) if (dispatcher().isShort(model, version)) return true;
    return false;
  }

  return {
    accepted({ id, model, version }: Job): void {
      if (store.tellWaiting === undefined || isUnrecorded(id)) return;
      const versions = untold.get(model);
      if (versions === undefined) untold.set(model, new Set([version]));
      else versions.add(version);
    },
    /** The store could not be asked for jobs of this model. */
    claimFailed(model: string): void {
      if (untold.has(model)) unasked.add(model);
    },
    /** The workers that have room were asked for. `isClaiming`: some answer is still to come, and may say that they got nothing. */
    pumped(isClaiming: boolean): void {
      if (untold.size === 0) return;
      const models: string[] = [];
      for (const [model, versions] of untold) {
        if (!unasked.has(model) && !isShort(model, versions)) continue;
        models.push(model);
        untold.delete(model);
      }
      unasked.clear();
      // Nothing is believed to wait, and no answer will say otherwise.
      if (!isClaiming) untold.clear();
      if (models.length > 0) store.tellWaiting?.(models);
    },
  };
}
