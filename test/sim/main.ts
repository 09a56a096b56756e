/**
 * The simulation from the command line. `npm run sim -- --seeds 10000` runs seeds 1 … 10,000 on all cores and lists those that
 * fail; `npm run sim -- --seed 42` runs one and prints its trace when it fails (or with --trace). `--driver memory|sqlite`
 * and `--mode safety|liveness` replace what the seed would choose.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { runScenario, type Driver, type Mode } from './scenario.ts';
import type { SeedAnswer, SeedTask } from './seeds-thread.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    driver: { type: 'string' },
    mode: { type: 'string' },
    threads: { type: 'string', default: String(availableParallelism()) },
    trace: { type: 'boolean', default: false },
  },
});
const options = {
  ...(values.driver === undefined ? {} : { driver: oneOf<Driver>(values.driver, ['memory', 'sqlite']) }),
  ...(values.mode === undefined ? {} : { mode: oneOf<Mode>(values.mode, ['safety', 'liveness']) }),
};

/** More failures than these say nothing new. */
const MAX_FAILURES = 20;
const PROGRESS_PARTS = 20;

function oneOf<T extends string>(value: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw new Error(`expected one of ${choices.join(', ')}, got ${value}`);
  return found;
}

async function one(seed: number): Promise<void> {
  const { lines, ...outcome } = await runScenario(seed, { ...options, keepLines: true });
  if (values.trace || outcome.violations.length > 0) say(lines.join('\n'));
  say(JSON.stringify(outcome, null, 2));
  process.exitCode = outcome.violations.length > 0 ? 1 : 0;
}

async function many(from: number, count: number, threads: number): Promise<void> {
  const began = performance.now();
  const seconds = (): number => Math.round((performance.now() - began) / 1000);
  const totals: Record<string, number> = {};
  const failures: SeedAnswer[] = [];
  let [next, done] = [from, 0];

  function add(answer: SeedAnswer): void {
    done += 1;
    const { driver, mode, events, jobs, counts, violations } = answer;
    for (const [name, value] of Object.entries({ events, jobs, [driver]: 1, [mode]: 1, ...counts })) {
      totals[name] = (totals[name] ?? 0) + value;
    }
    if (violations.length > 0) {
      failures.push(answer);
      say(`seed ${answer.seed} (${driver}, ${mode}) fails:\n  ${violations.slice(0, 5).join('\n  ')}`);
    }
    if (done % Math.max(1, Math.floor(count / PROGRESS_PARTS)) === 0) say(`${done} of ${count} seeds, ${seconds()} s`);
  }

  function runThread(): Promise<void> {
    const thread = new Worker(new URL('./seeds-thread.ts', import.meta.url));
    return new Promise((resolve, reject) => {
      const give = (): void => {
        if (next >= from + count || failures.length >= MAX_FAILURES) void thread.terminate().then(() => resolve());
        else thread.postMessage({ seed: next++, options } satisfies SeedTask);
      };
      thread.on('message', (answer: SeedAnswer) => {
        add(answer);
        give();
      });
      thread.once('error', reject);
      give();
    });
  }

  await Promise.all(Array.from({ length: threads }, runThread));
  for (const { seed } of failures) say(`npm run sim -- --seed ${seed}`);
  say(JSON.stringify({ seeds: done, wrong: failures.length, ...totals, seconds: seconds() }));
  if (failures.length > 0) process.exitCode = 1;
}

if (values.seed === undefined) await many(Number(values.from), Number(values.seeds), Number(values.threads));
else await one(Number(values.seed));
