/** The short form of `npm run torture:chain`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRandom } from '../support/random.ts';
import { chain } from './chain.ts';

void test('gateway and worker are killed while callers submit: nothing accepted is lost, changed or left undecided', async () => {
  const random = createRandom(Date.now());
  const { accepted, succeeded, exhausted, problems } = await chain({
    kills: 4,
    callers: 8,
    random: () => random.next(),
  });
  assert.deepEqual(problems, []);
  assert.equal(succeeded + exhausted, accepted);
  assert.ok(accepted > 50, `${accepted} accepted`);
});
