import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FIXED, FUZZ_PROPERTIES } from '../../test/fuzz/wire.ts';

/** A few seconds; `npm run fuzz` goes on from other seeds for as long as it is told. */
const RUNS = 150;

for (const { name, run } of FUZZ_PROPERTIES) {
  void test(`fuzzing finds nothing: ${name}`, () => run(20_261_120, RUNS));
}

void test('the seeds of fixed bugs stay quiet', async () => {
  for (const { property, seed, runs } of FIXED) {
    const found = FUZZ_PROPERTIES.find(({ name }) => name === property);
    assert(found !== undefined, property);
    await found.run(seed, runs);
  }
});
