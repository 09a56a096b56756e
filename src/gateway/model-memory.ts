/** Carries the catalogue's models to the store and back, so that a gateway that starts knows whose worker is only away. */
import type { Store } from '../store/store.ts';
import type { Catalogue } from './engine-catalogue.ts';

export function createModelMemory(catalogue: Catalogue, store: Pick<Store, 'knownModels' | 'rememberModels'>) {
  let isRestored = false;

  async function restore(): Promise<void> {
    if (isRestored) return;
    catalogue.restore(await store.knownModels());
    isRestored = true;
  }

  return {
    restore,
    /** What another gateway remembered since. */
    restoreAgain(): Promise<void> {
      isRestored = false;
      return restore();
    },
    /** Call it about once a second. What could not be read at the start is read here. */
    async keep(): Promise<void> {
      await restore();
      const news = catalogue.takeNews();
      if (news.length > 0) await store.rememberModels(news);
    },
  };
}
