/**
 * The data connections of one session: they carry payloads that are too large to travel in their message, so that a lost
 * packet holds up one of them and not the control messages.
 *
 * They are opened one after another, and only once a large payload was seen: an idle worker then costs its gateway one
 * TLS connection instead of four. One that dies is opened again, until `close`.
 */
import type { Clock, Timer } from '../clock.ts';
import type { Connection } from '../protocol/connection.ts';
import type { Backoff } from './backoff.ts';

export interface DataConnections {
  /** A large payload was seen: open them, unless that was begun before. */
  want(): void;
  /** The one with the shortest queue; null while there is none. */
  pick(): Connection | null;
  /** For good: the control connection is gone. */
  close(): void;
}

export interface DataConnectionsOptions {
  readonly count: number;
  readonly clock: Clock;
  readonly backoff: Backoff;
  /** Dials one. Calls `onReady` in the step in which it was welcomed, and `onGone` once when it closed after that. */
  open(
    signal: AbortSignal,
    onReady: (connection: Connection) => void,
    onGone: (connection: Connection) => void,
  ): Promise<unknown>;
  /** What it carried may not have arrived. */
  onLost(connection: Connection): void;
}

export function createDataConnections(options: DataConnectionsOptions): DataConnections {
  const live = new Set<Connection>();
  const closing = new AbortController();
  let wanted = false;
  let opening = false;
  let retry: Timer | undefined;

  function openNext(): void {
    if (!wanted || opening || retry || closing.signal.aborted || live.size >= options.count) return;
    opening = true;
    options.open(closing.signal, onReady, onGone).then(
      () => {
        opening = false;
        openNext();
      },
      () => {
        opening = false;
        tryLater();
      },
    );
  }

  function tryLater(): void {
    if (closing.signal.aborted) return;
    retry = options.clock.after(options.backoff.next(), () => {
      retry = undefined;
      openNext();
    });
  }

  function onReady(connection: Connection): void {
    if (closing.signal.aborted) connection.destroy();
    else live.add(connection);
  }

  function onGone(connection: Connection): void {
    if (!live.delete(connection) || closing.signal.aborted) return;
    options.onLost(connection);
    // Not at once, even after a long good time: what killed this one may kill the next.
    if (!retry) tryLater();
  }

  return {
    want() {
      if (wanted) return;
      wanted = true;
      openNext();
    },
    pick() {
      let best: Connection | null = null;
      for (const connection of live) {
        if (best === null || connection.queuedBytes < best.queuedBytes) best = connection;
      }
      return best;
    },
    close() {
      closing.abort();
      retry?.cancel();
      for (const connection of live) connection.destroy();
      live.clear();
    },
  };
}
