/**
 * How the rows that a worker takes of one version are shared out among the gateways that it is linked to. Pure.
 *
 * All get the same, and the remainder goes to the first in a rendezvous order (the gateways sorted by a hash of worker, version
 * and gateway): workers that count alone come to different orders, so that no gateway is everybody's last, and one that comes or goes
 * leaves the order of the others as it was. Where there is not enough for all, only the first get something: a share
 * below `minRows` would be of no use to a job with that many, at any gateway.
 */

export interface ShareOptions {
  /** What the worker takes in all. */
  readonly rows: number;
  /** The rows of the largest job that may come; 1 where every job is one row. */
  readonly minRows: number;
  /** Name of the worker: it makes the orders of workers different. */
  readonly worker: string;
  /** `model@version`. */
  readonly offer: string;
  /** Names of the gateways, each once. */
  readonly gateways: readonly string[];
}

/** The rows of each gateway, in the order of `gateways`. They add up to `rows` unless there is no gateway. */
export function shareRows({ rows, minRows, worker, offer, gateways }: ShareOptions): number[] {
  const shares = gateways.map(() => 0);
  // With a share for each that is large enough, or fewer and larger ones; whatever happens one gets all there is.
  const count = Math.min(gateways.length, Math.max(1, Math.floor(rows / Math.max(1, minRows))));
  if (count === 0) return shares;
  const [each, rest] = [Math.floor(rows / count), rows % count];
  const order = rendezvousOrder(`${worker}\n${offer}`, gateways);
  for (const [place, index] of order.slice(0, count).entries()) shares[index] = each + (place < rest ? 1 : 0);
  return shares;
}

/** Indices of `names`, the best first. */
function rendezvousOrder(key: string, names: readonly string[]): number[] {
  const weights = names.map((name) => hash(`${key}\n${name}`));
  return names.map((_, index) => index).sort((a, b) => weights[b]! - weights[a]! || (names[a]! < names[b]! ? -1 : 1));
}

/** FNV-1a over UTF-16 units, then the finishing steps of MurmurHash3: FNV alone leaves texts that differ in their end close together. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
