/**
 * Regions, distances, and connections between a worker and a gateway. Owner of: what is cut off from what. A connection that was cut
 * carries nothing any more; each end finds out from the silence, as the protocol's deadlines say.
 */
import { DEAD_MS, PING_MS } from '../../../src/protocol/limits.ts';
import { Tally } from './measures.ts';
import type { Timeline } from './timeline.ts';

/** Of a process somewhere. `isUp`: it lives, and its region is not cut off. */
export interface Place {
  readonly region: number;
  isUp: boolean;
}

export type Side = 'worker' | 'gateway';

export interface Connection {
  readonly worker: Place;
  readonly gateway: Place;
  readonly oneWayMs: number;
  /** TLS connections: the control connection, and data connections. */
  tlsCount: number;
  isAlive: boolean;
  /** By the worker, before it was cut. */
  heardAtMs: number;
  readonly onLost: Record<Side, (orderly: boolean) => void>;
}

export type Network = ReturnType<typeof createNetwork>;

export function createNetwork(timeline: Timeline) {
  const sent = new Tally();
  const open = new Set<Connection>();

  return {
    sent,
    open,
    connect(worker: Place, gateway: Place, oneWayMs: number, onLost: Connection['onLost']): Connection {
      const connection = { worker, gateway, oneWayMs, tlsCount: 1, isAlive: true, heardAtMs: Infinity, onLost };
      open.add(connection);
      return connection;
    },
    send(connection: Connection, kind: string, deliver: () => void): void {
      sent.add(kind);
      if (!connection.isAlive) return;
      timeline.after(connection.oneWayMs, () => {
        if (connection.isAlive) deliver();
      });
    },
    /** One side ends it: the other one hears of it after what was sent before. */
    close(connection: Connection, by: Side, orderly: boolean): void {
      if (!open.delete(connection)) return;
      const other: Side = by === 'worker' ? 'gateway' : 'worker';
      timeline.after(connection.oneWayMs, () => {
        if (!connection.isAlive) return;
        connection.isAlive = false;
        connection.onLost[other](orderly);
      });
    },
    /** Everything that touches one of these is cut, without a word. */
    cut(isCut: (connection: Connection) => boolean): number {
      let count = 0;
      for (const connection of open) {
        if (!isCut(connection)) continue;
        count += 1;
        open.delete(connection);
        connection.isAlive = false;
        for (const side of ['worker', 'gateway'] as const) {
          // It last heard the other one up to a ping ago.
          const silentMs = timeline.random.next() * PING_MS;
          if (side === 'worker') connection.heardAtMs = timeline.nowMs - silentMs;
          timeline.after(DEAD_MS - silentMs, () => connection.onLost[side](false));
        }
      }
      return count;
    },
    /** A process ended and its machine lives: the system says so at once. */
    reset(isReset: (connection: Connection) => boolean): void {
      for (const connection of open) {
        if (!isReset(connection)) continue;
        open.delete(connection);
        connection.isAlive = false;
        timeline.after(connection.oneWayMs, () => connection.onLost.worker(false));
      }
    },
  };
}
