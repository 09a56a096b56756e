/**
 * Fuzzes the wire for as long as it is told.
 *
 *   npm run fuzz -- [seconds, default 60] [first seed, default: of the hour] [property]
 *
 * Prints its progress, and for a failure the seed with which the same line repeats it.
 */
import { FUZZ_PROPERTIES } from '../test/fuzz/wire.ts';

const RUNS_PER_SEED = 200;
const seconds = Number(process.argv[2] ?? 60);
const firstSeed = Number(process.argv[3] ?? Math.floor(Date.now() / 3_600_000) * 10_000);
const only = process.argv[4];
const properties = FUZZ_PROPERTIES.filter(({ name }) => only === undefined || name === only);
if (!Number.isFinite(seconds) || !Number.isSafeInteger(firstSeed) || properties.length === 0) {
  console.error(`npm run fuzz -- [seconds] [first seed] [${FUZZ_PROPERTIES.map(({ name }) => name).join(' | ')}]`);
  process.exit(2);
}

const began = performance.now();
const elapsed = (): number => (performance.now() - began) / 1_000;
let shown = 0;
let seed = firstSeed;
for (; elapsed() < seconds; seed++) {
  for (const { name, run } of properties) {
    try {
      await run(seed, RUNS_PER_SEED);
    } catch (error) {
      console.error(`\n${error instanceof Error ? error.message : String(error)}`);
      console.error(`\nfailed: ${name}. Again with: npm run fuzz -- 1 ${seed} ${name}`);
      process.exit(1);
    }
  }
  if (elapsed() - shown > 5) {
    shown = elapsed();
    console.log(
      `${shown.toFixed(0)} s of ${seconds}: seeds ${firstSeed}–${seed}, ${(seed - firstSeed + 1) * RUNS_PER_SEED * properties.length} runs`,
    );
  }
}
console.log(
  `nothing found: seeds ${firstSeed}–${seed - 1}, ${(seed - firstSeed) * RUNS_PER_SEED * properties.length} runs in ${elapsed().toFixed(0)} s`,
);
