/** The credit of several links, against gateways that only know what has arrived. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createCreditPool, type CreditPool, type LinkCredit } from './pool.ts';

const M = ['m', '1'] as const;

/** One gateway and its wire, both ways in order. What is on the wire is held by nobody else. */
class Gateway {
  readonly #credit: LinkCredit;
  readonly name: string;
  connected = false;
  draining = false;
  freeRows = 0;
  toGateway: { type: 'grant' | 'withdraw'; rows: number }[] = [];
  toWorker: { type: 'assign' | 'withdrawn'; rows: number }[] = [];
  readonly running: number[] = [];
  asked = 0;

  constructor(pool: CreditPool, name: string) {
    this.name = name;
    this.#credit = pool.open(() => undefined);
  }

  connect(): void {
    this.connected = true;
    this.draining = false;
    this.#credit.connected(this.name, true);
  }

  lose(): void {
    this.connected = false;
    [this.freeRows, this.toGateway, this.toWorker] = [0, [], []];
    this.#credit.lost();
  }

  /** `isFull`: too much waits for acks, so nothing may be granted. */
  flush(isFull = false): void {
    if (!this.connected) return;
    for (const { rows } of isFull ? [] : this.#credit.due()) this.toGateway.push({ type: 'grant', rows });
    for (const { rows } of this.#credit.withdrawals()) {
      this.asked += 1;
      this.toGateway.push({ type: 'withdraw', rows });
    }
  }

  assign(rows: number): void {
    if (rows > this.freeRows) return;
    this.freeRows -= rows;
    this.toWorker.push({ type: 'assign', rows });
  }

  arriveThere(): void {
    const message = this.toGateway.shift();
    if (message?.type === 'grant') this.freeRows += message.rows;
    if (message?.type !== 'withdraw') return;
    const rows = Math.min(message.rows, this.freeRows);
    this.freeRows -= rows;
    this.toWorker.push({ type: 'withdrawn', rows });
  }

  arriveHere(): void {
    const message = this.toWorker.shift();
    if (message?.type === 'withdrawn') this.#credit.withdrawn(...M, message.rows);
    if (message?.type !== 'assign') return;
    assert.equal(this.#credit.take(...M, message.rows), true, 'what was granted can be taken');
    this.running.push(message.rows);
  }

  end(): void {
    const rows = this.running.shift();
    if (rows !== undefined) this.#credit.release(...M, rows);
  }

  drains(): void {
    this.draining = true;
    this.#credit.draining();
  }

  /** Rows that it may have sent, or may still send. */
  get rows(): number {
    const onTheWire = [...this.toGateway, ...this.toWorker].filter(({ type }) => type !== 'withdraw');
    return sum(onTheWire.map(({ rows }) => rows)) + this.freeRows + sum(this.running);
  }
}

const sum = (rows: readonly number[]): number => rows.reduce((total, each) => total + each, 0);

/** Until nothing is on any wire. More rounds than this would be messages without an end. */
function settle(gateways: readonly Gateway[]): void {
  for (let round = 0; round < 40; round += 1) {
    for (const gateway of gateways) gateway.flush();
    if (gateways.every(({ toGateway, toWorker }) => toGateway.length + toWorker.length === 0)) return;
    for (const gateway of gateways) {
      while (gateway.toGateway.length > 0) gateway.arriveThere();
      while (gateway.toWorker.length > 0) gateway.arriveHere();
    }
  }
  assert.fail('it does not come to rest');
}

function scene(count: number, rows: number, minRows = 1): { pool: CreditPool; gateways: Gateway[] } {
  const pool = createCreditPool({ worker: () => 'gpu-1' });
  pool.setCapacity(...M, rows, minRows);
  const gateways = Array.from({ length: count }, (_, n) => new Gateway(pool, `gateway-${n}`));
  for (const gateway of gateways) gateway.connect();
  settle(gateways);
  return { pool, gateways };
}

const free = (gateways: readonly Gateway[]): number[] => gateways.map(({ freeRows }) => freeRows).sort((a, b) => a - b);

void test('a second gateway gets its half as soon as the first has given it back, and all of it when the first is lost', () => {
  const pool = createCreditPool({ worker: () => 'gpu-1' });
  pool.setCapacity(...M, 9, 1);
  const [a, b] = [new Gateway(pool, 'a'), new Gateway(pool, 'b')];
  a.connect();
  settle([a, b]);
  assert.equal(a.freeRows, 9);
  b.connect();
  b.flush();
  assert.deepEqual(b.toGateway, [], 'nothing is free before the first has given something back');
  settle([a, b]);
  assert.deepEqual(free([a, b]), [4, 5]);
  a.assign(2);
  settle([a, b]);
  a.lose();
  settle([a, b]);
  assert.equal(b.freeRows, 7, 'two rows still run');
  a.end();
  settle([a, b]);
  assert.equal(b.freeRows, 9);
});

void test('rows that run at the first are not granted to the second before they end', () => {
  const { pool, gateways } = scene(1, 4);
  const [a] = gateways as [Gateway];
  const b = new Gateway(pool, 'b');
  for (let n = 0; n < 4; n += 1) a.assign(1);
  settle([a]);
  b.connect();
  settle([a, b]);
  assert.equal(b.freeRows, 0);
  a.end();
  settle([a, b]);
  assert.deepEqual([a.freeRows, b.freeRows], [0, 1]);
  a.end();
  a.end();
  settle([a, b]);
  assert.deepEqual([a.freeRows, b.freeRows], [1, 2]);
});

void test('a gateway that has used up its credit is lent what another one does not use, and lends it back', () => {
  const { gateways } = scene(2, 16);
  const [busy, idle] = gateways as [Gateway, Gateway];
  for (let turn = 0; turn < 20; turn += 1) {
    while (busy.freeRows > 0) busy.assign(1);
    settle(gateways);
  }
  assert.equal(sum(busy.running), 15, 'one row stays, so that the other one can begin at once');
  assert.equal(idle.freeRows, 1);
  idle.assign(1);
  settle(gateways);
  // The first goes on as fast as before, the second takes whatever it gets.
  for (let turn = 0; turn < 60; turn += 1) {
    busy.end();
    idle.end();
    settle(gateways);
    while (idle.freeRows > 0) idle.assign(1);
    settle(gateways);
  }
  assert.ok(sum(idle.running) >= 8, `${sum(idle.running)} of 16 rows run at the second`);
});

void test('where jobs have many rows nobody is left with less than one of them needs', () => {
  const { gateways } = scene(4, 16, 8);
  assert.deepEqual(free(gateways), [0, 0, 8, 8]);
  const busy = gateways.find(({ freeRows }) => freeRows === 8)!;
  busy.assign(8);
  settle(gateways);
  assert.deepEqual(free(gateways), [0, 0, 0, 8]);
});

void test('a gateway that drains gives back what it has not used, and gets nothing more', () => {
  const { gateways } = scene(2, 8);
  const [a, b] = gateways as [Gateway, Gateway];
  a.assign(1);
  settle(gateways);
  a.drains();
  settle(gateways);
  assert.deepEqual([a.freeRows, b.freeRows], [0, 7]);
  a.end();
  settle(gateways);
  assert.deepEqual([a.freeRows, b.freeRows], [0, 8]);
});

void test('rows that end while nothing may be granted are granted as soon as it may', () => {
  const { gateways } = scene(1, 4);
  const [a] = gateways as [Gateway];
  for (let n = 0; n < 4; n += 1) a.assign(1);
  settle(gateways);
  while (a.running.length > 0) a.end();
  a.flush(true);
  assert.deepEqual(a.toGateway, []);
  settle(gateways);
  assert.equal(a.freeRows, 4);
});

void test('one gateway alone is never asked for anything back', () => {
  const { pool, gateways } = scene(1, 8);
  pool.setCapacity(...M, 2, 1);
  settle(gateways);
  assert.deepEqual([gateways[0]!.freeRows, gateways[0]!.asked], [8, 0]);
});

void test('whatever happens in whatever order, all gateways together never have more than the worker takes, and all of it comes back', () => {
  const at = fc.nat(2);
  const step = fc.oneof(
    { weight: 1, arbitrary: fc.record({ type: fc.constant('capacity' as const), at, rows: fc.nat(24) }) },
    ...(['connect', 'connect', 'connect', 'lose', 'drain', 'review'] as const).map((type) => ({
      weight: 2,
      arbitrary: fc.record({ type: fc.constant(type), at, rows: fc.constant(0) }),
    })),
    ...(['flush', 'flushFull', 'there', 'here', 'end', 'exchange'] as const).map((type) => ({
      weight: 4,
      arbitrary: fc.record({ type: fc.constant(type), at, rows: fc.constant(0) }),
    })),
    {
      weight: 6,
      arbitrary: fc.record({ type: fc.constant('assign' as const), at, rows: fc.integer({ min: 1, max: 6 }) }),
    },
  );
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 150, size: 'max' }),
      fc.integer({ min: 1, max: 24 }),
      fc.constantFrom(1, 1, 4),
      (steps, first, minRows) => {
        const pool = createCreditPool({ worker: () => 'gpu-1' });
        const gateways = Array.from({ length: 3 }, (_, n) => new Gateway(pool, `gateway-${n}`));
        let [capacity, largest] = [first, first];
        pool.setCapacity(...M, first, minRows);
        const check = (): void => assert.ok(sum(gateways.map(({ rows }) => rows)) <= largest);
        for (const { type, at, rows } of steps) {
          const gateway = gateways[at]!;
          if (type === 'capacity') pool.setCapacity(...M, (capacity = rows), minRows);
          else if (type === 'connect') {
            if (!gateway.connected) gateway.connect();
          } else if (type === 'lose') gateway.lose();
          else if (type === 'drain') gateway.drains();
          else if (type === 'review') pool.review();
          else if (type === 'flush') gateway.flush();
          else if (type === 'flushFull') gateway.flush(true);
          else if (type === 'there') gateway.arriveThere();
          else if (type === 'here') gateway.arriveHere();
          else if (type === 'end') gateway.end();
          else if (type === 'exchange') {
            gateway.flush();
            gateway.arriveThere();
            gateway.arriveHere();
          } else gateway.assign(rows);
          largest = Math.max(largest, capacity);
          check();
        }
        // Everything that runs ends: who is linked then has all of it, and more only where nobody is asked to give back.
        settle(gateways);
        for (const gateway of gateways) while (gateway.running.length > 0) gateway.end();
        settle(gateways);
        pool.review();
        settle(gateways);
        const isTaken = gateways.some(({ connected, draining }) => connected && !draining);
        assert.ok(!isTaken || sum(gateways.map(({ freeRows }) => freeRows)) >= capacity);
        // And once all are linked anew: nothing is lost and nothing is too much.
        for (const gateway of gateways) {
          gateway.lose();
          gateway.connect();
        }
        settle(gateways);
        for (const gateway of gateways) while (gateway.running.length > 0) gateway.end();
        settle(gateways);
        pool.review();
        settle(gateways);
        assert.equal(sum(gateways.map(({ freeRows }) => freeRows)), capacity);
        assert.equal(pool.busyRows(...M), 0);
      },
    ),
    { numRuns: 2_000 },
  );
});
