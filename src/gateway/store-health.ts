/**
 * Is the store well? Owner of the fault that `/readyz` tells. A failure to write makes it; it goes when something was written
 * and flushed again. Nobody may come while `/readyz` says no, so this asks by itself: once per look, for as long as it lasts.
 */
import { toPosternError, type PosternError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Store } from '../store/store.ts';

export interface StoreHealth {
  /** What is wrong; null: nothing is known to be. */
  readonly fault: PosternError | null;
  failed(step: string, error: unknown): void;
  /** Call it about once a second. Resolves to whether the store is well. */
  look(): Promise<boolean>;
}

export function createStoreHealth(store: Pick<Store, 'probe' | 'fault'>, logger: Logger): StoreHealth {
  let fault: PosternError | null = null;

  function failed(step: string, error: unknown): void {
    const known = toPosternError(error);
    // Whoever is refused for what the store knows of itself brings no news, and when that is over, it is over.
    if (store.fault?.()?.message === known.message) return;
    logger.error('the store failed', { step, error: known.message });
    if (known.code !== 'storage_full' && known.code !== 'storage_failed') return;
    if (fault === null) logger.error('the gateway is not ready: its store does not work', { code: known.code });
    fault = known;
  }

  return {
    get fault() {
      return fault ?? store.fault?.() ?? null;
    },
    failed,
    async look() {
      if (fault === null) return (store.fault?.() ?? null) === null;
      try {
        await store.probe();
      } catch (error) {
        failed('probe', error);
        return false;
      }
      fault = null;
      logger.info('the store works again', {});
      return true;
    },
  };
}
