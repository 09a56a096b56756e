/** One version that has memory on this worker: from the moment in which it begins to load until nothing of it is left. */
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { ModelReport } from '../../protocol/messages.ts';
import type { ModelEntry } from '../served.ts';
import type { ServedModel } from '../served-batch.ts';
import type { LoadedState } from './plan.ts';

export interface SlotOptions {
  readonly entry: ModelEntry;
  readonly model: ServedModel;
  readonly clock: Clock;
  /** How long a drain waits for what runs. */
  readonly drainMs: number;
  /** Rows that are under way for it, assigned and not ended. */
  readonly busyRows: () => number;
}

export class Slot {
  readonly entry: ModelEntry;
  readonly model: ServedModel;
  readonly #options: SlotOptions;
  #isStarted = false;
  #isStopping = false;
  #drain: { readonly resolve: () => void; readonly promise: Promise<void> } | null = null;

  constructor(options: SlotOptions) {
    this.#options = options;
    this.entry = options.entry;
    this.model = options.model;
  }

  get needMb(): number {
    return this.entry.manifest.memory_mb;
  }

  /** Whether its first load is over, one way or another. */
  get isStarted(): boolean {
    return this.#isStarted;
  }

  /** Nothing can be given to it any more. */
  get isStopping(): boolean {
    return this.#isStopping;
  }

  get isDraining(): boolean {
    return this.#drain !== null;
  }

  get state(): LoadedState {
    if (this.#drain) return 'draining';
    return this.#isStarted && this.model.report().state === 'ready' ? 'ready' : 'loading';
  }

  report(): ModelReport {
    return this.#drain ? { ...this.model.report(), state: 'draining' } : this.model.report();
  }

  capacityRows(): number {
    return this.#drain ? 0 : this.model.capacityRows();
  }

  /** Resolves when it is ready, failed, or (what can be tried again) still loading. */
  async start(): Promise<void> {
    await this.model.start();
    this.#isStarted = true;
  }

  /** Accepts nothing more from here on; resolves when nothing runs, or it has waited long enough. */
  drained(): Promise<void> {
    this.#drain ??= Promise.withResolvers<void>();
    const { resolve, promise } = this.#drain;
    const late = this.#options.clock.after(this.#options.drainMs, resolve);
    this.freed();
    return promise.finally(() => late.cancel());
  }

  /** Something of it ended. */
  freed(): void {
    if (this.#options.busyRows() === 0) this.#drain?.resolve();
  }

  /** What had not begun goes back; that costs a job no attempt. */
  stop(): Promise<void> {
    this.#isStopping = true;
    this.#drain?.resolve();
    return this.model.stop(new PosternError('draining', 'this version is no longer loaded here'));
  }
}
