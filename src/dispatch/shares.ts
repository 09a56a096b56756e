/**
 * Takes rows apart by the weights of a model's versions: smooth weighted round-robin over what was given before. The version
 * with the largest weight is the main one. No other is ever given more than its share, however long callers wait: a share of
 * 10 % is a promise about how many see a new version. The main one takes what the others have no room for.
 *
 * Pure, and in memory only: after a restart the count begins anew. Each gateway keeps its own, and so the sum is right too.
 */

/** What was given is halved beyond this, so that a version which was away is not paid back for hours. */
const MEMORY_ROWS = 1_000;

export interface Shares {
  readonly weights: ReadonlyMap<string, number>;
  /** How many of `rows` each version is to get. `room`: what each that is there can take; the others do not take part. */
  split(rows: number, room: ReadonlyMap<string, number>): ReadonlyMap<string, number>;
  /** So many rows were asked for on its account; negative: they were not there after all. */
  count(version: string, rows: number): void;
}

export function createShares(weights: ReadonlyMap<string, number>): Shares {
  const given = new Map<string, number>();

  return {
    weights,
    count(version, rows) {
      given.set(version, Math.max(0, (given.get(version) ?? 0) + rows));
      let sum = 0;
      for (const one of given.values()) sum += one;
      if (sum > MEMORY_ROWS) for (const [name, one] of given) given.set(name, one / 2);
    },
    split(rows, room) {
      const open = [...room.keys()].map((version) => ({
        version,
        weight: weights.get(version) ?? 0,
        before: given.get(version) ?? 0,
        got: 0,
        left: room.get(version) ?? 0,
      }));
      const sum = open.reduce((all, { weight }) => all + weight, 0);
      const [main] = open.toSorted((a, b) => b.weight - a.weight);
      const waiting = new Set(open);
      let total = open.reduce((all, { before }) => all + before, 0);
      for (let left = rows; left > 0 && main !== undefined && sum > 0;) {
        let next = main;
        let most = -Infinity;
        for (const one of waiting) {
          const behind = (one.weight / sum) * (total + 1) - one.before - one.got;
          if (behind <= most) continue;
          next = one;
          most = behind;
        }
        if (next.left === 0) {
          // It is its turn and it cannot: the main version is waited for, for any other it steps in.
          if (next === main || !waiting.delete(next)) break;
          continue;
        }
        next.got += 1;
        next.left -= 1;
        total += 1;
        left -= 1;
      }
      return new Map(open.map(({ version, got }) => [version, got]));
    },
  };
}
