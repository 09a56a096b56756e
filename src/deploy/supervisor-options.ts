/** What a supervisor can be told. */
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { BoundSocket } from './bound-socket.ts';
import type { Front } from './front.ts';
import type { Layout } from './layout.ts';

export interface SupervisorOptions {
  readonly layout: Layout;
  readonly front: Front;
  readonly tunnel: BoundSocket;
  readonly environment: (folder: string) => Readonly<Record<string, string | undefined>>;
  /** For workers and answers of the instance that is replaced. */
  readonly drainMs: number;
  /** How long the instance that was replaced stays ready to serve again. */
  readonly soakMs: number;
  /** The release from whose folder this supervisor runs: it is never removed. null: none. */
  readonly ownRelease: string | null;
  /** What the disk of the releases must have free before a switch; 256 MiB by default. */
  readonly minFreeBytes?: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Until `/readyz` of a new instance says yes: asked every second, 5 s a try. */
export const READY_MS = 30_000;
export const READY_PAUSE_MS = 1_000;
/** An instance that was told to listen does so within milliseconds. */
export const LISTEN_MS = 5_000;
/** A release may need this for its logs, and the store for its own. */
export const MIN_FREE_BYTES = 256 * 1024 * 1024;
/** Restarts of what crashed: 0.2, 0.4 … 10 s. */
export const FIRST_RESTART_MS = 200;
export const LAST_RESTART_MS = 10_000;
/** So many crashes within so long, and the release is given up for the one before it. */
export const MAX_CRASHES = 3;
export const CRASH_WINDOW_MS = 60_000;
/** The instance that serves is asked so often whether it lives; so many times without any answer, and it is ended. */
export const LIVE_PERIOD_MS = 5_000;
export const MAX_SILENT_PROBES = 3;
/** Instances of an earlier supervisor dial five times a second. */
export const ADOPT_MS = 3_000;
/** Idle connections of callers end within 72 s by themselves; then nothing holds an instance. */
export const EMPTY_MS = 80_000;
/** With those that wait for their last connections: each is about 80 MiB. */
export const MAX_INSTANCES = 6;
