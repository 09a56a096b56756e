/**
 * Fuzzes the HTTP surface of a live gateway for as long as it is told, with a key, seed after seed.
 *
 *   npm run fuzz:http -- [seconds, default 300] [first seed, default: of the hour] [examples an operation, default 100]
 *
 * Needs the Python of the tests (scripts/python_env.sh), or POSTERN_TEST_PYTHON with schemathesis.
 */
import { fuzzHttp, makeKey, openFuzzTarget } from '../test/fuzz/http.ts';

const seconds = Number(process.argv[2] ?? 300);
const firstSeed = Number(process.argv[3] ?? Math.floor(Date.now() / 3_600_000) * 1_000);
const examples = Number(process.argv[4] ?? 100);
if (![seconds, firstSeed, examples].every((value) => Number.isSafeInteger(value) && value > 0)) {
  console.error('npm run fuzz:http -- [seconds] [first seed] [examples an operation]');
  process.exit(2);
}
const python = process.env.POSTERN_TEST_PYTHON ?? new URL('../.cache/python/bin/python', import.meta.url).pathname;
const target = await openFuzzTarget();
try {
  const key = makeKey(target);
  const began = performance.now();
  for (let seed = firstSeed; performance.now() - began < seconds * 1_000; seed += 1) {
    const found = await fuzzHttp(target, {
      python,
      key,
      seed,
      examples,
      phases: 'examples,coverage,fuzzing',
      timeoutMs: 3_600_000,
    });
    if (found !== null) {
      console.error(`${found}\nAgain with: npm run fuzz:http -- 1 ${seed} ${examples}`);
      process.exitCode = 1;
      break;
    }
    console.log(`seed ${seed}: nothing found (${((performance.now() - began) / 1_000).toFixed(0)} s of ${seconds})`);
  }
} finally {
  await target.system.remove();
}
