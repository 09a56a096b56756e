/**
 * The long form of the test of switches: many of them under load, and every request counted.
 *
 *   npm run torture:switch -- [--switches 50] [--nginx]
 */
import { parseArgs } from 'node:util';
import { nginxFront } from './nginx.ts';
import { runSwitches } from './switches.ts';

const { values } = parseArgs({
  options: { switches: { type: 'string', default: '50' }, nginx: { type: 'boolean', default: false } },
});
const switches = Number(values.switches);
if (!Number.isInteger(switches) || switches < 1 || switches > 1_000) {
  process.stderr.write('--switches: expected a whole number from 1 to 1000\n');
  process.exit(2);
}
const began = performance.now();
const { switchMs, ...result } = await runSwitches({
  switches,
  ...(values.nginx ? { front: nginxFront, env: { POSTERN_FRONT: 'nginx' } } : {}),
  onSwitch(done, tookMs, tally) {
    const { posted, thoughtful, polled, streamed, comebacks, uploaded, inferred, failures } = tally;
    const counts = { posted, thoughtful, polled, streamed, comebacks, uploaded, inferred, failures: failures.length };
    process.stdout.write(`${done} of ${switches}, ${tookMs} ms: ${JSON.stringify(counts)}\n`);
  },
});
const sorted = [...switchMs].sort((a, b) => a - b);
const summary = { ...result, medianSwitchMs: sorted[sorted.length >> 1], slowestSwitchMs: sorted.at(-1) };
const seconds = Math.round((performance.now() - began) / 1_000);
process.stdout.write(
  `${JSON.stringify({ ...summary, failures: result.failures.length, problems: result.problems.length, seconds })}\n`,
);
for (const problem of [...result.failures, ...result.problems].slice(0, 20)) process.stderr.write(`${problem}\n`);
if (result.failures.length + result.problems.length > 0) process.exitCode = 1;
