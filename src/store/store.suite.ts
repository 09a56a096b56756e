/**
 * The contract of the Store port: every driver's test calls this with a way to make a store. Times come from a clock that
 * the suite moves, so no test waits.
 */
import { createCheck, type CreateSuiteStore } from './suite/bench.suite.ts';
import { claimSuite } from './suite/claim.suite.ts';
import { deliveriesSuite } from './suite/deliveries.suite.ts';
import { failedInputsSuite } from './suite/failed-inputs.suite.ts';
import { fencesSuite } from './suite/fences.suite.ts';
import { knownSuite } from './suite/known.suite.ts';
import { leasesSuite } from './suite/leases.suite.ts';
import { retrySuite } from './suite/retry.suite.ts';
import { submitSuite } from './suite/submit.suite.ts';
import { timeSuite } from './suite/time.suite.ts';

export function storeSuite(name: string, create: CreateSuiteStore): void {
  const check = createCheck(create);
  submitSuite(name, check);
  claimSuite(name, check);
  fencesSuite(name, check);
  leasesSuite(name, check);
  retrySuite(name, check);
  failedInputsSuite(name, check);
  knownSuite(name, check);
  timeSuite(name, check);
  deliveriesSuite(name, check);
}
