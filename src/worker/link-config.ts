/** What a dialling session can be told, and what it does when it is not. */
import { DATA_CONNECTIONS, DEFAULT_LIMITS, HELLO_TIMEOUT_MS } from '../protocol/limits.ts';
import type { Limits } from '../protocol/limits.ts';

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
