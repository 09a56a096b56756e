/** Whether the sessions here have room for what waits: who asks for it, and when others must hear of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRandom } from '../../test/support/random.ts';
import { createDispatcher } from './dispatcher.ts';
import type { Job } from './job.ts';
import type { Ask } from './session.ts';

function setup() {
  const asks: Ask[] = [];
  let made = 0;
  const dispatcher = createDispatcher({
    random: createRandom(1).next,
    monotonic: () => 0,
    leaseMs: 18_000,
    limits: { workerMaxRows: null, models: new Map([['limited', { reservedRows: 0, maxRows: 1 }]]) },
    effects: {
      claim: (ask) => void asks.push(ask),
      assign: () => undefined,
      giveBack: () => undefined,
      cancel: () => undefined,
      close: () => undefined,
      release: () => undefined,
    },
  });
  /** Credit by version; the highest one serves who names none. */
  function connect(session: string, rows: Readonly<Record<string, number>>, model = 'plants'): void {
    dispatcher.opened(session, `worker of ${session}`);
    const versions = Object.entries(rows);
    dispatcher.models(
      session,
      versions.map(([version]) => ({ name: model, version, state: 'ready', kind: 'echo', maxRows: 8 })),
    );
    for (const [version, free] of versions) if (free > 0) dispatcher.granted(session, model, version, free);
  }
  function asked(): Ask[] {
    dispatcher.pump();
    return asks.splice(0);
  }
  function answer(ask: Ask, jobs: number, leftRows: number): void {
    const taken = Array.from({ length: jobs }, () => {
      made += 1;
      return { id: `job-${made}`, attempt: 1, rows: 1, createdAt: 0, startedAt: 0, version: null } as unknown as Job;
    });
    dispatcher.answered(ask, taken, leftRows);
  }
  return { dispatcher, connect, asked, answer, isShort: dispatcher.isShort };
}

test('it is short where more waits than it could ask for, and knows better when it is answered', () => {
  const { dispatcher, connect, asked, answer, isShort } = setup();
  dispatcher.arrived('plants', 1);
  assert.deepEqual(asked(), []);
  assert.ok(isShort('plants', null), 'nobody serves it');
  connect('s1', { 1: 2 });
  const [first] = asked();
  assert.ok(!isShort('plants', null), 'asked for');
  dispatcher.arrived('plants', 1);
  const [second] = asked();
  assert.ok(!isShort('plants', null), 'room for both');
  answer(first!, 1, 1);
  answer(second!, 1, 1);
  assert.deepEqual(asked(), []);
  assert.ok(isShort('plants', null), 'what others brought took the room');
  dispatcher.granted('s1', 'plants', '1', 2);
  const [third] = asked();
  answer(third!, 0, 0);
  assert.deepEqual(asked(), []);
  assert.ok(!isShort('plants', null), 'nothing waits');
});

test('of a version that is named it is short where that one has no room', () => {
  const { dispatcher, connect, asked, answer, isShort } = setup();
  connect('s1', { 1: 1, 2: 2 });
  for (const hasRoom of [true, false]) {
    dispatcher.arrived('plants', 1, '1');
    for (let open = asked(); open.length > 0; open = asked()) {
      assert.equal(isShort('plants', '1'), !hasRoom);
      for (const ask of open) answer(ask, ask.namedOnly ? 1 : 0, 0);
    }
    assert.equal(isShort('plants', '1'), !hasRoom);
    assert.ok(!isShort('plants', null), 'who names none is served');
  }
});

test('of a version that nobody here serves it is short', () => {
  const { dispatcher, connect, asked, isShort } = setup();
  connect('s1', { 2: 4 });
  dispatcher.arrived('plants', 1, '3');
  asked();
  assert.ok(isShort('plants', '3'));
});

test('of a version that takes its share it is short when whoever was asked had none of it, and that one is busy', () => {
  const { dispatcher, connect, asked, answer, isShort } = setup();
  connect('s1', { 1: 1 });
  connect('s2', { 2: 0 });
  dispatcher.arrived('plants', 1, '2');
  const [ask] = asked();
  assert.equal(ask?.offer.version, '1');
  answer(ask, 0, 0);
  assert.deepEqual(asked(), []);
  assert.ok(isShort('plants', '2'));
});

test('a limit makes it short like credit does, and so does a job that is larger than all that is free', () => {
  const { dispatcher, connect, asked, answer, isShort } = setup();
  connect('s1', { 1: 4 }, 'limited');
  dispatcher.arrived('limited', 2);
  assert.equal(asked()[0]?.maxRows, 1);
  assert.ok(isShort('limited', null));

  connect('s2', { 1: 4 });
  dispatcher.arrived('plants', 4);
  answer(asked()[0]!, 4, 0);
  dispatcher.granted('s2', 'plants', '1', 2);
  dispatcher.arrived('plants', 4);
  for (let open = asked(); open.length > 0; open = asked()) for (const ask of open) answer(ask, 0, 4);
  assert.ok(isShort('plants', null));
});

test('who stopped claiming is short of everything', () => {
  const { dispatcher, connect, isShort } = setup();
  connect('s1', { 1: 4 });
  dispatcher.stopClaiming();
  assert.ok(isShort('plants', null));
});
