/**
 * What callers were promised, and whether it was kept: an id that was handed out stays, is decided once, with the output that belongs
 * to its input, and reads the same ever after; an `Idempotency-Key` names one prediction. Pure: whoever asks tells it what was answered.
 */
import { createHash } from 'node:crypto';

export interface Prediction {
  readonly id: string;
  readonly status: string;
  /** Of a model that streams texts: a list of them. */
  readonly output: string | readonly string[] | null;
  readonly error_code: string | null;
  readonly completed_at: string | null;
}

export interface Promised {
  readonly key: string | null;
  /** The output that it must have; asked for at the end. */
  readonly expected: () => string;
}

export interface Promises {
  /** By id. */
  readonly made: ReadonlyMap<string, Promised>;
  /** The first of what is wrong. */
  readonly problems: readonly string[];
  wrong(what: string): void;
  /** This id was handed out. */
  accept(prediction: Prediction, promised: Promised): void;
  /** Somebody asks about it now: had its decision been read by then? An answer may not go back behind that. */
  readonly isKnown: (id: string) => boolean;
  /** This was answered, whoever asked; `wasKnown`: what `isKnown` said when it was asked. */
  readonly look: (prediction: Prediction, wasKnown?: boolean) => void;
  /** This is how it ended; `null`: nobody knows it, or it is not decided. */
  end(id: string, prediction: Prediction | null): 'succeeded' | 'exhausted' | 'wrong';
}

const DECIDED: ReadonlySet<string> = new Set(['succeeded', 'failed', 'canceled', 'aborted']);
const MAX_PROBLEMS = 200;

export const isDecided = ({ status }: Prediction): boolean => DECIDED.has(status);

const textOf = (output: Prediction['output']): string | null =>
  output === null || typeof output === 'string' ? output : output.join('');

export function createPromises(): Promises {
  const made = new Map<string, Promised>();
  const byKey = new Map<string, string>();
  /** By id: what the first reader of its decision read. */
  const seen = new Map<string, string>();
  const problems: string[] = [];

  function wrong(what: string): void {
    if (problems.length < MAX_PROBLEMS) problems.push(what);
  }

  function look(prediction: Prediction, wasKnown = false): void {
    const { id, status, output, completed_at: at } = prediction;
    const before = seen.get(id);
    if (!isDecided(prediction)) {
      if (wasKnown) wrong(`${id} was read as ${before}, and then as ${status}`);
      return;
    }
    const text = textOf(output);
    const digest = text === null ? 'nothing' : createHash('sha256').update(text).digest('hex');
    const now = `${status} at ${at} with ${digest}`;
    if (before !== undefined && before !== now) wrong(`${id} was read as ${before}, and then as ${now}`);
    if (before === undefined) seen.set(id, now);
  }

  return {
    made,
    problems,
    wrong,
    isKnown: (id) => seen.has(id),
    look,
    accept(prediction, promised) {
      const { id } = prediction;
      const { key } = promised;
      if (key !== null) {
        const earlier = byKey.get(key) ?? id;
        if (earlier !== id) wrong(`${key} made both ${earlier} and ${id}`);
        byKey.set(key, id);
      }
      made.set(id, promised);
      look(prediction);
    },
    end(id, prediction) {
      if (prediction === null) {
        wrong(`${id} was accepted and is lost, or was never decided`);
        return 'wrong';
      }
      look(prediction);
      if (prediction.status === 'succeeded') {
        if (textOf(prediction.output) === made.get(id)?.expected()) return 'succeeded';
        wrong(`${id} has another output`);
        return 'wrong';
      }
      if (prediction.error_code === 'attempts_exhausted') return 'exhausted';
      wrong(`${id} is ${prediction.status}: ${prediction.error_code}`);
      return 'wrong';
    },
  };
}
