/**
 * How a link leaves when its owner drains: it tells its gateway, which answers `drained` when it wants nothing more of it. Then it
 * goes, but not while another link may still need it to deliver what ended there, and not later than the deadline.
 *
 * Owner of: whether the link drains, until when, and whether its gateway has answered in this connection.
 */
import type { Clock, Timer } from '../clock.ts';
import type { Message } from '../protocol/messages.ts';

export interface LeavingOptions {
  readonly clock: Clock;
  /** To the gateway, if there is one. */
  readonly send: (message: Message) => void;
  /** Does nothing and nobody need this link any more? Of a connected one: nobody else. */
  readonly isFree: (isConnected: boolean) => boolean;
  /** Stops the link. */
  readonly leave: () => Promise<void>;
}

export interface Leaving {
  /** Does the link drain? */
  readonly isBegun: boolean;
  /** Resolves when the link has stopped. The first deadline counts. */
  begin(deadlineMs: number): Promise<void>;
  /** Tells the gateway of this connection. */
  tell(): void;
  /** The gateway wants nothing more. False: nobody asked it. */
  answered(): boolean;
  /** The connection is gone, and the answer with it. */
  lost(): void;
  /** Leaves if it may by now. */
  look(isConnected: boolean): void;
  stop(): void;
}

export function createLeaving({ clock, send, isFree, leave }: LeavingOptions): Leaving {
  let begun: { readonly left: PromiseWithResolvers<void>; readonly deadlineAt: number; readonly timer: Timer } | null =
    null;
  let isAnswered = false;

  function go(): void {
    if (begun) void leave().then(begun.left.resolve, begun.left.reject);
  }

  function tell(): void {
    if (!begun) return;
    const deadlineMs = Math.max(0, begun.deadlineAt - clock.monotonic());
    send({ type: 'drain', deadlineMs, reason: 'the worker drains' });
  }

  return {
    get isBegun() {
      return begun !== null;
    },
    begin(deadlineMs) {
      if (begun) return begun.left.promise;
      const timer = clock.after(deadlineMs, go);
      begun = { left: Promise.withResolvers<void>(), deadlineAt: clock.monotonic() + deadlineMs, timer };
      tell();
      return begun.left.promise;
    },
    tell,
    answered() {
      isAnswered = begun !== null;
      return isAnswered;
    },
    lost() {
      isAnswered = false;
    },
    look(isConnected) {
      if (begun && (isAnswered || !isConnected) && isFree(isConnected)) go();
    },
    stop: () => begun?.timer.cancel(),
  };
}
