/**
 * The first moments of a gateway that took the place of another: its workers are on their way over. What would be refused for want
 * of one waits a little, where no worker was lost and nobody did anything wrong.
 */
import type { Clock, Timer } from '../clock.ts';

/** A worker dials again within 0.3 s, and after a try that failed within some seconds. */
const SETTLE_MS = 10_000;
/** Each is a request whose body has not been read yet. */
const MAX_WAITING = 1_000;

export interface SettlingOptions {
  readonly clock: Clock;
  /** Does a worker serve this model now? */
  readonly isServed: (model: string) => boolean;
}

export function createSettling({ clock, isServed }: SettlingOptions) {
  const waiting = new Set<{ readonly model: string; readonly resolve: () => void }>();
  let timer: Timer | null = null;

  function end(): void {
    timer?.cancel();
    timer = null;
    for (const { resolve } of waiting) resolve();
    waiting.clear();
  }

  return {
    begin(): void {
      timer ??= clock.after(SETTLE_MS, end);
    },
    /** Resolves when the model is served, or the time is over. null: there is nothing to wait for. */
    wait(model: string): Promise<void> | null {
      if (timer === null || waiting.size >= MAX_WAITING || isServed(model)) return null;
      return new Promise((resolve) => waiting.add({ model, resolve }));
    },
    /** Some worker came, or serves something else. */
    changed(): void {
      for (const one of waiting) {
        if (!isServed(one.model)) continue;
        waiting.delete(one);
        one.resolve();
      }
    },
    end,
  };
}

export type Settling = ReturnType<typeof createSettling>;
