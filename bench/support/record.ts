/** Results are kept beside the benchmarks, with the machine, the date and the commit that gave them. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';

/** A figure held against its target, as the results and the table show it. */
export interface Check {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly target: string;
  readonly met: boolean;
}

export const atLeast = (name: string, value: number, unit: string, bound: number): Check => ({
  name,
  value,
  unit,
  target: `≥ ${bound}`,
  met: value >= bound,
});

export const atMost = (name: string, value: number, unit: string, bound: number): Check => ({
  name,
  value,
  unit,
  target: `≤ ${bound}`,
  met: value <= bound,
});

const git = (...args: string[]): string => execFileSync('git', args).toString().trim();

/** Which store the gateways of this benchmark keep their jobs in: what a user gets, unless the environment says otherwise. */
export const storeUsed = (): string => process.env.POSTERN_STORE || 'sqlite';

export interface Made {
  readonly date: string;
  readonly commit: string;
}

/** Of when and of what a figure is that is taken now. */
export const madeNow = (): Made => ({
  date: new Date().toISOString().slice(0, 10),
  commit: git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--', 'src') === '' ? '' : '+changes'),
});

/** Writes bench/results/<name>.json and prints the table of checks. `figures` are the raw measurements. */
export function record(name: string, checks: readonly Check[], figures: unknown): void {
  const results = {
    benchmark: name,
    ...madeNow(),
    machine: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`,
    checks,
    figures,
  };
  const folder = new URL('../results/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL(`${name}.json`, folder), `${JSON.stringify(results, null, 2)}\n`);
  const rows = checks.map((c) => ({
    figure: c.name,
    measured: `${Number(c.value.toPrecision(4))} ${c.unit}`,
    target: `${c.target} ${c.unit}`,
    met: c.met ? 'yes' : 'NO',
  }));
  console.table(rows);
}

/** The middle of an odd number of values. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new Error('median of nothing');
  return middle;
}
