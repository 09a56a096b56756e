/** One of the threads that run seeds: it is told a seed, answers with its outcome, and is told the next. */
import { parentPort } from 'node:worker_threads';
import { runScenario, type Outcome, type ScenarioOptions } from './scenario.ts';

export interface SeedTask {
  readonly seed: number;
  readonly options: Pick<ScenarioOptions, 'driver' | 'mode'>;
}

export type SeedAnswer = Omit<Outcome, 'lines'>;

// Callers are refused by the thousand, and the stack of each error costs more than the rest of the refusal.
Error.stackTraceLimit = 0;

parentPort!.on('message', ({ seed, options }: SeedTask) => {
  runScenario(seed, options).then(
    ({ lines: _, ...answer }) => parentPort!.postMessage(answer satisfies SeedAnswer),
    (error: Error) => {
      const violations = [`it broke: ${error.stack ?? error.message}`];
      const none = { driver: 'sqlite', mode: 'safety', hash: '', events: 0, jobs: 0, counts: {} } as const;
      parentPort!.postMessage({ ...none, seed, violations } satisfies SeedAnswer);
    },
  );
});
