/**
 * The long form of the crash test: a loaded store is killed again and again.
 *
 *   npm run torture:store -- [kills, default 500] [longest life in ms, default 600]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killLoop } from './kill-loop.ts';

const kills = Number(process.argv[2] ?? 500);
const maxLifeMs = Number(process.argv[3] ?? 600);
const folder = mkdtempSync(join(tmpdir(), 'postern-torture-'));
const began = performance.now();
try {
  const result = await killLoop({
    folder,
    kills,
    maxLifeMs,
    random: Math.random,
    onLife(life, accepted) {
      if (life % 25 === 0) process.stdout.write(`${life} of ${kills} kills, ${accepted} jobs accepted\n`);
    },
  });
  const { problems, ...counts } = result;
  const seconds = Math.round((performance.now() - began) / 1_000);
  process.stdout.write(`${JSON.stringify({ ...counts, problems: problems.length, seconds })}\n`);
  for (const problem of problems.slice(0, 20)) process.stderr.write(`${problem}\n`);
  if (problems.length > 0) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
