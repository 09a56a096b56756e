/**
 * The long form of the crash test of the whole chain.
 *
 *   npm run torture:chain -- [kills, default 500] [callers, default 16] [stops, default 10] [minutes at most, default 50]
 */
import { chain } from './chain.ts';

const kills = Number(process.argv[2] ?? 500);
const callers = Number(process.argv[3] ?? 16);
const stops = Number(process.argv[4] ?? 10);
const maxMinutes = Number(process.argv[5] ?? 50);
const began = performance.now();
const seconds = (): number => Math.round((performance.now() - began) / 1_000);
const { problems, ...counts } = await chain({
  kills,
  callers,
  stops,
  maxMinutes,
  random: Math.random,
  onKill(kill, accepted) {
    if (kill % 10 !== 0) return;
    process.stdout.write(`${kill} of ${kills} kills, ${accepted} predictions accepted, ${seconds()} s\n`);
  },
});
process.stdout.write(`${JSON.stringify({ ...counts, problems: problems.length, seconds: seconds() }, null, 2)}\n`);
for (const problem of problems.slice(0, 20)) process.stderr.write(`${problem}\n`);
if (problems.length > 0) process.exitCode = 1;
