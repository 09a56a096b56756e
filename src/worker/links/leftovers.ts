/**
 * Ends that do not belong to the session that delivers them: of earlier runs of the worker, and of links whose gateway cannot be
 * reached. Any link may deliver them, because whether an end still counts is decided by its fence, and the records are shared by
 * all gateways of a cluster. Owner of which link does: one at a time, and another one when that is lost.
 */
import type { Clock } from '../../clock.ts';
import type { Connection } from '../../protocol/connection.ts';
import type { Message } from '../../protocol/messages.ts';
import { Attempts } from '../attempts.ts';
import type { Kept, KeptTotals } from '../attempts.ts';
import { createOutbox } from '../outbox.ts';
import type { Attempt } from '../ports.ts';
import type { Spool } from '../spool.ts';

/** A link that is connected. */
export interface Carrier {
  /** Returns the data connection that it chose. */
  send(message: Message, payload: Uint8Array | undefined): Connection | null;
}

export interface Leftovers {
  /** Takes in what earlier runs left. */
  open(): Promise<void>;
  /** Writes the rest. */
  stop(): Promise<void>;
  /** Earlier runs with ends that are not acked. */
  previous(): readonly string[];
  /** Is there a link that could deliver? */
  readonly hasCarrier: boolean;
  /** Nothing waits for an ack. */
  readonly isEmpty: boolean;
  attach(carrier: Carrier): void;
  detach(carrier: Carrier): void;
  /** A data connection died: what it carried is sent again. */
  lost(connection: Connection): void;
  acked(attempt: Attempt): void;
  /** How many wait for an ack that comes to this link, or to none. */
  pendingAt(carrier: Carrier): number;
  /** Of that session: what waits for an ack here. */
  heldOf(session: string): [string, number][];
  /** Ends of a link that has lost its gateway. */
  take(session: string, ends: readonly Kept[]): void;
  /** The link is back: it delivers its own ends. */
  giveBack(session: string): Kept[];
}

export interface LeftoversOptions {
  readonly spool: Spool | null;
  readonly clock: Clock;
  readonly kept: KeptTotals;
  /** The last one was acked. Links may have waited for it that did not deliver it. */
  readonly onEmpty: () => void;
}

export function createLeftovers({ spool, clock, kept: totals, onEmpty }: LeftoversOptions): Leftovers {
  const attempts = new Attempts(totals);
  /** The first one delivers. */
  const carriers = new Set<Carrier>();
  // All that is kept here names its session.
  const outbox = createOutbox({ attempts, session: '', spool, clock, send });

  function current(): Carrier | null {
    for (const carrier of carriers) return carrier;
    return null;
  }

  function send(message: Message, payload: Uint8Array | undefined): Connection | null {
    if (message.type !== 'gone') return current()?.send(message, payload) ?? null;
    // Each gateway may have kept attempts for that run.
    for (const carrier of carriers) carrier.send(message, payload);
    return null;
  }

  return {
    open: () => outbox.open(),
    stop: () => outbox.stop(),
    previous: () => outbox.previous(),
    get hasCarrier() {
      return carriers.size > 0;
    },
    get isEmpty() {
      return attempts.keptCount === 0;
    },
    attach(carrier) {
      carriers.add(carrier);
      if (carriers.size === 1) outbox.resend();
    },
    detach(carrier) {
      const wasCurrent = current() === carrier;
      if (!carriers.delete(carrier) || !wasCurrent) return;
      if (carriers.size > 0) outbox.resend();
      else outbox.disconnected();
    },
    lost: (connection) => outbox.lost(connection),
    acked(attempt) {
      if (outbox.acked(attempt) && attempts.keptCount === 0) onEmpty();
    },
    pendingAt: (carrier) => (current() === carrier || carriers.size === 0 ? attempts.keptCount : 0),
    heldOf(session) {
      const ends = [...attempts.kept()].filter(({ message }) => message.session === session);
      return ends.map(({ message }) => [message.job, message.attempt]);
    },
    take(session, ends) {
      for (const kept of ends) kept.message = { ...kept.message, session };
      outbox.take(ends);
      if (carriers.size === 0) outbox.disconnected();
    },
    giveBack(session) {
      const ends = outbox.handOut(({ message }) => message.session === session);
      for (const kept of ends) {
        const { session: _, ...message } = kept.message;
        kept.message = message;
      }
      return ends;
    },
  };
}
