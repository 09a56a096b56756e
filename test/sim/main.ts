/**
 * The simulation from the command line: `npm run sim -- --seeds 10000` runs seeds 1 … 10,000 and stops at the first that
 * fails; `npm run sim -- --seed 42` runs one and prints its trace when it fails (or with --trace).
 */
import { parseArgs } from 'node:util';
import { runScenario } from './scenario.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
  },
});

if (values.seed !== undefined) {
  const outcome = await runScenario(Number(values.seed), { keepLines: true });
  if (values.trace || outcome.violations.length > 0) say(outcome.lines.join('\n'));
  const { violations, hash, events, jobs, counts } = outcome;
  say(JSON.stringify({ seed: values.seed, hash, events, jobs, counts, violations }, null, 2));
  process.exitCode = violations.length > 0 ? 1 : 0;
} else {
  // Callers are refused by the thousand, and the stack of each error costs more than the rest of the refusal.
  Error.stackTraceLimit = 0;
  const from = Number(values.from);
  const count = Number(values.seeds);
  const started = performance.now();
  const totals: Record<string, number> = { events: 0, jobs: 0 };
  const seconds = (): string => `${((performance.now() - started) / 1000).toFixed(0)} s`;
  for (let i = 0; i < count; i += 1) {
    const { seed, violations, events, jobs, counts } = await runScenario(from + i);
    if (violations.length > 0) {
      say(`seed ${seed} fails after ${i} that passed:\n  ${violations.join('\n  ')}`);
      say(`npm run sim -- --seed ${seed}`);
      process.exitCode = 1;
      break;
    }
    for (const [name, value] of Object.entries({ events, jobs, ...counts })) totals[name] = (totals[name] ?? 0) + value;
    if ((i + 1) % Math.max(1, Math.floor(count / 20)) === 0) say(`${i + 1}/${count} seeds, ${seconds()}`);
  }
  say(JSON.stringify({ ...totals, time: seconds() }));
}
