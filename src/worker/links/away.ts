/**
 * What becomes of what runs for a gateway that is out of reach. It goes on while others keep its lease, but for an attempt that has put out
 * parts: only its own gateway acks them, so it stands still until that is back. One that is back within seconds goes on with them, as after a
 * restart. Later they are given back, to begin anew elsewhere before the lease is over: all that runs in this session would be lost with it.
 *
 * Owner of: since when a gateway that was lost has not been heard.
 */
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { DEAD_MS } from '../../protocol/limits.ts';
import type { Attempts } from '../attempts.ts';
import type { PartSender } from '../part-sender.ts';
import type { Attempt } from '../ports.ts';

/** A lease is 18 s from when the worker was heard, which may be a ping (5 s) before the loss; this and a look of the links (3 s) is less. */
const PATIENCE_MS = 8_000;

/** How a cancel ends that is carried out meanwhile: it is kept, as any other end. */
export const NOTHING_CAME_OF_IT = {
  type: 'failure',
  error: new PosternError('draining', 'given back while the gateway was away'),
  retryable: true,
} as const;

export interface AwayOptions {
  readonly clock: Clock;
  readonly attempts: Pick<Attempts, 'runningCount' | 'keptCount'>;
  readonly parts: Pick<PartSender, 'streams'>;
}

export interface Away {
  lost(error: PosternError | null): void;
  back(): void;
  /** Something runs, or waits for its ack, and nothing needs the gateway to go on. */
  readonly worksOn: boolean;
  /** Attempts with parts that have stood still for long enough. */
  overdue(): readonly Attempt[];
}

export function createAway({ clock, attempts, parts }: AwayOptions): Away {
  /** Monotonic; null: it is not lost. */
  let unheardSince: number | null = null;

  return {
    lost(error) {
      unheardSince = clock.monotonic() - (error?.code === 'peer_dead' ? DEAD_MS : 0);
    },
    back() {
      unheardSince = null;
    },
    get worksOn() {
      return attempts.runningCount + attempts.keptCount > 0 && parts.streams().length === 0;
    },
    overdue() {
      return unheardSince !== null && clock.monotonic() - unheardSince >= PATIENCE_MS ? parts.streams() : [];
    },
  };
}
