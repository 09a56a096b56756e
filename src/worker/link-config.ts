/** What the link to one gateway can be told, and what it does when it is not. */
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { DATA_CONNECTIONS, DEFAULT_LIMITS, HELLO_TIMEOUT_MS } from '../protocol/limits.ts';
import type { Limits } from '../protocol/limits.ts';
import type { LinkCredentials } from './credentials.ts';
import type { ByteBudget } from '../protocol/budget.ts';
import type { MessageOf, ModelReport, StoredVersion } from '../protocol/messages.ts';
import type { Service } from '../service.ts';
import type { KeptTotals } from './attempts.ts';
import type { Held, KeptLink } from './links/keeping.ts';
import type { Leftovers } from './links/leftovers.ts';
import type { LinkCredit } from './links/pool.ts';
import type { Attempt, LinkEvents, WorkerLink } from './ports.ts';
import type { Spool } from './spool.ts';
import type { Target } from './targets.ts';

/** The same for every link of a worker. */
export interface LinkSettings {
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

/** What a link tells of itself, beside the work that it brings. */
export interface GatewayLinkEvents extends LinkEvents {
  /** Before anything is sent to it. */
  onConnected(gateway: string, worker: string): void;
  onLost(): void;
  /** Which gateways there are, as this one sees it. */
  onGateways(gateways: MessageOf<'gateways'>['gateways']): void;
}

export interface GatewayLinkOptions {
  readonly target: Target;
  readonly settings: LinkSettings;
  readonly credentials: LinkCredentials;
  readonly events: GatewayLinkEvents;
  /** Its credit. `wake`: to be called when something is due that this link did nothing for. */
  readonly openCredit: (wake: () => void) => LinkCredit;
  /** Ends of sessions that are over, which any link may deliver. */
  readonly leftovers: Leftovers;
  /** For the next hello: sessions that may still have ends to deliver, and the gateways that other links are connected to. */
  readonly introduction: () => { readonly previous: readonly string[]; readonly linked: readonly string[] };
  /** Does this attempt run for the gateway of another link? */
  readonly isElsewhere: (attempt: Attempt) => boolean;
  /** When all drain, and its own gateway wants nothing more: may it go, or may another link need it to deliver its ends? */
  readonly mayLeave: () => boolean;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Numbers in [0, 1): jitter. */
  readonly random: () => number;
  /** Shared by all connections of all links. */
  readonly budget: ByteBudget;
  /** Shared by all links. */
  readonly kept: KeptTotals;
  /** Where ends wait for their acks beside the memory. null: they die with the process. */
  readonly spool: Spool | null;
}

export interface GatewayLink
  extends Service, KeptLink, Pick<WorkerLink, 'progress' | 'partial' | 'end' | 'drain' | 'state' | 'roundTripMs'> {
  announce(models: readonly ModelReport[], stored: readonly StoredVersion[]): void;
  /** Nothing runs here, and nothing waits for an ack. */
  readonly idle: boolean;
  /** Its gateway has been out of reach for so long that attempts which wait for it are better begun anew elsewhere. */
  giveBackStreams(): void;
  /** Has its gateway keep the lease of that session. */
  keep(session: string, held: Held | null): void;
  /** While it is not connected: another link may deliver what ended here, and what will. */
  handOver(): void;
  /** Dials no more. Resolves when what runs has ended and was handed over. */
  retire(): Promise<void>;
}
