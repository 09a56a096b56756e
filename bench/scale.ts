/**
 * What do fifty gateways and two thousand workers say to each other, and what happens to them when a region fails, a release rolls, a machine
 * dies, or many gateways join? Not measured but simulated, in virtual time, out of the real dispatcher, queues, admission, dialling
 * loops and ledgers; what is not pure is a number with its source (test/sim/scale/costs.ts). The figures do not depend on the machine, its load
 * or the day: the same commit and seed give the same ones.
 *
 *   npm run sim:scale -- [names of runs] [--seed 1] [--job-ms 64000]
 *
 * Runs that are named replace their own results and leave the others; so each says its own date and commit (null where that was not kept), and those of the
 * whole file are of the run that was written last. Shorter jobs are more of them, and cost as much more time.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Options } from '../test/sim/scale/shape.ts';
import { death, release, scaleOut, steady, storm, type Played } from '../test/sim/scale/scenarios.ts';
import { atMost, madeNow, record, type Check, type Made } from './support/record.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: 'string', default: '1' }, 'job-ms': { type: 'string', default: '64000' } },
});
const common: Partial<Options> = { seed: Number(values.seed), jobMs: Number(values['job-ms']) };
/** As it would be after what the simulation has found. */
const TAKEN = { linksPerWorker: 8, heartbeats: 'together', hints: 'when short' } as const;
const quiet = { load: 0.4 };

const RUNS: Readonly<Record<string, () => Promise<Played>>> = {
  'steady, 8 links': () => steady({ ...common, ...TAKEN }, 20, 40),
  'steady, all links': () => steady({ ...common, ...TAKEN, linksPerWorker: Infinity }, 20, 40),
  'steady, 3 links': () => steady({ ...common, ...TAKEN, linksPerWorker: 3 }, 20, 40),
  'steady, 1 link': () => steady({ ...common, ...TAKEN, linksPerWorker: 1 }, 20, 40),
  'steady, 8 links, every job told to all': () => steady({ ...common, ...TAKEN, hints: 'always' }, 20, 40),
  'steady, all links, as it was': () =>
    steady({ ...common, linksPerWorker: Infinity, hints: 'always', heartbeats: 'one by one' }, 10, 40),
  'outage, 8 links': () => storm({ ...common, ...TAKEN, ...quiet }, 300, 60),
  'outage, all links': () => storm({ ...common, ...TAKEN, ...quiet, linksPerWorker: Infinity }, 300, 60),
  'outage, 8 links, no jitter': () => storm({ ...common, ...TAKEN, ...quiet, backoffRandom: () => 0.999 }, 300, 60),
  'outage, 8 links, no wait': () => storm({ ...common, ...TAKEN, ...quiet, backoffRandom: () => 0 }, 60, 60),
  'release, 8 links': () => release({ ...common, ...TAKEN, ...quiet }),
  'death, 8 links': () => death({ ...common, ...TAKEN }),
  'scale-out, 8 links': () => scaleOut({ ...common, ...TAKEN, ...quiet }),
};

type Run = Readonly<Record<keyof Made, string | null>> & Omit<Played, 'seconds'> & { readonly wallS: number };

interface Results {
  readonly figures: { readonly runs: Record<string, Run> };
}

function earlier(): Results['figures']['runs'] {
  try {
    return (JSON.parse(readFileSync(new URL('results/scale.json', import.meta.url), 'utf8')) as Results).figures.runs;
  } catch {
    return {};
  }
}

const names = positionals.length > 0 ? positionals : Object.keys(RUNS);
for (const name of names) {
  if (RUNS[name] === undefined) throw new Error(`no run is called "${name}": ${Object.keys(RUNS).join('; ')}`);
}
for (const name of names) {
  const began = performance.now();
  const made = madeNow();
  const { seconds, ...played } = await RUNS[name]!();
  const wallS = Math.round((performance.now() - began) / 1_000);
  const busiest = Math.max(...seconds.map(({ maxHandshakesOfOne }) => maxHandshakesOfOne));
  console.log(
    `${name}: ${played.counts.succeeded} jobs, ${played.events} events, ${busiest} handshakes in the busiest second, ${wallS} s`,
  );
  for (const violation of played.violations) console.log(`  ${violation}`);
  const runs: Record<string, Run> = { ...earlier(), [name]: { ...made, ...played, wallS } };
  const all = Object.values(runs);
  const sum = (of: (one: (typeof all)[number]) => number): number => all.reduce((total, one) => total + of(one), 0);
  const checks: Check[] = [
    atMost(
      'promises broken (over-committed, lost, decided twice, unbounded)',
      sum(({ counts }) => counts.violations),
      '',
      0,
    ),
    atMost(
      'accepted jobs without a decision',
      sum(({ counts }) => counts.undecided),
      '',
      0,
    ),
  ];
  record('scale', checks, { jobs: sum(({ counts }) => counts.accepted), runs });
}
