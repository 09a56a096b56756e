/** Counters that only grow, as rates of the time between two looks at them. */
import type { ModelTotals } from '../engine-stats.ts';

type Totals = ReadonlyMap<string, Readonly<ModelTotals>>;

export interface ModelRates {
  readonly accepted_per_s: number;
  readonly succeeded_per_s: number;
  readonly failed_per_s: number;
  readonly canceled_per_s: number;
}

export const NO_RATES: ModelRates = { accepted_per_s: 0, succeeded_per_s: 0, failed_per_s: 0, canceled_per_s: 0 };

export function createModelRates() {
  let before: Totals = new Map();

  return {
    /** Of each model, since the last look. */
    look(totals: Totals, seconds: number): Map<string, ModelRates> {
      const rates = new Map<string, ModelRates>();
      for (const [model, now] of totals) {
        const then = before.get(model);
        const per = (read: (of: Readonly<ModelTotals>) => number): number =>
          (read(now) - (then === undefined ? 0 : read(then))) / seconds;
        rates.set(model, {
          accepted_per_s: per(({ submitted }) => submitted),
          succeeded_per_s: per(({ succeeded }) => succeeded),
          failed_per_s: per(({ failed, aborted }) => failed + aborted),
          canceled_per_s: per(({ canceled }) => canceled),
        });
      }
      // The counters are changed in place.
      before = new Map([...totals].map(([model, total]) => [model, { ...total }]));
      return rates;
    },
  };
}

export function sumRates(rates: Iterable<ModelRates>): ModelRates {
  const sum = { ...NO_RATES } as { -readonly [Name in keyof ModelRates]: number };
  for (const one of rates) for (const name of Object.keys(sum) as (keyof ModelRates)[]) sum[name] += one[name];
  return sum;
}
