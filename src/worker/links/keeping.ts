/**
 * For which sessions other gateways are to keep the leases, and which of them are asked. A worker does not wait until a link counts as lost: that
 * takes up to DEAD_MS (15 s), and by then a lease of 18 s may be over that its gateway told the records of only once in PING_MS (5 s).
 */
import { MAX_GATEWAYS, MAX_HELD, PING_MS } from '../../protocol/limits.ts';
import type { MessageOf } from '../../protocol/messages.ts';

/** A gateway that is well is heard more often: it pings once in PING_MS, and answers the worker's pings. A lease has 12 s left at least when it dies. */
const SILENT_MS = PING_MS + 1_000;
/** Should one of them be cut from the records. */
const KEEPERS = 2;

/** Jobs and attempts. */
export type Held = readonly [string, number][];

export interface KeptLink {
  readonly session: string;
  /** All that the worker holds for it, once its connection is gone; null: something may be on its way still. */
  held(): Held | null;
  /** Something runs for its gateway, or waits for its ack, and can go on without it. */
  readonly worksOn: boolean;
  /** It is connected, and its gateway can keep leases of sessions with others. */
  readonly mayKeep: boolean;
  /** When its gateway was last heard; -Infinity: it is not connected. */
  heardAt(): number;
}

export interface KeepPlan<Link> {
  /** Whose sessions are to be kept. */
  readonly away: readonly Link[];
  /** Those that were heard last: another one may have died in the same moment, and nobody knows it yet. */
  readonly keepers: readonly Link[];
}

export function planKeep<Link extends KeptLink>(links: readonly Link[], now: number): KeepPlan<Link> {
  const away = links.filter((link) => link.worksOn && isAway(link, now));
  const askable = links.filter((link) => link.mayKeep && !isAway(link, now));
  askable.sort((a, b) => b.heardAt() - a.heardAt());
  return { away: away.slice(0, MAX_GATEWAYS), keepers: askable.slice(0, KEEPERS) };
}

/** Nothing was heard of its gateway for longer than one that is well is silent. */
export const isAway = (link: Pick<KeptLink, 'heardAt'>, now: number): boolean => now - link.heardAt() > SILENT_MS;

export function keepMessage(session: string, held: Held | null): MessageOf<'keep'> {
  // One that named too few would have the others given back.
  const isWhole = held !== null && held.length <= MAX_HELD;
  return { type: 'keep', session, ...(isWhole ? { attempts: [...held] } : {}) };
}
