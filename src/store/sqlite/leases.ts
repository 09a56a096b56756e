/**
 * Until when sessions hold their attempts. One lease per session, on this process's monotonic clock and in its memory: a
 * heartbeat costs no write, and a wall clock that jumps reclaims nothing. What a restart forgets it gives back in full: each
 * session that holds something gets a whole new lease, in which its worker can come back.
 *
 * A process without the role (an old release that drains) writes its sessions' heartbeats to the table `beat` now and then,
 * as a number that grows; the one with the role starts a lease anew whenever it sees another number. So no two
 * processes ever compare their clocks.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { SessionId } from '../../dispatch/job.ts';

export type Leases = ReturnType<typeof createLeases>;

/** Beats are written this many times in a lease, and counted as late as that. */
const BEATS_PER_LEASE = 6;

export function createLeases(db: DatabaseSync, leaseMs: number) {
  const beatMs = leaseMs / BEATS_PER_LEASE;
  const until = new Map<SessionId, number>();
  const seenBeats = new Map<SessionId, number>();
  const wroteAt = new Map<SessionId, number>();
  const holding = db.prepare("SELECT DISTINCT session FROM job WHERE status = 'processing'");
  const writeBeat = db.prepare('INSERT INTO beat VALUES (?, 1) ON CONFLICT (session) DO UPDATE SET count = count + 1');
  const readBeats = db.prepare('SELECT session, count FROM beat');
  const dropBeat = db.prepare('DELETE FROM beat WHERE session = ?');

  /** Forgotten when this transaction is committed. One that is rolled back leaves them with all that they held. */
  const empty = new Set<SessionId>();

  function extend(session: SessionId, endMs: number): void {
    empty.delete(session);
    until.set(session, Math.max(until.get(session) ?? 0, endMs));
  }

  return {
    extend,
    /**
     * Its lease is over now. It is not forgotten before a sweep has seen that it holds nothing: the transaction that takes back
     * what it held may fail, and then the next sweep does it.
     */
    end(session: SessionId): void {
      until.set(session, -Infinity);
    },
    /** It holds nothing, as this transaction sees it. */
    forget(session: SessionId): void {
      empty.add(session);
      dropBeat.run(session);
    },
    committed(): void {
      for (const session of empty) {
        until.delete(session);
        seenBeats.delete(session);
        wroteAt.delete(session);
      }
      empty.clear();
    },
    rolledBack(): void {
      empty.clear();
    },
    /** A whole lease for everybody who holds something. */
    renewAll(monotonicMs: number): void {
      for (const { session } of holding.all() as { session: string }[]) extend(session, monotonicMs + leaseMs);
    },
    /** Without the role: for the process that has it. */
    writeBeat(session: SessionId, monotonicMs: number): void {
      if (monotonicMs < (wroteAt.get(session) ?? -Infinity) + beatMs) return;
      wroteAt.set(session, monotonicMs);
      writeBeat.run(session);
    },
    /** With the role: what the others wrote. */
    readBeats(monotonicMs: number): void {
      for (const { session, count } of readBeats.all() as { session: string; count: number }[]) {
        if (seenBeats.get(session) === count) continue;
        seenBeats.set(session, count);
        extend(session, monotonicMs + leaseMs + beatMs);
      }
    },
    /** Sessions whose lease is over, the order does not matter. */
    ended: (monotonicMs: number): SessionId[] =>
      [...until].filter(([, endMs]) => endMs <= monotonicMs).map(([session]) => session),
  };
}
