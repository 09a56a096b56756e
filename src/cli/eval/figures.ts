/**
 * The figures of an evaluation, from what the service answered. Pure. Every rule that could flatter is decided against the
 * model: a photo that was rejected or failed has no right answer and shows nothing.
 */
import type { Guide } from './guide.ts';

export interface Answer {
  /** The manifest's class. */
  readonly class: string;
  readonly source: string;
  /** Best first. Empty when it failed. */
  readonly predictions: readonly { readonly label: string; readonly score: number }[];
  readonly rejected: boolean;
  readonly unsure: boolean;
  readonly rejectScore: number | null;
  /** Code of the error; null when it was answered. */
  readonly failed: string | null;
}

export interface Labels {
  /** Manifest class → label of the model, where classes were merged. */
  readonly aliases: Readonly<Record<string, string>>;
  /** The class that is not one of the things that the model knows; null: the model rejects nothing. */
  readonly rejectLabel: string | null;
}

export interface Accuracy {
  readonly photos: number;
  readonly top1: number;
  readonly top5: number;
  readonly rejected: number;
}

export interface Figures {
  readonly photos: number;
  readonly failed: number;
  /** Over photos of things that the model knows: right label first, or among the first five. Rejected counts as wrong. */
  readonly accuracy: Accuracy;
  /** As if nothing had been rejected: what the labels alone are worth. */
  readonly before_rejection: Accuracy;
  /** The class itself, without the model's aliases; equal to accuracy when the model merges nothing. */
  readonly as_labelled: Accuracy;
  /** Right when in the same verdict group (all Toxicodendron are one). */
  readonly merged: Accuracy;
  readonly by_source: Readonly<Record<string, Accuracy>>;
  /** Sources by the word before the first underscore: `inat_toxic_10` and `inat_extra_3` are `inat`. */
  readonly by_source_family: Readonly<Record<string, Accuracy>>;
  readonly by_class: Readonly<Record<string, Accuracy>>;
  readonly calibration: { readonly ece: number; readonly bins: readonly CalibrationBin[] };
  /** null when the model rejects nothing. */
  readonly rejection: { readonly photos: number; readonly recall: number; readonly false_reject: number } | null;
  /** null when there is no guide, or no dangerous class among the photos. */
  readonly danger: DangerFigures | null;
}

export interface CalibrationBin {
  readonly from: number;
  readonly photos: number;
  readonly mean_score: number;
  readonly accuracy: number;
}

export interface DangerFigures {
  /** Photos of dangerous plants. */
  readonly photos: number;
  /** Share of them with no dangerous species among the five shown; a rejected photo shows none. */
  readonly missed_in_top5: number;
  /** The same without the rejected ones. */
  readonly missed_in_top5_when_shown: number;
  /** The verdict is `dangerous` when the summed probability of dangerous species reaches the threshold. */
  readonly verdicts: readonly { readonly threshold: number; readonly recall: number; readonly specificity: number }[];
}

const BINS = 15;
const SHOWN = 5;
const VERDICT_THRESHOLDS = [0.1, 0.2, 0.3, 0.5];

export function computeFigures(answers: readonly Answer[], labels: Labels, guide: Guide | null): Figures {
  const isReject = (answer: Answer): boolean => answer.class === labels.rejectLabel;
  const known = answers.filter((answer) => !isReject(answer));
  const alias = (label: string): string => labels.aliases[label] ?? label;
  const group = (label: string): string => guide?.group(alias(label)) ?? alias(label);
  const asAnswered = (list: readonly Answer[]): Accuracy => accuracyOf(list, alias, (label) => label);
  return {
    photos: answers.length,
    failed: answers.filter(({ failed }) => failed !== null).length,
    accuracy: asAnswered(known),
    before_rejection: asAnswered(known.map((answer) => ({ ...answer, rejected: false }))),
    as_labelled: accuracyOf(
      known,
      (label) => label,
      (label) => label,
    ),
    merged: accuracyOf(known, group, group),
    by_source: splitBy(known, ({ source }) => source, asAnswered),
    by_source_family: splitBy(known, ({ source }) => source.split('_')[0] ?? '', asAnswered),
    by_class: splitBy(known, (answer) => answer.class, asAnswered),
    calibration: calibrationOf(known, alias),
    rejection: labels.rejectLabel === null ? null : rejectionOf(answers.filter(isReject), known),
    danger: guide === null ? null : dangerOf(known, guide, alias),
  };
}

/** `expected` maps the photo's class, `given` the answered label, to what is compared. */
function accuracyOf(
  answers: readonly Answer[],
  expected: (label: string) => string,
  given: (label: string) => string,
): Accuracy {
  const hits = (count: number) => (answer: Answer) =>
    !answer.rejected && answer.predictions.slice(0, count).some(({ label }) => given(label) === expected(answer.class));
  return {
    photos: answers.length,
    top1: share(answers, hits(1)),
    top5: share(answers, hits(SHOWN)),
    rejected: share(answers, ({ rejected }) => rejected),
  };
}

function splitBy(
  answers: readonly Answer[],
  key: (answer: Answer) => string,
  measure: (list: readonly Answer[]) => Accuracy,
): Record<string, Accuracy> {
  const groups = Map.groupBy(answers, key);
  return Object.fromEntries(
    [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, list]) => [name, measure(list)]),
  );
}

/**
 * Expected calibration error (Guo et al. 2017): over equal bins of the score of the answer given, the mean distance
 * between score and accuracy, weighted by photos. The answer given to a rejected photo is the rejection, with its score.
 */
function calibrationOf(answers: readonly Answer[], alias: (label: string) => string): Figures['calibration'] {
  const given = answers
    .filter(({ failed }) => failed === null)
    .map((answer) => {
      const [top] = answer.predictions;
      const score = (answer.rejected ? answer.rejectScore : top?.score) ?? 0;
      return { score, right: !answer.rejected && top?.label === alias(answer.class) };
    });
  const bins = Array.from({ length: BINS }, (_, i) => {
    const inside = given.filter(({ score }) => Math.min(Math.floor(score * BINS), BINS - 1) === i);
    const mean = inside.reduce((sum, { score }) => sum + score, 0) / (inside.length || 1);
    return { from: i / BINS, photos: inside.length, mean_score: mean, accuracy: share(inside, ({ right }) => right) };
  });
  const error = bins.reduce((sum, bin) => sum + bin.photos * Math.abs(bin.mean_score - bin.accuracy), 0);
  return { ece: given.length === 0 ? 0 : error / given.length, bins };
}

function rejectionOf(others: readonly Answer[], known: readonly Answer[]): Figures['rejection'] {
  const rejected = ({ rejected: yes }: Answer): boolean => yes;
  return { photos: others.length, recall: share(others, rejected), false_reject: share(known, rejected) };
}

function dangerOf(known: readonly Answer[], guide: Guide, alias: (label: string) => string): DangerFigures | null {
  const isDangerous = (label: string): boolean => guide.dangerous.has(label);
  const dangerous = known.filter((answer) => isDangerous(alias(answer.class)));
  const harmless = known.filter((answer) => !isDangerous(alias(answer.class)));
  if (dangerous.length === 0) return null;
  const showsNone = ({ rejected, predictions }: Answer): boolean =>
    rejected || !predictions.slice(0, SHOWN).some(({ label }) => isDangerous(label));
  const sum = (answer: Answer): number =>
    answer.rejected
      ? 0
      : answer.predictions.reduce((total, { label, score }) => total + (isDangerous(label) ? score : 0), 0);
  return {
    photos: dangerous.length,
    missed_in_top5: share(dangerous, showsNone),
    missed_in_top5_when_shown: share(
      dangerous.filter(({ rejected }) => !rejected),
      showsNone,
    ),
    verdicts: VERDICT_THRESHOLDS.map((threshold) => ({
      threshold,
      recall: share(dangerous, (answer) => sum(answer) >= threshold),
      specificity: share(harmless, (answer) => sum(answer) < threshold),
    })),
  };
}

function share<T>(list: readonly T[], holds: (item: T) => boolean): number {
  return list.length === 0 ? 0 : list.filter(holds).length / list.length;
}
