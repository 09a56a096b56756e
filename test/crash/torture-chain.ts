/**
 * The long form of the crash test of the whole chain.
 *
 *   npm run torture:chain -- [kills, default 200] [callers, default 16]
 */
import { chain } from './chain.ts';

const kills = Number(process.argv[2] ?? 200);
const callers = Number(process.argv[3] ?? 16);
const began = performance.now();
const { problems, ...counts } = await chain({
  kills,
  callers,
  random: Math.random,
  onKill(kill, accepted) {
    if (kill % 10 === 0) process.stdout.write(`${kill} of ${kills} kills, ${accepted} predictions accepted\n`);
  },
});
const seconds = Math.round((performance.now() - began) / 1_000);
process.stdout.write(`${JSON.stringify({ ...counts, problems: problems.length, seconds })}\n`);
for (const problem of problems.slice(0, 20)) process.stderr.write(`${problem}\n`);
if (problems.length > 0) process.exitCode = 1;
