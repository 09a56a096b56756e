/** The short form of `npm run torture:chain`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRandom } from '../support/random.ts';
import { chain } from './chain.ts';

void test('gateway and workers are killed while callers submit: nothing accepted is lost, changed or left undecided', async (t) => {
  const random = createRandom(Date.now());
  const { accepted, succeeded, exhausted, keysAskedAgain, killedAt, problems } = await chain({
    kills: 8,
    callers: 8,
    acceptedPerKill: 40,
    random: () => random.next(),
  });
  t.diagnostic(`${accepted} accepted; killed ${JSON.stringify(killedAt)}`);
  assert.deepEqual(problems, []);
  assert.equal(succeeded + exhausted, accepted);
  assert.ok(accepted > 50 && keysAskedAgain > 10, `${accepted} accepted, ${keysAskedAgain} with a key`);
});
