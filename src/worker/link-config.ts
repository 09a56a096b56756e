/** What a dialling session can be told, and what it does when it is not. */
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { DATA_CONNECTIONS, DEFAULT_LIMITS, HELLO_TIMEOUT_MS } from '../protocol/limits.ts';
import type { Limits } from '../protocol/limits.ts';
import type { LinkCredentials } from './credentials.ts';
import type { LinkEvents } from './ports.ts';
import type { Spool } from './spool.ts';

export interface WorkerLinkConfig {
  /** TARGET_HOST and TARGET_PORT. */
  readonly host: string;
  readonly port: number;
  /** Name and version of this program, told to the gateway. */
  readonly agent?: string;
  readonly limits?: Limits;
  /** Beside the control connection; 0: payloads travel on the control connection too. */
  readonly dataConnections?: number;
  readonly dialTimeoutMs?: number;
  readonly helloTimeoutMs?: number;
}

export const LINK_DEFAULTS = {
  agent: 'postern',
  limits: DEFAULT_LIMITS,
  dataConnections: DATA_CONNECTIONS,
  dialTimeoutMs: 10_000,
  helloTimeoutMs: HELLO_TIMEOUT_MS,
};

export interface WorkerLinkOptions {
  readonly config: WorkerLinkConfig;
  readonly credentials: LinkCredentials;
  readonly events: LinkEvents;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Numbers in [0, 1): jitter. */
  readonly random: () => number;
  /** Where ends wait for their acks beside the memory. Without one they die with the process. */
  readonly spool?: Spool | null;
}
