import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDispatcher } from './dispatcher.ts';
import type { Fence, Job } from './job.ts';
import type { Ask } from './session.ts';

function setup() {
  const asks: Ask[] = [];
  let made = 0;
  const dispatcher = createDispatcher({
    random: () => 0.5,
    monotonic: () => 0,
    leaseMs: 18_000,
    effects: {
      claim: (ask) => void asks.push(ask),
      assign: () => undefined,
      giveBack: () => undefined,
      cancel: () => undefined,
      close: () => undefined,
      release: () => undefined,
    },
  });

  function connect(session: string, rows: number, models: readonly string[] = ['plants']): void {
    dispatcher.opened(session, `worker of ${session}`);
    dispatcher.models(
      session,
      models.map((name) => ({ name, version: '1', state: 'ready', kind: 'echo', maxRows: 8 })),
    );
    for (const model of models) dispatcher.granted(session, model, '1', rows);
  }

  /** What was asked for since the last call. */
  function asked(): Ask[] {
    dispatcher.pump();
    return asks.splice(0);
  }

  /** The store gives `jobs` jobs; returns their fences. */
  function answer(ask: Ask, jobs: number, left: { rows?: number; solo?: number } = {}): Fence[] {
    const { session } = ask.offer;
    const given = Array.from({ length: jobs }, () => {
      return { id: `job-${(made += 1)}`, model: ask.offer.model, attempt: 1, rows: 1, session: session.id } as Job;
    });
    dispatcher.answered(ask, given, left.rows ?? 0, left.solo ?? 0);
    return given.map(({ id }) => ({ job: id, attempt: 1, session: session.id }));
  }

  const told = (list: readonly Ask[]): string[] =>
    list.map(({ offer, maxRows, solo }) => `${offer.session.id} ${offer.model} ${maxRows}${solo ? ' alone' : ''}`);

  return { dispatcher, connect, asked, answer, told };
}

function only<T>(items: readonly T[]): T {
  assert.equal(items.length, 1);
  return items[0]!;
}

test('a suspect is asked for by an idle session, which takes nothing beside it', () => {
  const { dispatcher, connect, asked, answer, told } = setup();
  connect('s1', 4, ['plants', 'clothes']);
  dispatcher.soloArrived('plants');
  const ask = only(asked());
  assert.deepEqual(told([ask]), ['s1 plants 4 alone']);
  const [fence] = answer(ask, 1);
  dispatcher.arrived('plants', 2);
  dispatcher.arrived('clothes', 2);
  assert.deepEqual(asked(), [], 'it is kept for the suspect');
  dispatcher.ended(fence!);
  assert.deepEqual(told(asked()).sort(), ['s1 clothes 2', 's1 plants 2']);
});

test('a busy session finishes first, and takes nothing new meanwhile', () => {
  const { dispatcher, connect, asked, answer, told } = setup();
  connect('s1', 4);
  dispatcher.arrived('plants', 2);
  const [first, second] = answer(only(asked()), 2);
  dispatcher.soloArrived('plants');
  assert.deepEqual(asked(), []);
  dispatcher.arrived('plants', 1);
  assert.deepEqual(asked(), [], 'it clears');
  dispatcher.ended(first!);
  assert.deepEqual(asked(), []);
  dispatcher.ended(second!);
  assert.deepEqual(told(asked()), ['s1 plants 2 alone']);
});

test('suspects and other work take turns', () => {
  const { dispatcher, connect, asked, answer, told } = setup();
  connect('s1', 1);
  dispatcher.arrived('plants', 9);
  dispatcher.soloArrived('plants');
  const turns: string[] = [];
  for (let turn = 0; turn < 6; turn += 1) {
    const ask = only(asked());
    turns.push(ask.solo ? 'alone' : 'other');
    const [fence] = answer(ask, 1, ask.solo ? { rows: 9, solo: 1 } : { rows: 9 });
    dispatcher.ended(fence!);
    assert.deepEqual(told(asked()), [], 'nothing is granted yet');
    dispatcher.granted('s1', 'plants', '1', 1);
  }
  assert.deepEqual(turns, ['other', 'alone', 'other', 'alone', 'other', 'alone']);
});

test('one at a time for each model, on the session that holds least; the others go on', () => {
  const { dispatcher, connect, asked, answer, told } = setup();
  connect('s1', 4);
  dispatcher.arrived('plants', 1);
  answer(only(asked()), 1);
  connect('s2', 4);
  dispatcher.soloArrived('plants');
  dispatcher.soloArrived('plants');
  const ask = only(asked());
  assert.deepEqual(told([ask]), ['s2 plants 4 alone']);
  answer(ask, 1, { solo: 1 });
  dispatcher.arrived('plants', 1);
  assert.deepEqual(told(asked()), ['s1 plants 1']);
});

test('a session that is lost on the way, or drains, leaves the suspect to another', () => {
  for (const leave of ['closed', 'draining'] as const) {
    const { dispatcher, connect, asked, answer, told } = setup();
    connect('s1', 4);
    dispatcher.arrived('plants', 1);
    answer(only(asked()), 1);
    dispatcher.soloArrived('plants');
    assert.deepEqual(asked(), []);
    if (leave === 'closed') dispatcher.closed('s1', false);
    else dispatcher.draining('s1');
    connect('s2', 4);
    assert.deepEqual(told(asked()), ['s2 plants 4 alone'], leave);
  }
});

test('one that dies with its suspect is forgotten, and the next suspect finds another', () => {
  const { dispatcher, connect, asked, answer, told } = setup();
  connect('s1', 4);
  dispatcher.soloArrived('plants');
  answer(only(asked()), 1, { solo: 1 });
  connect('s2', 4);
  assert.deepEqual(asked(), [], 'one at a time');
  dispatcher.opened('s1 again', 'worker of s1');
  assert.deepEqual(told(asked()), ['s2 plants 4 alone']);
});

test('a question that found no suspect gives the session back, and is not asked again until one comes', () => {
  const { dispatcher, connect, asked, answer, told } = setup();
  connect('s1', 4);
  dispatcher.soloArrived('plants');
  answer(only(asked()), 0);
  assert.deepEqual(asked(), []);
  dispatcher.arrived('plants', 1);
  assert.deepEqual(told(asked()), ['s1 plants 1']);
});

test('a store that cannot answer is not asked in a loop', () => {
  const { dispatcher, connect, asked, told } = setup();
  connect('s1', 4);
  dispatcher.soloArrived('plants');
  dispatcher.claimFailed(only(asked()));
  assert.deepEqual(asked(), []);
  dispatcher.seenWaiting('plants', 0, 1);
  assert.deepEqual(told(asked()), ['s1 plants 4 alone']);
});
