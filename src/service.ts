/**
 * One start/stop contract for everything that runs: `start` is idempotent, `stop` is awaitable, stopping twice is
 * fine, and so is stopping what was never started. A stopped service is not started again: make a new one.
 */
export interface Service {
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Wraps a pair of functions so that they honour the contract. `stop` waits for a `start` that is under way. */
export function createService(parts: { start(): Promise<void>; stop(): Promise<void> }): Service {
  let starting: Promise<void> | undefined;
  let stopping: Promise<void> | undefined;
  return {
    start() {
      if (stopping) return Promise.reject(new Error('start after stop: make a new service instead'));
      starting ??= parts.start();
      return starting;
    },
    stop() {
      if (!starting) {
        stopping ??= Promise.resolve();
        return stopping;
      }
      // A failed start still has parts to release, so stop runs whatever start gave.
      stopping ??= starting.then(
        () => parts.stop(),
        () => parts.stop(),
      );
      return stopping;
    },
  };
}
