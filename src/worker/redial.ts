/**
 * Owner of the dialling loop: connect, stay until the connection is gone, wait, connect again; until stopped. It never gives
 * up, whatever the reason was, because networks, gateways and certificates come back.
 */
import type { Clock } from '../clock.ts';
import type { PosternError } from '../errors.ts';
import { createBackoff } from './backoff.ts';

/** A connection that lasted this long was stable: the next loss begins with the quick tries again. */
const STABLE_MS = 60_000;
/** A gateway that lets its workers go to another release is no link that fails: also several times a minute. */
const HANDED_OVER_MS = 1_000;
/** The gateway answered and said no: hurrying back cannot help. */
const REFUSALS: ReadonlySet<string> = new Set([
  'handshake_refused',
  'superseded',
  'version_mismatch',
  'worker_locked',
  'worker_revoked',
]);

export interface Redial {
  /** Resolves after `stop`, when the last connection is gone. */
  run(): Promise<void>;
  /** Something changed: a wait or a dial under way ends now, and the quick tries come first. */
  hurry(): void;
  stop(): void;
}

export interface RedialOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /**
   * Connects, and resolves when that failed or the connection is gone: why (null after an orderly close), and for how long
   * it was connected.
   */
  readonly connect: (
    signal: AbortSignal,
  ) => Promise<{ readonly error: PosternError | null; readonly connectedMs: number }>;
  /** Before the wait. */
  readonly onGone: (error: PosternError | null, delayMs: number) => void;
}

export function createRedial({ clock, random, connect, onGone }: RedialOptions): Redial {
  const backoff = createBackoff(random);
  const stopping = new AbortController();
  let dialing = new AbortController();
  let wake: () => void = () => undefined;

  function pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = clock.after(delayMs, resolve);
      wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  return {
    async run() {
      while (!stopping.signal.aborted) {
        dialing = new AbortController();
        const { error, connectedMs } = await connect(dialing.signal);
        if (stopping.signal.aborted) return;
        const isHandedOver = error === null || error.code === 'draining';
        if (connectedMs >= (isHandedOver ? HANDED_OVER_MS : STABLE_MS)) backoff.reset();
        if (error && REFUSALS.has(error.code)) backoff.discourage();
        const delayMs = backoff.next();
        onGone(error, delayMs);
        await pause(delayMs);
      }
    },
    hurry() {
      backoff.reset();
      dialing.abort();
      wake();
    },
    stop() {
      stopping.abort();
      dialing.abort();
      wake();
    },
  };
}
