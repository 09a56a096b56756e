/**
 * Ends on their way to the gateway: sent, kept until acked, spooled to disk meanwhile, and sent again after a reconnect or by
 * the next run of the worker. Owner of what earlier runs left, and of when it is over with those.
 */
import type { Connection } from '../protocol/connection.ts';
import type { Message } from '../protocol/messages.ts';
import { keptOf } from './attempts.ts';
import type { Attempts, Kept } from './attempts.ts';
import type { Attempt, AttemptEnd } from './ports.ts';
import type { Spool } from './spool.ts';

/** A hello names at most so many. What runs before them left is sent too; its fence will mostly be void. */
const MAX_PREVIOUS = 8;

export interface OutboxOptions {
  readonly attempts: Attempts;
  /** This run of the worker. */
  readonly session: string;
  /** null: what is not acked dies with the process. */
  readonly spool: Spool | null;
  /** Sends if there is a connection; returns the data connection that it chose. */
  readonly send: (message: Message, payload: Uint8Array | undefined) => Connection | null;
}

export interface Outbox {
  /** Takes in what earlier runs left. */
  open(): Promise<void>;
  /** Earlier runs with ends that are not acked. */
  previous(): readonly string[];
  end(attempt: Attempt, how: Exclude<AttemptEnd, { type: 'canceled' }>, maxOutputBytes: number): void;
  /** A new connection: everything that is not acked is sent again. */
  resend(): void;
  /** What this data connection carried is sent again. */
  lost(connection: Connection): void;
  /** There is no connection. */
  disconnected(): void;
  acked(attempt: Attempt): void;
  stop(): Promise<void>;
}

export function createOutbox({ attempts, session, spool, send }: OutboxOptions): Outbox {
  /** Unacked ends by earlier run. */
  const earlier = new Map<string, number>();

  function transmit(kept: Kept): void {
    kept.via = send(kept.message, kept.payload);
  }

  return {
    async open() {
      for (const { message, payload } of (await spool?.open()) ?? []) {
        attempts.keep({ message, payload, via: null });
        earlier.set(message.session, (earlier.get(message.session) ?? 0) + 1);
      }
    },
    previous: () => [...earlier.keys()].slice(-MAX_PREVIOUS),
    end(attempt, how, maxOutputBytes) {
      const kept = keptOf(attempt, how, maxOutputBytes);
      attempts.keep(kept);
      transmit(kept);
      spool?.add({ message: { ...kept.message, session }, payload: kept.payload });
    },
    resend() {
      for (const kept of attempts.kept()) transmit(kept);
    },
    lost(connection) {
      for (const kept of attempts.kept()) if (kept.via === connection) transmit(kept);
    },
    disconnected() {
      spool?.hurry();
    },
    acked(attempt) {
      const kept = attempts.forget(attempt);
      if (kept === undefined) return;
      spool?.forget(attempt.job, attempt.attempt);
      const of = kept.message.session;
      if (of === undefined) return;
      const left = (earlier.get(of) ?? 1) - 1;
      earlier.set(of, left);
      if (left > 0) return;
      earlier.delete(of);
      // Lost with the connection, it is as good as said: the lease of that run ends by itself.
      send({ type: 'gone', session: of }, undefined);
    },
    async stop() {
      await spool?.stop();
    },
  };
}
