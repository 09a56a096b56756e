/**
 * Several photos of one plant into one distribution: the normalised geometric mean of their scores (a logarithmic opinion pool with equal
 * weights). The product, which would be right for independent photos, is far too sure, because photos of one plant share
 * what the model gets wrong about it; the plain mean keeps what one photo alone believed,
 * and alarms falsely more often. `npm run bench:combine` compares it with the plain mean and the maximum.
 */
import type { PhotoScores, Scored } from './outcome.ts';

/** Scores are rounded to six digits; what was rounded to nothing is not impossible. */
const LEAST = 1e-6;

export interface Combined {
  /** Best first; of what is left beside `rejectScore`. */
  readonly scores: readonly Scored[];
  readonly rejectScore: number | null;
}

export function combine(photos: readonly PhotoScores[]): Combined {
  const [only] = photos;
  if (only !== undefined && photos.length === 1) return { scores: only.scores, rejectScore: only.rejectScore };
  const logs = new Map<string, number>();
  const tables = photos.map(({ scores }) => new Map(scores.map(({ label, score }) => [label, score])));
  const labels = new Set(tables.flatMap((table) => [...table.keys()]));
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + Math.log(Math.max(value, LEAST)), 0) / photos.length;
  for (const label of labels) logs.set(label, mean(tables.map((table) => table.get(label) ?? 0)));
  const rejects = photos.flatMap(({ rejectScore }) => rejectScore ?? []);
  const reject = rejects.length === photos.length ? Math.exp(mean(rejects)) : null;
  const weights = [...logs].map(([label, log]) => ({ label, score: Math.exp(log) }));
  const sum = weights.reduce((total, { score }) => total + score, reject ?? 0);
  const scores = weights
    .map(({ label, score }) => ({ label, score: score / sum }))
    .sort((a, b) => b.score - a.score || (a.label < b.label ? -1 : 1));
  return { scores, rejectScore: reject === null ? null : reject / sum };
}
