import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createDispatcher } from './dispatcher.ts';
import type { Fence, Job } from './job.ts';
import type { ConcurrencyLimits, ModelConcurrency } from './limits.ts';
import type { Ask } from './session.ts';

function setup(workerMaxRows: number | null, models: Readonly<Record<string, Partial<ModelConcurrency>>>) {
  const asks: Ask[] = [];
  let made = 0;
  const limits: ConcurrencyLimits = {
    workerMaxRows,
    models: new Map(Object.entries(models).map(([name, one]) => [name, { reservedRows: 0, maxRows: null, ...one }])),
  };
  const dispatcher = createDispatcher({
    random: () => 0.5,
    monotonic: () => 0,
    leaseMs: 18_000,
    limits,
    effects: {
      claim: (ask) => void asks.push(ask),
      assign: () => undefined,
      giveBack: () => undefined,
      cancel: () => undefined,
      close: () => undefined,
      release: () => undefined,
    },
  });

  function connect(session: string, rows: Readonly<Record<string, number>>): void {
    dispatcher.opened(session, `worker of ${session}`);
    const reports = Object.keys(rows).map((name) => {
      return { name, version: '1', state: 'ready', kind: 'echo', maxRows: 64 } as const;
    });
    dispatcher.models(session, reports);
    for (const [model, granted] of Object.entries(rows)) dispatcher.granted(session, model, '1', granted);
  }

  /** Answers every question in full until none is asked; returns what each model got. */
  function fill(): Fence[] {
    const fences: Fence[] = [];
    for (;;) {
      dispatcher.pump();
      const now = asks.splice(0);
      if (now.length === 0) return fences;
      for (const ask of now) {
        const jobs = Array.from({ length: ask.maxRows }, () => {
          const { session, model } = ask.offer;
          return { id: `${model} ${(made += 1)}`, model, attempt: 1, rows: 1, session: session.id } as Job;
        });
        dispatcher.answered(ask, jobs, 1_000);
        fences.push(...jobs.map(({ id }) => ({ job: id, attempt: 1, session: ask.offer.session.id })));
      }
    }
  }

  const count = (fences: readonly Fence[], word: string): number =>
    fences.filter(({ job, session }) => job.startsWith(word) || session === word).length;
  return { dispatcher, connect, fill, count };
}

test('a model runs as many rows as it may, over all workers; what ends makes room for the next', () => {
  const { dispatcher, connect, fill, count } = setup(null, { plants: { maxRows: 5 } });
  connect('s1', { plants: 4, clothes: 9 });
  connect('s2', { plants: 4 });
  dispatcher.arrived('plants', 100);
  dispatcher.arrived('clothes', 100);
  const fences = fill();
  assert.deepEqual([count(fences, 'plants'), count(fences, 'clothes')], [5, 9]);
  const [first] = fences.filter(({ job }) => job.startsWith('plants'));
  dispatcher.ended(first!);
  assert.equal(fill().length, 1, 'credit was left');
});

test('rows on an away session still count: they run there', () => {
  const { dispatcher, connect, fill } = setup(null, { plants: { maxRows: 5 } });
  connect('s1', { plants: 4 });
  dispatcher.arrived('plants', 100);
  assert.equal(fill().length, 4);
  dispatcher.closed('s1', false);
  connect('s2', { plants: 4 });
  assert.equal(fill().length, 1);
});

test('a worker runs as many rows as it may, over all its models; reserved ones are kept for theirs', () => {
  const { dispatcher, connect, fill, count } = setup(10, { plants: { reservedRows: 4 } });
  connect('s1', { plants: 20, clothes: 20 });
  dispatcher.arrived('clothes', 100);
  const clothes = fill();
  assert.equal(clothes.length, 6, 'four are kept for plants, though none waits');
  dispatcher.arrived('plants', 100);
  assert.equal(count(fill(), 'plants'), 4);
  dispatcher.ended(clothes[0]!);
  const next = fill();
  assert.equal(next.length, 1, 'above what is reserved, whoever comes');
  connect('s2', { clothes: 20 });
  assert.equal(count(fill(), 's2'), 10, 'where the model is not served, nothing is kept for it');
});

test('what is reserved is not lost when the model uses more', () => {
  const { dispatcher, connect, fill, count } = setup(10, { plants: { reservedRows: 4 } });
  connect('s1', { plants: 20, clothes: 20 });
  dispatcher.arrived('plants', 100);
  const plants = fill();
  assert.equal(count(plants, 'plants'), 10);
  dispatcher.arrived('clothes', 100);
  for (const fence of plants.slice(0, 3)) dispatcher.ended(fence);
  dispatcher.pump();
  assert.ok(fill().length <= 3);
});

test('a suspect has its turn beside a model that always runs as much as it may', () => {
  const { dispatcher, connect } = setup(null, { plants: { maxRows: 1 } });
  connect('s1', { plants: 4 });
  const asked: boolean[] = [];
  dispatcher.arrived('plants', 1);
  dispatcher.soloArrived('plants');
  dispatcher.pump();
  for (const demand of [dispatcher.session('s1')!]) asked.push(demand.solo !== null);
  assert.deepEqual(asked, [true]);
});

test('whatever comes and ends, no limit is ever passed, and in the end all room is used', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 4, max: 12 }),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 3, max: 9 }),
      fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 60 }),
      (workerRows, reservedRows, maxRows, steps) => {
        const bench = setup(workerRows, { a: { reservedRows }, b: { maxRows } });
        const { dispatcher, connect, fill } = bench;
        connect('s1', { a: 30, b: 30 });
        connect('s2', { a: 30, b: 30 });
        const flying: Fence[] = [];
        for (const step of steps) {
          if (step === 0) dispatcher.arrived('a', 50);
          else if (step === 1) dispatcher.arrived('b', 50);
          else if (flying.length > 0) {
            const fence = flying.splice(step % flying.length, 1)[0]!;
            dispatcher.ended(fence);
            dispatcher.granted(fence.session, fence.job.slice(0, 1), '1', 1);
          }
          flying.push(...fill());
          for (const session of ['s1', 's2']) {
            const rows = flying.filter((fence) => fence.session === session);
            const ofB = rows.filter(({ job }) => job.startsWith('b')).length;
            assert.ok(rows.length <= workerRows, `${rows.length} on one worker`);
            assert.ok(ofB <= workerRows - reservedRows, `${ofB} took what is reserved`);
          }
          assert.ok(flying.filter(({ job }) => job.startsWith('b')).length <= maxRows);
        }
        dispatcher.arrived('a', 500);
        flying.push(...fill());
        assert.equal(flying.length, 2 * workerRows);
      },
    ),
  );
});
