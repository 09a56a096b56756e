/** One finding of the link check, and how a chain of checks is run. */
import { toPosternError } from '../../errors.ts';

export type Verdict = 'ok' | 'warn' | 'fail' | 'skip';

export interface Finding {
  readonly verdict: Verdict;
  /** What was found, in one phrase. */
  readonly detail: string;
  /** What to do; only where something is to be done. */
  readonly advice?: string;
  readonly figures?: Readonly<Record<string, number>>;
}

export interface Check extends Finding {
  readonly name: string;
}

export interface Step {
  readonly name: string;
  run(): Promise<Finding>;
}

/** Runs the steps in order, and skips what stands on a failed one. A step that throws has failed, with the error as advice. */
export async function runChain(steps: readonly Step[], onCheck: (check: Check) => void): Promise<Check[]> {
  const checks: Check[] = [];
  let failed: string | null = null;
  for (const step of steps) {
    const { name } = step;
    const finding: Finding =
      failed === null
        ? await step.run().catch(failureOf)
        : { verdict: 'skip', detail: `not tried, because ${failed} failed` };
    if (finding.verdict === 'fail') failed ??= name;
    const check = { name, ...finding };
    checks.push(check);
    onCheck(check);
  }
  return checks;
}

function failureOf(thrown: unknown): Finding {
  const { message } = toPosternError(thrown);
  const [what = message, ...advice] = message.split(': ');
  return advice.length === 0
    ? { verdict: 'fail', detail: message }
    : { verdict: 'fail', detail: what, advice: advice.join(': ') };
}

const DAY_MS = 86_400_000;
/** A certificate that ends within three days ends before the next working day after a weekend. */
const WARN_DAYS = 3;

/** Judges a certificate's dates. `what` begins the phrase. */
export function judgeDates(what: string, endsAt: number, now: number, advice: string): Finding {
  const days = (endsAt - now) / DAY_MS;
  const date = new Date(endsAt).toISOString().slice(0, 16).replace('T', ' ');
  const figures = { days_left: Math.floor(days) };
  if (days <= 0) return { verdict: 'fail', detail: `${what} ended on ${date} UTC`, advice, figures };
  const detail = `${what} is good until ${date} UTC`;
  return days < WARN_DAYS ? { verdict: 'warn', detail, advice, figures } : { verdict: 'ok', detail, figures };
}
