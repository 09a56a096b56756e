/**
 * From logits to the answer: softmax with temperature (Guo et al. 2017, "On Calibration of Modern Neural Networks"),
 * probabilities summed over the outputs that carry the same label, the best k, and the two honest ways out: rejected
 * (this is none of the classes) and unsure (no class is likely enough).
 */
export interface ClassifierOptions {
  /** One per network output; several outputs may carry the same label. */
  readonly labels: readonly string[];
  readonly temperature: number;
  readonly reject?: { readonly label: string; readonly threshold: number } | undefined;
  readonly unsureBelow?: number | undefined;
}

export interface Classification {
  /** Best first, without the reject label. */
  readonly predictions: readonly { readonly label: string; readonly score: number }[];
  readonly rejected: boolean;
  readonly unsure: boolean;
  /** Probability of the reject label; undefined when the model has none. */
  readonly rejectScore: number | undefined;
}

/** null: the outputs are not finite numbers. */
export type Classify = (logits: Float32Array, topK: number) => Classification | null;

const SCORE_DIGITS = 1e6;
const rounded = (score: number): number => Math.round(score * SCORE_DIGITS) / SCORE_DIGITS;

export function createClassifier(options: ClassifierOptions): Classify {
  const names = [...new Set(options.labels)];
  const position = new Map(names.map((name, index) => [name, index]));
  const labelOf = Uint32Array.from(options.labels, (label) => position.get(label)!);
  const rejectIndex = options.reject ? (position.get(options.reject.label) ?? -1) : -1;
  const threshold = options.reject?.threshold ?? Infinity;

  return (logits, topK) => {
    let max = -Infinity;
    for (const logit of logits) {
      if (!Number.isFinite(logit)) return null;
      if (logit > max) max = logit;
    }
    const scores = new Float64Array(names.length);
    let sum = 0;
    for (let output = 0; output < logits.length; output++) {
      const weight = Math.exp((logits[output]! - max) / options.temperature);
      scores[labelOf[output]!]! += weight;
      sum += weight;
    }
    const order = names.map((_, index) => index).filter((index) => index !== rejectIndex);
    order.sort((a, b) => scores[b]! - scores[a]! || a - b);
    const predictions = order
      .slice(0, topK)
      .map((index) => ({ label: names[index]!, score: rounded(scores[index]! / sum) }));
    const rejectScore = rejectIndex < 0 ? undefined : scores[rejectIndex]! / sum;
    const rejected = rejectScore !== undefined && rejectScore >= threshold;
    return {
      predictions,
      rejected,
      unsure: !rejected && (predictions[0]?.score ?? 0) < (options.unsureBelow ?? 0),
      rejectScore: rejectScore === undefined ? undefined : rounded(rejectScore),
    };
  };
}
