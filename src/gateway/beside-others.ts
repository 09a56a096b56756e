/**
 * What other gateways on the same store do, as far as this one must know: work that arrived there may be run here, what is
 * waited for here may be decided there, and models that workers announced there may be asked for here. Hints of the store make it
 * quick; without them the sweep and the looks find the same within a second.
 */
import type { Clock, Timer } from '../clock.ts';
import type { Store } from '../store/store.ts';
import type { Waiters } from './waiters.ts';

export interface BesideOthersOptions {
  readonly clock: Clock;
  readonly store: Pick<Store, 'onHint'>;
  /** Work of this model may wait. */
  readonly waiting: (model: string) => void;
  readonly waiters: Pick<Waiters, 'told'>;
  /** Looks whether what is waited for is decided. */
  readonly look: () => void;
  /** Reads which models there are. */
  readonly readModels: () => Promise<void>;
  readonly failed: (error: unknown) => void;
}

const MODELS_MS = 2_000;

export function createBesideOthers(options: BesideOthersOptions) {
  const { clock, store, waiting, waiters, look, readModels, failed } = options;
  let endHints: () => void = () => undefined;
  let reading: Timer | null = null;

  return {
    /** Other gateways claim and decide at the same time as this one. */
    isShared: store.onHint !== undefined,
    start(): void {
      if (store.onHint === undefined || reading !== null) return;
      reading = clock.every(MODELS_MS, () => void readModels().catch(failed));
      endHints = store.onHint((hint) => {
        if (hint.type === 'waiting') for (const model of hint.models) waiting(model);
        else if (hint.type === 'decided' && waiters.told(hint.jobs)) look();
      });
    },
    stop(): void {
      reading?.cancel();
      endHints();
    },
  };
}
