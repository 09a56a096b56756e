/**
 * A run as a process of its own, because only a whole process can be on another host: `run-process.ts <options as JSON>`. Standard output
 * has one line of JSON for each step, and the result last.
 */
import { run, type RunOptions } from './run.ts';
import { SABOTAGES } from './sabotages.ts';

export interface ProcessOptions extends Omit<RunOptions, 'sabotage'> {
  readonly sabotage: string | null;
}

const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const { sabotage, ...options } = JSON.parse(process.argv[2] ?? '') as ProcessOptions;
const planted = SABOTAGES.find(({ name }) => name === sabotage) ?? null;
say({ result: await run({ ...options, sabotage: planted }, (step) => say({ step })) });
process.exit(0);
