import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDispatcher } from './dispatcher.ts';
import type { Job } from './job.ts';
import type { Ask } from './session.ts';

const LEASE_MS = 18_000;

/** A run of the worker `gpu` that holds `jobs`. */
function runHolding(...jobs: readonly string[]) {
  const log: string[] = [];
  const clock = { ms: 0 };
  const asks: Ask[] = [];
  const dispatcher = createDispatcher({
    random: () => 0,
    monotonic: () => clock.ms,
    leaseMs: LEASE_MS,
    effects: {
      claim: (ask) => void asks.push(ask),
      assign: () => undefined,
      giveBack: () => undefined,
      cancel: () => undefined,
      close: (session, code) => void log.push(`close ${session} ${code}`),
      release: (session, counts) => void log.push(`release ${session} ${counts ? 'counts' : 'free'}`),
    },
  });
  dispatcher.opened('run 1', 'gpu');
  dispatcher.models('run 1', [{ name: 'plants', version: '1', state: 'ready', kind: 'echo', maxRows: 8 }]);
  dispatcher.granted('run 1', 'plants', '1', 8);
  dispatcher.arrived('plants', jobs.length);
  dispatcher.pump();
  const held = jobs.map((id) => ({ id, model: 'plants', attempt: 1, rows: 1, createdAt: 0, startedAt: 0 }) as Job);
  dispatcher.answered(asks[0]!, held, 0);
  const fences = jobs.map((job) => ({ job, attempt: 1, session: 'run 1' }));
  return { dispatcher, clock, fences, take: () => log.splice(0) };
}

void test('an earlier run whose ends are still to come keeps what it held, until it is forgotten', () => {
  const { dispatcher, fences, take } = runHolding('a', 'b');
  dispatcher.opened('run 2', 'gpu', ['run 1', 'run 0']);
  assert.deepEqual(take(), ['close run 1 superseded'], 'nothing is released');
  assert.ok(dispatcher.ended(fences[0]!));
  dispatcher.forgotten('run 1');
  assert.deepEqual(take(), ['release run 1 counts']);
  assert.equal(dispatcher.ended(fences[1]!), null);
  // A gateway that was restarted never saw it; the store is told all the same.
  dispatcher.forgotten('run 0');
  assert.deepEqual(take(), ['release run 0 counts']);
});

void test('coming back with the ends of an earlier run gives that run no new lease', () => {
  const { dispatcher, clock, take } = runHolding('a');
  dispatcher.closed('run 1', false);
  clock.ms = LEASE_MS - 1;
  dispatcher.opened('run 2', 'gpu', ['run 1']);
  dispatcher.tick();
  assert.equal(dispatcher.inFlightJobs, 1);
  clock.ms = LEASE_MS;
  dispatcher.tick();
  assert.deepEqual(take(), ['close run 1 superseded', 'release run 1 counts']);
});
