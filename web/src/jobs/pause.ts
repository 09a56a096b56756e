/** Waiting in a browser: for a while, or until there is a network, or until nobody wants it any more. */

/** Resolves after that time, or at once when the network comes back. Rejects when the signal says so. */
export function pause(delay_ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (end: () => void): void => {
      clearTimeout(timer);
      removeEventListener('online', back);
      signal.removeEventListener('abort', abort);
      end();
    };
    const back = (): void => finish(resolve);
    const abort = (): void => finish(() => reject(signal.reason as Error));
    const timer = setTimeout(back, delay_ms);
    addEventListener('online', back);
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
  });
}

/** Full jitter between a quarter and the whole of first · 2ⁿ, at most a minute. */
export function backOff(failures: number, first_ms = 1_000): number {
  const most_ms = Math.min(60_000, first_ms * 2 ** Math.min(failures, 10));
  return most_ms * (0.25 + 0.75 * Math.random());
}
