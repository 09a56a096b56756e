/** The moment between a dial and the hello. */
import assert from 'node:assert/strict';
import { isPosternError } from '../../test/support/expect.ts';
import { openFakeGateway } from '../../test/support/fake-gateway.ts';
import { fixedCredentials } from '../../test/support/tunnel-identity.ts';
import { tunnelTest } from '../../test/support/tunnel.ts';
import { systemClock, type Clock } from '../clock.ts';
import { createByteBudget, DEFAULT_BUDGET_BYTES } from '../protocol/budget.ts';
import { createOpener } from './opener.ts';

tunnelTest('a dial that is called off in the very moment in which it succeeds says no hello', async (scene) => {
  const fake = await openFakeGateway(scene.identity);
  scene.onEnd(() => fake.close());
  const made = await scene.identity.issueWorker('gpu-1', 86_400_000);
  const abort = new AbortController();
  // The dial gives up its timer when it is done; what is queued then runs before the one who waits for the dial.
  const clock: Clock = {
    ...systemClock,
    after(delayMs, run) {
      const timer = systemClock.after(delayMs, run);
      return {
        cancel() {
          timer.cancel();
          queueMicrotask(() => abort.abort());
        },
      };
    },
  };
  const open = createOpener({
    target: { host: '127.0.0.1', port: fake.port },
    settings: {},
    credentials: fixedCredentials({ ...made, caPem: scene.identity.caPem }),
    session: '00000000-0000-4000-8000-000000000000',
    clock,
    budget: createByteBudget(DEFAULT_BUDGET_BYTES),
  });
  const opened = open(
    () => ({ role: 'control', epoch: 1 }),
    abort.signal,
    (connection) => {
      connection.destroy();
      return { onMessage: () => undefined, onClose: () => undefined };
    },
  );
  await assert.rejects(opened, isPosternError('connection_lost', /the dial was called off/));
  assert.equal(fake.welcomed.entries.length, 0);
});
