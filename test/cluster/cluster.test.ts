/** The short form of `npm run torture:cluster`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cannotRunCluster, runCluster } from './cluster.ts';

void test(
  'three gateways, four workers, database and balancer fail several at a time: nothing accepted is lost, decided twice or changed',
  { skip: cannotRunCluster(), timeout: 280_000 },
  async (t) => {
    const seed = Date.now() % 1_000_000;
    t.diagnostic(`seed ${seed}`);
    const { accepted, succeeded, exhausted, keysAskedAgain, told, faults, problems } = await runCluster(
      { seconds: 15, seed, callersOfEachKind: 1, atOnce: 3, holdFactor: 0.3, measurements: 0, sabotage: null },
      (line) => t.diagnostic(line),
    );
    t.diagnostic(`${accepted} accepted, ${told} told, faults: ${JSON.stringify(faults)}`);
    assert.deepEqual(problems, []);
    assert.equal(succeeded + exhausted, accepted);
    assert.ok(accepted > 20 && keysAskedAgain > 10, `${accepted} accepted, ${keysAskedAgain} with a key`);
  },
);
