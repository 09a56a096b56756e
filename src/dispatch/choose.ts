/**
 * Which sessions ask for how much of a model's waiting work. Most free credit share first: a worker that is half idle comes
 * before one that is nearly full, whatever their sizes; ties are drawn, so that equal workers wear equally.
 */
import type { Credit } from './credits.ts';

/** What takes part: something with credit, and a place to write what it shall ask for. */
export interface Candidate {
  readonly credit: Credit;
  /** Rows that it may be sent now: its free credit, or less where something limits it. */
  roomRows: number;
  askRows: number;
}

/** Large demands are dealt in up to this many rounds per candidate; one row at a time would be quadratic in nothing gained. */
const ROUNDS = 8;

/** Deals `rows` to the candidates by writing their `askRows`; returns what is left when all are full. */
export function deal(candidates: readonly Candidate[], rows: number, random: () => number): number {
  let left = rows;
  const [only] = candidates;
  if (candidates.length === 1 && only) {
    only.askRows = Math.min(only.roomRows, left);
    return left - only.askRows;
  }
  const step = Math.max(1, Math.floor(rows / (ROUNDS * candidates.length)));
  while (left > 0) {
    const next = mostFree(candidates, random);
    if (!next) break;
    const give = Math.min(step, left, next.roomRows - next.askRows);
    next.askRows += give;
    left -= give;
  }
  return left;
}

function mostFree(candidates: readonly Candidate[], random: () => number): Candidate | undefined {
  let best: Candidate | undefined;
  let bestShare = 0;
  let ties = 1;
  for (const candidate of candidates) {
    const share = (candidate.roomRows - candidate.askRows) / candidate.credit.capacityRows;
    if (share <= 0 || share < bestShare) continue;
    // The n-th of equals replaces the others with probability 1/n: each is chosen equally often.
    if (share === bestShare) {
      ties += 1;
      if (random() * ties >= 1) continue;
    } else ties = 1;
    best = candidate;
    bestShare = share;
  }
  return best;
}
