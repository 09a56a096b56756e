/**
 * Faults of a whole cluster, long form: three gateways, four workers, PostgreSQL and HAProxy, each on a host of its own.
 *
 *   npm run torture:cluster -- [minutes, default 10] [seed]    first each loss of a gateway is measured, then faults at random
 *   npm run torture:cluster -- sabotages [seed]                 promises are broken on purpose: each must be noticed
 */
import { loadavg } from 'node:os';
import { atMost, record, type Check } from '../../bench/support/record.ts';
import { runCluster, cannotRunCluster } from './cluster.ts';
import type { Measured } from './measure.ts';
import { SABOTAGES } from './sabotages.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const FAILOVER_LIMIT_MS = 5_000;
const MOVED_LIMIT_MS = 20_000;
const MEASUREMENTS = 2;
/** Some show only when a worker is late by more than a lease, or the database is restarted. */
const SABOTAGE_SECONDS = 60;
const MAX_MINUTES = 600;

function number(text: string | undefined, fallback: number, what: string, max: number): number {
  const value = text === undefined ? fallback : Number(text);
  if (Number.isFinite(value) && value > 0 && value <= max) return value;
  process.stderr.write(`${what}: expected a number above 0, at most ${max}; got ${text}\n`);
  process.exit(2);
}

async function torture(minutes: number, seed: number): Promise<boolean> {
  say(`seed ${seed}`);
  const load = loadavg();
  const result = await runCluster(
    {
      seconds: Math.round(minutes * 60),
      seed,
      callersOfEachKind: 3,
      atOnce: 3,
      holdFactor: 1,
      measurements: MEASUREMENTS,
      sabotage: null,
    },
    say,
  );
  const { measured, problems } = result;
  const cut = measured.filter(({ loss }) => loss === 'gateway cut from the database');
  const deaths = measured.filter((one) => !cut.includes(one));
  const worst = (
    of: readonly Measured[],
    what: 'withoutSuccessMs' | 'withoutSubmissionMs' | 'movedMs' | 'delayMs',
  ): number => Math.max(...of.map((one) => one[what]));
  const checks: Check[] = [
    atMost('lost, decided twice, changed, refused wrongly: problems', problems.length, '', 0),
    atMost('without a success after a death, worst', worst(deaths, 'withoutSuccessMs'), 'ms', FAILOVER_LIMIT_MS),
    atMost('without a submission after a death, worst', worst(deaths, 'withoutSubmissionMs'), 'ms', FAILOVER_LIMIT_MS),
    atMost('jobs of a dead gateway elsewhere, worst', worst(deaths, 'movedMs'), 'ms', MOVED_LIMIT_MS),
    atMost(
      'without a success when one is cut from the database',
      worst(cut, 'withoutSuccessMs'),
      'ms',
      FAILOVER_LIMIT_MS,
    ),
    atMost('jobs of one that is cut from it elsewhere, worst', worst(cut, 'movedMs'), 'ms', MOVED_LIMIT_MS),
    atMost('jobs of a dead gateway decided late by, worst', worst(deaths, 'delayMs'), 'ms', MOVED_LIMIT_MS),
  ];
  for (const problem of problems.slice(0, 20)) process.stderr.write(`${problem}\n`);
  record('cluster', checks, { ...result, loadAverage: { before: load, after: loadavg() } });
  return checks.every(({ met }) => met);
}

async function sabotages(seed: number): Promise<boolean> {
  let isNoticed = true;
  for (const { name, noticedBy } of SABOTAGES) {
    const options = {
      seconds: SABOTAGE_SECONDS,
      seed,
      callersOfEachKind: 2,
      atOnce: 3,
      holdFactor: 1,
      measurements: 0,
    };
    const { problems, accepted } = await runCluster({ ...options, sabotage: name }, say);
    const found = problems.filter((problem) => noticedBy.test(problem));
    say(
      `${found.length > 0 ? 'noticed' : 'NOT NOTICED'}: ${name} (${accepted} accepted; ${(found[0] ?? problems[0] ?? 'no problem').slice(0, 200)})`,
    );
    isNoticed &&= found.length > 0;
  }
  return isNoticed;
}

const lacks = cannotRunCluster();
if (lacks !== false) {
  process.stderr.write(`${lacks}\n`);
  process.exit(2);
}
const [first, second] = process.argv.slice(2);
const seed = number(second, Date.now() % 1_000_000, 'seed', Number.MAX_SAFE_INTEGER);
const isWell =
  first === 'sabotages' ? await sabotages(seed) : await torture(number(first, 10, 'minutes', MAX_MINUTES), seed);
if (!isWell) process.exitCode = 1;
