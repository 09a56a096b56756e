/**
 * For which sessions other gateways are to keep the leases, and which of them are asked. A worker does not wait until a link counts as lost: that
 * takes up to DEAD_MS (15 s), and by then a lease of 18 s may be over that its gateway told the records of only once in PING_MS (5 s).
 */
import { MAX_GATEWAYS, PING_MS } from '../../protocol/limits.ts';

/** A gateway that is well is heard more often: it pings once in PING_MS, and answers the worker's pings. A lease has 12 s left at least when it dies. */
const SILENT_MS = PING_MS + 1_000;
/** Should one of them be cut from the records. */
const KEEPERS = 2;

export interface KeptLink {
  readonly session: string;
  /** Something runs for its gateway, or waits for its ack, and can go on without it. */
  readonly worksOn: boolean;
  /** It is connected, and its gateway can keep leases of sessions with others. */
  readonly mayKeep: boolean;
  /** When its gateway was last heard; -Infinity: it is not connected. */
  heardAt(): number;
}

export interface KeepPlan<Link> {
  readonly sessions: readonly string[];
  /** Those that were heard last: another one may have died in the same moment, and nobody knows it yet. */
  readonly keepers: readonly Link[];
}

export function planKeep<Link extends KeptLink>(links: readonly Link[], now: number): KeepPlan<Link> {
  const sessions = links.filter((link) => link.worksOn && isAway(link, now)).map(({ session }) => session);
  const askable = links.filter((link) => link.mayKeep && !isAway(link, now));
  askable.sort((a, b) => b.heardAt() - a.heardAt());
  return { sessions: sessions.slice(0, MAX_GATEWAYS), keepers: askable.slice(0, KEEPERS) };
}

/** Nothing was heard of its gateway for longer than one that is well is silent. */
export const isAway = (link: Pick<KeptLink, 'heardAt'>, now: number): boolean => now - link.heardAt() > SILENT_MS;
