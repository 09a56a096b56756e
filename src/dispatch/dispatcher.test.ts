import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createRandom } from '../../test/support/random.ts';
import { MAX_CREDIT_ROWS } from '../protocol/limits.ts';
import type { ModelReport, ModelState } from '../protocol/messages.ts';
import { createDispatcher } from './dispatcher.ts';
import type { Fence, Job } from './job.ts';
import type { Ask } from './session.ts';

const LEASE_MS = 18_000;

function setup(seed = 1) {
  const log: string[] = [];
  const asks: Ask[] = [];
  const clock = { ms: 0 };
  let made = 0;
  const dispatcher = createDispatcher({
    random: createRandom(seed).next,
    monotonic: () => clock.ms,
    leaseMs: LEASE_MS,
    effects: {
      claim: (ask) => void asks.push(ask),
      assign: ({ fence }, job) => void log.push(`assign ${job.id} ${fence.session}`),
      giveBack: ({ job }) => void log.push(`give back ${job}`),
      cancel: ({ job }, reason) => void log.push(`cancel ${job} ${reason}`),
      close: (session, code) => void log.push(`close ${session} ${code}`),
      release: (session, loss) => void log.push(`release ${session} ${loss}`),
    },
  });

  /** A connected session with a ready model and credit. */
  function connect(
    session: string,
    rows: number,
    model = 'plants',
    version = '1',
    worker = `worker of ${session}`,
  ): void {
    dispatcher.opened(session, worker);
    dispatcher.models(session, [report(model, version)]);
    if (rows > 0) dispatcher.granted(session, model, version, rows);
  }

  function jobFor(ask: Ask, rows = 1): Job {
    made += 1;
    return {
      id: `job-${made}`,
      model: ask.offer.model,
      attempt: 1,
      rows,
      session: ask.offer.session.id,
      servedVersion: ask.offer.version,
      createdAt: 0,
      startedAt: 5,
    } as Job;
  }

  /** The open questions since the last call: who asks for how many rows. */
  function asked(): { session: string; rows: number; ask: Ask }[] {
    dispatcher.pump();
    return asks.splice(0).map((ask) => ({ session: ask.offer.session.id, rows: ask.maxRows, ask }));
  }

  /** Assigns one job to a session and returns its fence. */
  function fly(session: string): Fence {
    dispatcher.arrived('plants', 1);
    const [one] = asked();
    assert.equal(one?.session, session);
    const job = jobFor(one.ask);
    dispatcher.answered(one.ask, [job], 0);
    return { job: job.id, attempt: 1, session };
  }

  const take = (): string[] => log.splice(0);
  return { dispatcher, clock, connect, jobFor, asked, fly, take };
}

function only<T>(items: readonly T[]): T {
  const [item] = items;
  assert.ok(item !== undefined && items.length === 1);
  return item;
}

function report(name: string, version: string, state: ModelState = 'ready'): ModelReport {
  return { name, version, state, kind: 'echo', maxRows: 8 };
}

test('work is asked for only where demand and credit meet', () => {
  const { dispatcher, connect, asked } = setup();
  connect('s1', 4);
  assert.deepEqual(asked(), [], 'credit without work');
  dispatcher.arrived('plants', 10);
  assert.deepEqual(
    asked().map(({ session, rows }) => [session, rows]),
    [['s1', 4]],
  );
  assert.deepEqual(asked(), [], 'all credit is reserved');
});

test('what a claim did not find is free again, and is not asked for until more work comes', () => {
  const { dispatcher, connect, asked, jobFor } = setup();
  connect('s1', 4);
  dispatcher.arrived('plants', 3);
  const { ask, rows } = only(asked());
  assert.equal(rows, 3);
  dispatcher.answered(ask, [jobFor(ask)], 0);
  assert.equal(ask.offer.credit.freeRows, 3);
  assert.deepEqual(asked(), []);
  dispatcher.arrived('plants', 1);
  assert.equal(asked()[0]?.rows, 1);
});

test('what the store says is left is asked for as soon as there is credit', () => {
  const { dispatcher, connect, asked, jobFor } = setup();
  connect('s1', 1);
  dispatcher.arrived('plants', 1);
  const { ask } = only(asked());
  dispatcher.answered(ask, [jobFor(ask)], 7);
  assert.deepEqual(asked(), []);
  dispatcher.granted('s1', 'plants', '1', 2);
  assert.equal(asked()[0]?.rows, 2);
});

test('a model that is not ready gets nothing, whatever credit there is', () => {
  const { dispatcher, connect, asked } = setup();
  connect('s1', 4);
  for (const state of ['loading', 'draining', 'failed'] as const) {
    dispatcher.models('s1', [report('plants', '1', state)]);
    dispatcher.arrived('plants', 1);
    assert.deepEqual(asked(), [], state);
  }
  dispatcher.models('s1', []);
  dispatcher.arrived('plants', 1);
  assert.deepEqual(asked(), [], 'not announced');
  dispatcher.models('s1', [report('plants', '1')]);
  assert.equal(asked()[0]?.rows, 4, 'the credit of before still counts');
});

test('a grant that comes before the models is kept', () => {
  const { dispatcher, asked } = setup();
  dispatcher.opened('s1', 'w');
  dispatcher.granted('s1', 'plants', '1', 2);
  dispatcher.arrived('plants', 1);
  assert.deepEqual(asked(), []);
  dispatcher.models('s1', [report('plants', '1')]);
  assert.equal(asked()[0]?.session, 's1');
});

test('the idler worker is asked first, and a version that finds nothing leaves the work to others', () => {
  const { dispatcher, connect, asked, jobFor } = setup();
  connect('s1', 2, 'plants', '1');
  connect('s2', 2, 'plants', '2');
  dispatcher.arrived('plants', 1);
  const [first] = asked();
  assert.ok(first);
  dispatcher.answered(first.ask, [], 0);
  const [second] = asked();
  assert.ok(second && second.session !== first.session);
  dispatcher.answered(second.ask, [jobFor(second.ask)], 0);
  assert.deepEqual(asked(), []);
});

test('a job larger than what was dealt is asked for with all that is free, then waits for a grant', () => {
  const { dispatcher, connect, asked, jobFor } = setup();
  connect('s1', 8);
  dispatcher.arrived('plants', 5);
  const [first] = asked();
  assert.ok(first);
  dispatcher.answered(first.ask, [jobFor(first.ask, 5)], 0);
  dispatcher.arrived('plants', 1);
  const [second] = asked();
  assert.equal(second?.rows, 1);
  dispatcher.answered(second.ask, [], 5);
  const [third] = asked();
  assert.equal(third?.rows, 3);
  dispatcher.answered(third.ask, [], 5);
  assert.deepEqual(asked(), [], 'nothing more to try');
  dispatcher.granted('s1', 'plants', '1', 2);
  assert.equal(asked()[0]?.rows, 5);
});

test('an idle worker that takes less than it once did is not kept waiting by a job too large for it', () => {
  const { dispatcher, connect, asked } = setup();
  connect('s1', 8);
  dispatcher.closed('s1', false);
  dispatcher.opened('s1', 'worker of s1');
  dispatcher.models('s1', [report('plants', '1')]);
  dispatcher.granted('s1', 'plants', '1', 2);
  dispatcher.arrived('plants', 6);
  const [first] = asked();
  assert.equal(first?.ask.capacityRows, 8);
  dispatcher.answered(first.ask, [], 6);
  const [second] = asked();
  assert.equal(second?.ask.capacityRows, 2, 'now the store steps over what is larger');
  dispatcher.answered(second.ask, [], 4);
  assert.deepEqual(asked(), [], 'and it ends there');
});

test('grants beyond the limit end that session, and no other', () => {
  const { dispatcher, connect, take, asked } = setup();
  connect('s1', 1);
  connect('s2', 1);
  for (const rows of [MAX_CREDIT_ROWS, -1, 0, 0.5, NaN, Infinity, 2 ** 60]) {
    const name = `bad ${rows}`;
    connect(name, 1, 'plants', '1', name);
    take();
    dispatcher.granted(name, 'plants', '1', rows);
    assert.deepEqual(take(), [`close ${name} flow_control`]);
    dispatcher.closed(name, true);
  }
  dispatcher.arrived('plants', 2);
  assert.deepEqual(
    asked()
      .map(({ session }) => session)
      .sort(),
    ['s1', 's2'],
  );
});

test('grants for ever new names end the session before they fill the memory', () => {
  const { dispatcher, take } = setup();
  dispatcher.opened('s1', 'w');
  for (let i = 0; i < 2_000 && take().length === 0; i += 1) dispatcher.granted('s1', `model-${i}`, '1', 1);
  assert.ok([...(dispatcher.session('s1')?.offers ?? [])].length <= 512);
});

test('an answer that comes after the link was lost is given back, and its credit is void', () => {
  const { dispatcher, connect, asked, jobFor, take } = setup();
  connect('s1', 4);
  dispatcher.arrived('plants', 2);
  const { ask } = only(asked());
  dispatcher.closed('s1', false);
  dispatcher.opened('s1', 'worker of s1');
  dispatcher.granted('s1', 'plants', '1', 4);
  const job = jobFor(ask);
  dispatcher.answered(ask, [job], 0);
  assert.deepEqual(take(), [`give back ${job.id}`]);
  assert.equal(ask.offer.credit.freeRows, 4);
  assert.equal(ask.offer.credit.reservedRows, 0);
});

test('a draining session is asked for nothing, and what it holds may end', () => {
  const { dispatcher, connect, asked, fly, take } = setup();
  connect('s1', 4);
  const fence = fly('s1');
  take();
  dispatcher.draining('s1');
  dispatcher.arrived('plants', 1);
  assert.deepEqual(asked(), []);
  assert.ok(dispatcher.ended(fence));
  dispatcher.closed('s1', true);
  assert.deepEqual(take(), ['release s1 free']);
});

test('a lost link keeps what the session holds for a lease, silence before its end included; then it is gone', () => {
  for (const silentMs of [0, LEASE_MS - 3_000]) {
    const { dispatcher, connect, clock, fly, take } = setup();
    connect('s1', 4);
    fly('s1');
    take();
    dispatcher.closed('s1', false, silentMs);
    clock.ms = LEASE_MS - silentMs - 1;
    dispatcher.tick();
    assert.equal(dispatcher.inFlightJobs, 1);
    clock.ms += 1;
    dispatcher.tick();
    assert.deepEqual(take(), ['release s1 silent']);
    assert.equal(dispatcher.inFlightJobs, 0);
  }
});

test('a newer run of the same worker replaces the older one; what that one held counts, unless it was told to go', () => {
  const { dispatcher, connect, take } = setup();
  connect('run 1', 1, 'plants', '1', 'gpu');
  connect('run 2', 1, 'plants', '1', 'gpu');
  assert.deepEqual(take(), ['close run 1 superseded', 'release run 1 crashed']);
  dispatcher.draining('run 2');
  dispatcher.closed('run 2', false);
  connect('run 3', 1, 'plants', '1', 'gpu');
  assert.deepEqual(take(), ['close run 2 superseded', 'release run 2 free']);
});

test('after a reconnect, flights that the worker does not hold are over, and cancels are told again', () => {
  const { dispatcher, connect, fly, take } = setup();
  connect('s1', 4);
  const [held, dropped, canceled] = [fly('s1'), fly('s1'), fly('s1')];
  dispatcher.cancel(canceled.job, 'caller');
  dispatcher.closed('s1', false);
  dispatcher.opened('s1', 'worker of s1');
  take();
  dispatcher.resumed('s1', [
    [held.job, 1],
    [canceled.job, 1],
    [dropped.job, 9],
  ]);
  assert.deepEqual(take(), [`cancel ${canceled.job} caller`]);
  assert.ok(dispatcher.ended(held));
  assert.equal(dispatcher.ended(dropped), null);
});

test('a cancel is told once, kept while the worker is away, and leaves the slot taken', () => {
  const { dispatcher, connect, fly, take } = setup();
  connect('s1', 1);
  const fence = fly('s1');
  take();
  dispatcher.cancel(fence.job, 'caller');
  dispatcher.cancel(fence.job, 'deadline');
  dispatcher.cancel('unknown', 'caller');
  assert.deepEqual(take(), [`cancel ${fence.job} caller`]);
  assert.equal(dispatcher.inFlightJobs, 1);
  assert.equal(dispatcher.session('s1')?.offers[0]?.credit.freeRows, 0);
});

test('an end with another attempt or session is not this flight’s end', () => {
  const { dispatcher, connect, fly } = setup();
  connect('s1', 1);
  const fence = fly('s1');
  assert.equal(dispatcher.ended({ ...fence, attempt: 2 }), null);
  assert.equal(dispatcher.ended({ ...fence, session: 's2' }), null);
  assert.ok(dispatcher.ended(fence));
  assert.equal(dispatcher.ended(fence), null);
});

test('what the session could not send gives its credit back', () => {
  const { dispatcher, connect, fly } = setup();
  connect('s1', 1);
  const fence = fly('s1');
  dispatcher.unsent(fence);
  assert.equal(dispatcher.session('s1')?.offers[0]?.credit.freeRows, 1);
  assert.equal(dispatcher.inFlightJobs, 0);
});

test('a store that could not answer costs no credit', () => {
  const { dispatcher, connect, asked } = setup();
  connect('s1', 3);
  dispatcher.arrived('plants', 3);
  const { ask } = only(asked());
  dispatcher.claimFailed(ask);
  assert.equal(ask.offer.credit.freeRows, 3);
  dispatcher.seenWaiting('plants', 3, 0);
  assert.equal(asked()[0]?.rows, 3);
});

test('after stopClaiming nothing is asked for', () => {
  const { dispatcher, connect, asked } = setup();
  connect('s1', 3);
  dispatcher.stopClaiming();
  dispatcher.arrived('plants', 3);
  assert.deepEqual(asked(), []);
});

test('whatever happens in whatever order, credit is conserved and never exceeded', () => {
  const step = fc.record({ kind: fc.nat(9), session: fc.nat(2), rows: fc.integer({ min: 1, max: 6 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), fc.nat(), (steps, seed) => {
      const { dispatcher, connect, asked, jobFor } = setup(seed);
      const granted = new Map<string, number>();
      const flights: Fence[] = [];
      const open: Ask[] = [];
      for (const { kind, session: index, rows } of steps) {
        const id = `s${index}`;
        const known = dispatcher.session(id);
        if (kind === 0 || !known) {
          dispatcher.closed(id, false);
          connect(id, 0);
          granted.set(id, 0);
        } else if (kind <= 2) {
          if (known.state !== 'away') granted.set(id, (granted.get(id) ?? 0) + rows);
          dispatcher.granted(id, 'plants', '1', rows);
        } else if (kind <= 4) dispatcher.arrived('plants', rows);
        else if (kind <= 6) {
          const ask = open.shift();
          if (!ask) continue;
          const jobs: Job[] = [];
          let left = ask.maxRows;
          while (left >= rows && jobs.length < 3) {
            jobs.push(jobFor(ask, rows));
            left -= rows;
          }
          const { session } = ask.offer;
          const valid = session.epoch === ask.epoch && session.state === 'connected';
          if (valid) for (const job of jobs) flights.push({ job: job.id, attempt: 1, session: session.id });
          if (session.epoch === ask.epoch)
            granted.set(session.id, (granted.get(session.id) ?? 0) - (ask.maxRows - left));
          dispatcher.answered(ask, jobs, rows % 2);
        } else if (kind === 7) {
          const fence = flights.shift();
          if (fence) dispatcher.ended(fence);
        } else if (kind === 8) {
          dispatcher.closed(id, false);
          granted.set(id, 0);
        } else dispatcher.cancel(flights[0]?.job ?? '', 'caller');
        open.push(...asked().map(({ ask }) => ask));

        for (const session of dispatcher.sessions()) {
          for (const { credit } of session.offers) {
            assert.ok(credit.freeRows >= 0 && credit.reservedRows >= 0 && credit.inFlightRows >= 0);
            assert.equal(
              credit.freeRows + credit.reservedRows,
              granted.get(session.id),
              'granted = free + reserved + sent',
            );
            assert.equal(session.creditRows, granted.get(session.id));
          }
        }
      }
    }),
    { numRuns: 500 },
  );
});
