/**
 * What becomes of the ends of a link that has lost its gateway: it delivers them itself when it is back in a moment, as after most
 * losses. Later any other link may, because the leases of what that gateway assigned run.
 */
import type { Clock, Timer } from '../../clock.ts';
import type { Logger } from '../../logger.ts';
import type { Outbox } from '../outbox.ts';
import type { Leftovers } from './leftovers.ts';

const PATIENCE_MS = 1_000;

export interface HandOverOptions {
  readonly session: string;
  readonly outbox: Outbox;
  readonly leftovers: Leftovers;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The address of the gateway, for the log. */
  readonly where: string;
  /** Some went. */
  readonly onGone: () => void;
}

export interface HandOver {
  lost(): void;
  /** It is back, and has its ends again; it is to send them. */
  back(): void;
  /** Hands over what there is, if it has been lost for long enough and another link is connected. */
  try(): void;
  stop(): void;
}

export function createHandOver(options: HandOverOptions): HandOver {
  const { session, outbox, leftovers, clock, logger, where, onGone } = options;
  let waiting: Timer | undefined;
  let isLost = false;

  function tryNow(): void {
    if (!isLost || !leftovers.hasCarrier) return;
    const ends = outbox.handOut(() => true);
    if (ends.length === 0) return;
    logger.info('ends are delivered by another gateway', { target: where, count: ends.length });
    leftovers.take(session, ends);
    onGone();
  }

  return {
    lost() {
      waiting = clock.after(PATIENCE_MS, () => {
        isLost = true;
        tryNow();
      });
    },
    back() {
      waiting?.cancel();
      isLost = false;
      outbox.keep(leftovers.giveBack(session));
    },
    try: tryNow,
    stop: () => waiting?.cancel(),
  };
}
