import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Connection } from '../protocol/connection.ts';
import { MAX_PARTIAL_BYTES, PARTIAL_WINDOW_BYTES, PARTIAL_WINDOW_COUNT } from '../protocol/limits.ts';
import { createPartSender } from './part-sender.ts';

const ATTEMPT = { job: 'job', attempt: 1 };

function setup() {
  const sent: number[] = [];
  let via: Connection | null = null;
  const sender = createPartSender({
    send(message) {
      if (message.type === 'partial') sent.push(message.seq);
      return via;
    },
  });
  let seq = 0;
  return {
    sender,
    take: () => sent.splice(0),
    add: (bytes = 1) => sender.add(ATTEMPT, seq++, 'text/plain', new Uint8Array(bytes)),
    carryBy: (connection: Connection | null) => (via = connection),
  };
}

const settled = async (promise: Promise<void> | undefined): Promise<boolean> => {
  let done = false;
  void promise?.then(() => (done = true));
  await new Promise(setImmediate);
  return done;
};

void test('parts go out as they come, up to the window; then the model waits for acks', async () => {
  const { sender, take, add } = setup();
  sender.restart();
  for (let n = 0; n < PARTIAL_WINDOW_COUNT; n += 1) assert.equal(add(), undefined);
  const behind = add();
  assert.ok(behind);
  assert.equal(take().length, PARTIAL_WINDOW_COUNT);
  assert.equal(await settled(behind), false);
  sender.acked(ATTEMPT, 0);
  assert.deepEqual(take(), [PARTIAL_WINDOW_COUNT]);
  assert.equal(await settled(behind), true);
});

void test('the window is one of bytes too, and one large part may go beyond it', async () => {
  const { sender, take, add } = setup();
  sender.restart();
  assert.equal(add(PARTIAL_WINDOW_BYTES - 1), undefined);
  assert.equal(add(MAX_PARTIAL_BYTES), undefined);
  const behind = add();
  assert.deepEqual(take(), [0, 1]);
  sender.acked(ATTEMPT, 0);
  assert.deepEqual(take(), [], 'the large one is still on its way');
  sender.acked(ATTEMPT, 1);
  assert.deepEqual(take(), [2]);
  assert.equal(await settled(behind), true);
});

void test('after a reconnect nothing is sent until the gateway says how far it is; then what follows, or all again', () => {
  const { sender, take, add } = setup();
  assert.ok(add(), 'there is no link yet');
  sender.restart();
  assert.deepEqual(take(), []);
  sender.acked(ATTEMPT, -1);
  for (let n = 0; n < 3; n += 1) void add();
  sender.acked(ATTEMPT, 1);
  assert.deepEqual(take(), [0, 1, 2, 3]);
  sender.stop();
  void add();
  sender.restart();
  void add();
  assert.deepEqual(take(), []);
  sender.acked(ATTEMPT, 1);
  assert.deepEqual(take(), [2, 3, 4, 5], 'the same gateway has the first two');
  sender.restart();
  sender.acked(ATTEMPT, -1);
  assert.deepEqual(take(), [0, 1, 2, 3, 4, 5], 'one that was restarted has none');
  // An ack of what never was changes nothing.
  sender.acked(ATTEMPT, 900);
  sender.acked({ job: 'other', attempt: 1 }, 3);
  assert.equal(add(), undefined);
});

void test('what a data connection carried is sent again when it dies, unless it was acked', () => {
  const { sender, take, add, carryBy } = setup();
  const [one, other] = [{}, {}] as [Connection, Connection];
  sender.restart();
  carryBy(one);
  for (let n = 0; n < 2; n += 1) void add();
  carryBy(other);
  void add();
  carryBy(null);
  void add();
  take();
  sender.acked(ATTEMPT, 0);
  sender.lost(one);
  assert.deepEqual(take(), [1]);
  sender.lost(one);
  assert.deepEqual(take(), [], 'it travels elsewhere now');
});

void test('an attempt that ends lets its model go on, and gives its room back', async () => {
  const { sender, add } = setup();
  const behind = add();
  sender.end(ATTEMPT);
  assert.equal(await settled(behind), true);
  let many = 0;
  assert.throws(
    () => {
      for (; ; many += 1)
        void sender.add({ job: `job-${many}`, attempt: 1 }, 0, 'a/b', new Uint8Array(MAX_PARTIAL_BYTES));
    },
    { code: 'model_unavailable' },
  );
  assert.equal(many, 31);
  sender.end({ job: 'job-0', attempt: 1 });
  void sender.add({ job: 'again', attempt: 1 }, 0, 'a/b', new Uint8Array(MAX_PARTIAL_BYTES));
});
