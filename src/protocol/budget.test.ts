import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { assignOf, greetedPair, TIMERS } from '../../test/support/wire.ts';
import { createByteBudget } from './budget.ts';
import type { ByteBudget } from './budget.ts';
import { Inbound } from './inbound.ts';
import type { Limits } from './limits.ts';

const KIB = 1_024;
const LIMITS: Limits = {
  maxPayloadBytes: 8 * KIB * KIB,
  streamWindowBytes: 64 * KIB,
  connectionWindowBytes: 128 * KIB,
  maxStreams: 16,
};

/** The receiving half alone; what it grants is written down by stream. */
function receiver(budget: ByteBudget): { inbound: Inbound; granted: Map<number, number>; delivered: string[] } {
  const granted = new Map<number, number>();
  const delivered: string[] = [];
  const inbound = new Inbound({
    limits: LIMITS,
    budget,
    peerIsOdd: false,
    grant: (stream, increment) => granted.set(stream, (granted.get(stream) ?? 0) + increment),
    deliver: (message) => delivered.push('job' in message ? message.job : message.type),
  });
  return { inbound, granted, delivered };
}

const bytes = Buffer.alloc(64 * KIB);
/** `count` bytes of a payload of `total`, of which this is the end when `last`. */
const feed = (inbound: Inbound, stream: number, count: number, last = false): void =>
  inbound.data(stream, bytes, 0, count, last);

void test('while there is room, a window is given back when half of it is used', () => {
  const { inbound, granted } = receiver(createByteBudget());
  inbound.open(2, assignOf('a', 1_000_000), 1_000_000);
  feed(inbound, 2, 32 * KIB - 1);
  assert.equal(granted.get(2), undefined);
  feed(inbound, 2, 1);
  assert.equal(granted.get(2), 32 * KIB);
  feed(inbound, 2, 32 * KIB);
  assert.deepEqual(
    [...granted],
    [
      [2, 64 * KIB],
      [0, 64 * KIB],
    ],
  );
});

void test('no credit is given for bytes that will never come', () => {
  const { inbound, granted } = receiver(createByteBudget());
  inbound.open(2, assignOf('a', 80 * KIB), 80 * KIB);
  feed(inbound, 2, 64 * KIB);
  assert.equal(granted.get(2), 64 * KIB);
  inbound.open(4, assignOf('b', 60 * KIB), 60 * KIB);
  feed(inbound, 4, 50 * KIB);
  assert.equal(granted.get(4), undefined);
});

void test('a full budget reopens windows for one connection at a time, there for its oldest stream', () => {
  const budget = createByteBudget(100 * KIB);
  const [a, b] = [receiver(budget), receiver(budget)];
  for (const { inbound } of [a, b]) {
    inbound.open(2, assignOf('old', 96 * KIB), 96 * KIB);
    inbound.open(4, assignOf('young', 96 * KIB), 96 * KIB);
  }
  feed(a.inbound, 4, 30 * KIB);
  feed(b.inbound, 4, 60 * KIB);
  feed(b.inbound, 2, 50 * KIB);
  const before = new Map(b.granted);
  feed(a.inbound, 2, 64 * KIB);
  // b came first: its oldest goes on although the budget is full, a waits.
  assert(budget.full);
  assert.equal(before.get(2), 50 * KIB);
  assert.equal(a.granted.get(2), undefined);
  feed(b.inbound, 2, 46 * KIB, true);
  assert.deepEqual(b.delivered, ['old']);
  // Now it is a's turn.
  assert.equal(a.granted.get(2), 64 * KIB);
  a.inbound.close();
  b.inbound.close();
  assert.equal(budget.usedBytes, 0);
});

void test('room that comes back reopens what waited', () => {
  const budget = createByteBudget(100 * KIB);
  const { inbound, granted } = receiver(budget);
  const holder = { onRoom: () => undefined };
  budget.take(200 * KIB);
  budget.wait(holder);
  inbound.open(2, assignOf('a', 96 * KIB), 96 * KIB);
  feed(inbound, 2, 64 * KIB);
  assert.equal(granted.size, 0);
  budget.release(200 * KIB);
  assert.equal(granted.get(2), 64 * KIB);
});

void test('a connection whose turn ends because there is room again reopens what it held back', () => {
  // Found by fuzzing (property honest, seed 1): the second payload stood still for ever.
  const budget = createByteBudget(100 * KIB);
  const { inbound, granted } = receiver(budget);
  for (const stream of [2, 4]) inbound.open(stream, assignOf('x', 96 * KIB), 96 * KIB);
  for (const stream of [2, 4]) feed(inbound, stream, 64 * KIB - 1);
  feed(inbound, 4, 1);
  feed(inbound, 2, 1);
  assert.equal(granted.get(4), undefined);
  feed(inbound, 2, 20 * KIB);
  feed(inbound, 2, 12 * KIB - 1);
  feed(inbound, 2, 1, true);
  assert.equal(granted.get(4), 64 * KIB);
});

void test('the one whose turn it is hears of room that others made', () => {
  const budget = createByteBudget(100 * KIB);
  const { inbound, granted } = receiver(budget);
  budget.take(100 * KIB);
  for (const stream of [2, 4]) inbound.open(stream, assignOf('x', 96 * KIB), 96 * KIB);
  feed(inbound, 4, 64 * KIB);
  assert.equal(granted.get(4), undefined);
  budget.release(100 * KIB);
  assert.equal(granted.get(4), 64 * KIB);
});

void test('a turn without progress goes to the next', () => {
  const budget = createByteBudget(1);
  const [a, b] = [receiver(budget), receiver(budget)];
  for (const { inbound } of [a, b]) {
    inbound.open(2, assignOf('x', 96 * KIB), 96 * KIB);
    feed(inbound, 2, 64 * KIB);
  }
  assert.deepEqual([a.granted.get(2), b.granted.get(2)], [64 * KIB, undefined]);
  a.inbound.checkTurn();
  assert.equal(b.granted.get(2), undefined);
  a.inbound.checkTurn();
  assert.equal(b.granted.get(2), 64 * KIB);
});

void test('the turn of a connection that closes goes to the next', () => {
  const budget = createByteBudget(1);
  const [a, b] = [receiver(budget), receiver(budget)];
  for (const { inbound } of [a, b]) {
    inbound.open(2, assignOf('x', 96 * KIB), 96 * KIB);
    feed(inbound, 2, 64 * KIB);
  }
  a.inbound.close();
  a.inbound.close();
  assert.equal(b.granted.get(2), 64 * KIB);
});

void test('many connections under a budget far too small deliver everything, and give it all back', async () => {
  const budget = createByteBudget(256 * KIB);
  const clock = createManualClock();
  let most = 0;
  const pairs = await Promise.all(
    Array.from({ length: 4 }, () =>
      greetedPair({
        clock,
        worker: { limits: LIMITS, budget, onMessage: () => (most = Math.max(most, budget.usedBytes)) },
      }),
    ),
  );
  for (const { gateway } of pairs) {
    for (let n = 0; n < 12; n++) gateway.connection.send(assignOf(`${n}`, 600_000), Buffer.alloc(600_000, n));
  }
  for (let waited = 0; waited < 20_000 && pairs.some(({ worker }) => worker.received.length < 12); waited++) {
    await new Promise(setImmediate);
    if (waited % 500 === 499) clock.advance(TIMERS.pingMs);
  }
  for (const { worker, gateway } of pairs) {
    assert.equal(worker.received.length, 12);
    assert.deepEqual([...worker.closes, ...gateway.closes], []);
    worker.connection.destroy();
    gateway.connection.destroy();
  }
  assert.equal(budget.usedBytes, 0);
  // The limit, the windows of 16 streams on each of four connections, and one payload beyond.
  assert(most <= 256 * KIB + 4 * 16 * 64 * KIB + 600_000, `${most}`);
});
