/**
 * The long form of the power cuts.
 *
 *   npm run torture:power -- [cuts, default 300] [jobs, default 2000]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRandom } from '../support/random.ts';
import { powerCuts } from './power-cut.ts';

const cuts = Number(process.argv[2] ?? 300);
const jobs = Number(process.argv[3] ?? 2_000);
const folder = mkdtempSync(join(tmpdir(), 'postern-power-'));
const began = performance.now();
try {
  const { problems, ...counts } = await powerCuts({
    folder,
    cuts,
    jobs,
    random: createRandom(Date.now()),
    onCut(cut, accepted) {
      if (cut % 25 === 0) process.stdout.write(`${cut} cuts, ${accepted} jobs acknowledged by then\n`);
    },
  });
  const seconds = Math.round((performance.now() - began) / 1_000);
  process.stdout.write(`${JSON.stringify({ ...counts, problems: problems.length, seconds })}\n`);
  for (const problem of problems.slice(0, 20)) process.stderr.write(`${problem}\n`);
  if (problems.length > 0) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
