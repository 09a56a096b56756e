/** From what each photo came to, what the identification comes to. Pure. */
import type { Guide } from '../guide/guide.ts';
import { combine } from './combine.ts';
import { dangerOf } from './danger.ts';
import type { Candidate, Outcome, PhotoFailure, PhotoResult, PhotoScores, Scored } from './outcome.ts';

const MAX_CANDIDATES = 5;

/** Rejected and failed photos are left out as long as there is another one. */
export function decide(guide: Guide, results: readonly PhotoResult[]): Outcome {
  const scored = results.filter((result) => result.type === 'scores');
  if (scored.length === 0) return failed(results.filter((result) => result.type === 'failed'));
  const accepted = scored.filter(({ rejected }) => !rejected);
  const used = accepted.length > 0 ? accepted : scored;
  const { scores } = combine(used);
  const common = {
    candidates: candidatesOf(guide, scores),
    photosUsed: used.length,
    photosLeftOut: results.length - used.length,
    version: used[0]?.version ?? null,
  };
  if (accepted.length === 0) return { type: 'not_a_plant', danger: null, ...common };
  const unsure = isUnsure(guide, used, common.candidates);
  return { type: unsure ? 'unsure' : 'candidates', danger: dangerOf(guide, scores, unsure), ...common };
}

/** The model's own word about one photo; about several the guide's threshold, or their common doubt where it has none. */
function isUnsure({ unsureBelow }: Guide, used: readonly PhotoScores[], [first]: readonly Candidate[]): boolean {
  if (first === undefined) return true;
  if (used.length === 1 || unsureBelow === null) return used.every(({ unsure }) => unsure);
  return first.score < unsureBelow;
}

/** Labels that the guide has no entry for are not shown; members of one entry are one. */
function candidatesOf(guide: Guide, scores: readonly Scored[]): Candidate[] {
  const sums = new Map<string, number>();
  for (const { label, score } of scores) {
    const entry = guide.get(label);
    if (entry) sums.set(entry.id, (sums.get(entry.id) ?? 0) + score);
  }
  return [...sums]
    .map(([entry, score]) => ({ entry, score }))
    .sort((a, b) => b.score - a.score || (a.entry < b.entry ? -1 : 1))
    .slice(0, MAX_CANDIDATES);
}

/** One that may do better another time speaks for all of them. */
function failed(failures: readonly PhotoFailure[]): Outcome {
  const { code, message, retryable } = failures.find((failure) => failure.retryable) ??
    failures[0] ?? { code: 'internal', message: 'there is no photo', retryable: false };
  return { type: 'failed', code, message, retryable };
}

/** What counts as found: the first candidate of a sure outcome, unless its finder said that it is wrong. */
export function findOf(outcome: Outcome | null, verdict: 'right' | 'wrong' | null): string | null {
  if (outcome?.type !== 'candidates' || verdict === 'wrong') return null;
  return outcome.candidates[0]?.entry ?? null;
}
