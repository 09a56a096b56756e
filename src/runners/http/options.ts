/** What the HTTP runner is told of its server. */
import type { Clock } from '../../clock.ts';
import type { Logger } from '../../logger.ts';
import type { PathRule } from './rules.ts';

export interface HttpSettings {
  /** `http://<address>:<port>`; the port may be `{port}`. */
  readonly url: string;
  /** How it is started; null: somebody else does. */
  readonly command: { readonly run: readonly string[]; readonly env: Readonly<Record<string, string>> } | null;
  /** Names and values in turn: sent with every request. */
  readonly addHeaders: readonly string[];
  readonly health: { readonly path: string; readonly intervalMs: number; readonly timeoutMs: number };
  readonly connectTimeoutMs: number;
  /** Without a byte of the answer, once it has begun. */
  readonly idleTimeoutMs: number;
  readonly maxConnections: number;
  readonly rules: readonly PathRule[];
}

export interface HttpRunnerOptions {
  readonly settings: HttpSettings;
  /** The version's folder: where the command runs. */
  readonly folder: string;
  /** What its process sees of the worker's environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  /** Ready, or why not. */
  readonly onState: (ready: boolean, reason: string | null) => void;
}
