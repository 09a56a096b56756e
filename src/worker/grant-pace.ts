/**
 * When the rows of ended HTTP exchanges are granted again. While the gateway has plenty, one grant for all that ended within
 * some ms does: a message for each of them would cost a write, a record of TLS and a read, as much as the exchange's answer.
 */
import type { Clock, Timer } from '../clock.ts';

/** Far below what a caller notices, and hundreds of exchanges long where it matters. */
const GRANT_DELAY_MS = 2;

export interface GrantPace {
  /** Flushes soon, once for all who ask meanwhile. */
  later(): void;
  stop(): void;
}

export function createGrantPace(clock: Clock, flush: () => void): GrantPace {
  let timer: Timer | undefined;
  return {
    later() {
      timer ??= clock.after(GRANT_DELAY_MS, () => {
        timer = undefined;
        flush();
      });
    },
    stop: () => timer?.cancel(),
  };
}
