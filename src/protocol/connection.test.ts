import assert from 'node:assert/strict';
import { Duplex, duplexPair } from 'node:stream';
import { test } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import {
  assignOf,
  dataFrame,
  frame,
  greetedPair,
  HELLO,
  inlineFrame,
  messageFrame,
  openEnd,
  SESSION,
  TIMERS,
  greetedRaw,
  WELCOME,
} from '../../test/support/wire.ts';
import type { End } from '../../test/support/wire.ts';
import { PosternError } from '../errors.ts';
import { createByteBudget } from './budget.ts';
import { FLAG_STREAMED, FRAME_MESSAGE, FRAME_RESET, resetFrame, windowFrame } from './frames.ts';
import { DEFAULT_LIMITS, MAX_PAYLOAD_BYTES, WRITE_STALL_MS } from './limits.ts';
import type { Limits } from './limits.ts';

const MIB = 1024 * 1024;
const SMALL: Limits = {
  maxPayloadBytes: 8 * MIB,
  streamWindowBytes: 65_536,
  connectionWindowBytes: 131_072,
  maxStreams: 2,
};

/** The same bytes, one at a time. */
function byteAtATime(): [Duplex, Duplex] {
  const [a, b] = duplexPair();
  const emit = b.emit.bind(b);
  b.emit = (event: string | symbol, ...args: unknown[]): boolean => {
    if (event !== 'data') return emit(event, ...args);
    const chunk = args[0] as Buffer;
    for (let at = 0; at < chunk.length; at++) emit('data', chunk.subarray(at, at + 1));
    return true;
  };
  return [a, b];
}

void test('payloads of every size arrive whole, inline or streamed', async () => {
  const { worker, gateway } = await greetedPair();
  const sizes = [0, 1, 1_000, 16_384, 16_385, 65_536, 100_000, 5_000_000, MAX_PAYLOAD_BYTES];
  for (const [n, bytes] of sizes.entries()) {
    gateway.connection.send(assignOf(`job-${n}`, bytes), Buffer.alloc(bytes, n + 1));
  }
  await worker.until(() => worker.received.length === sizes.length);
  for (const { message, payload } of worker.received) {
    assert(message.type === 'assign');
    const n = Number(message.job.slice(4));
    assert(payload.equals(Buffer.alloc(sizes[n]!, n + 1)), `payload ${n}`);
  }
  assert.equal(gateway.connection.queuedBytes, 0);
  worker.connection.destroy();
});

void test('a stream that delivers one byte at a time carries everything too', async () => {
  const { worker, gateway } = await greetedPair({ streams: byteAtATime() });
  worker.connection.send({ type: 'probe', bytes: 40_000 }, Buffer.alloc(40_000, 'p'));
  worker.connection.send({ type: 'probe', bytes: 10 }, Buffer.from('0123456789'));
  worker.connection.send({ type: 'drained' });
  await gateway.until(() => gateway.received.length === 3);
  assert.deepEqual(gateway.received.map(({ payload }) => payload.length).sort(), [0, 10, 40_000].sort());
  worker.connection.destroy();
});

void test('text beyond ASCII keeps its length and its meaning', async () => {
  const { worker, gateway } = await greetedPair();
  const message = '진달래 \u0000 \ufffd 🌱 "quoted"';
  worker.connection.send({ type: 'progress', job: 'a', attempt: 1, message });
  worker.connection.send(
    { type: 'partial', job: '잡', attempt: 1, seq: 0, contentType: 'text/plain', bytes: 2 },
    Buffer.from('ab'),
  );
  await gateway.until(() => gateway.received.length === 2);
  assert.deepEqual(gateway.received[0]?.message, { type: 'progress', job: 'a', attempt: 1, message });
  assert.equal(gateway.received[1]?.payload.toString(), 'ab');
  worker.connection.destroy();
});

void test('a message overtakes the payload in front of it, and payloads share the way', async () => {
  const { worker, gateway } = await greetedPair();
  gateway.connection.send(assignOf('large', 8 * MIB), Buffer.alloc(8 * MIB));
  gateway.connection.send(assignOf('small', 100_000), Buffer.alloc(100_000));
  gateway.connection.send({ type: 'cancel', job: 'other', attempt: 1, reason: 'caller' });
  await worker.until(() => worker.received.length === 3);
  const order = worker.received.map(({ message }) => ('job' in message ? message.job : message.type));
  assert.deepEqual(order, ['other', 'small', 'large']);
  worker.connection.destroy();
});

void test('narrow windows and few streams delay payloads but lose none', async () => {
  const { worker, gateway } = await greetedPair({ worker: { limits: SMALL } });
  for (let n = 0; n < 12; n++) gateway.connection.send(assignOf(`${n}`, 700_000), Buffer.alloc(700_000, n));
  await worker.until(() => worker.received.length === 12);
  for (const { message, payload } of worker.received) {
    assert(message.type === 'assign' && payload.equals(Buffer.alloc(700_000, Number(message.job))));
  }
  worker.connection.destroy();
});

void test('whoever breaks the rules is told how, and the connection ends with that code', async (t) => {
  const streamed = (bytes: number, stream: number): Buffer => messageFrame(assignOf('j', bytes), FLAG_STREAMED, stream);
  const cases: [string, Buffer, string][] = [
    ['text that is not JSON', frame(FRAME_MESSAGE, 0, 0, Buffer.from('{nope')), 'message_invalid'],
    [
      'bytes that are not UTF-8',
      frame(FRAME_MESSAGE, 0, 0, Buffer.from('7b2261223a22ff227d', 'hex')),
      'message_invalid',
    ],
    ['an unknown type', messageFrame({ type: 'shout' }), 'message_invalid'],
    ['a message without its fields', messageFrame({ type: 'assign', job: 'j' }), 'message_invalid'],
    ['JSON nested too deeply', frame(FRAME_MESSAGE, 0, 0, Buffer.from('['.repeat(500_000))), 'message_invalid'],
    [
      'a message of the other direction',
      messageFrame({ type: 'grant', model: 'm', version: '1', rows: 1 }),
      'protocol_error',
    ],
    ['a payload that is missing', messageFrame(assignOf('j', 5)), 'protocol_error'],
    ['an inline payload that is too short', inlineFrame(assignOf('j', 5), Buffer.alloc(4)), 'protocol_error'],
    ['an inline payload nobody announced', inlineFrame({ type: 'drained' }, Buffer.alloc(1)), 'protocol_error'],
    ['an inline frame without payload', inlineFrame(assignOf('j', 0), Buffer.alloc(0)), 'protocol_error'],
    ['an inline payload over its limit', inlineFrame(assignOf('j', 16_385), Buffer.alloc(16_385)), 'frame_too_large'],
    ['JSON longer than its frame', frame(FRAME_MESSAGE, 1, 0, Buffer.from([0, 0, 0, 9, 123, 125])), 'protocol_error'],
    ['an inline frame too short for a length', frame(FRAME_MESSAGE, 1, 0, Buffer.from([0, 0])), 'protocol_error'],
    ['a streamed message without payload', messageFrame({ type: 'drained' }, FLAG_STREAMED, 2), 'protocol_error'],
    ['an odd stream from the gateway', streamed(20_000, 3), 'protocol_error'],
    [
      'a stream id used again',
      Buffer.concat([streamed(5, 2), dataFrame(2, Buffer.alloc(5), true), streamed(5, 2)]),
      'protocol_error',
    ],
    ['a stream id going back', Buffer.concat([streamed(5, 4), streamed(5, 2)]), 'protocol_error'],
    ['data for no stream', dataFrame(2, Buffer.alloc(1), false), 'protocol_error'],
    [
      'more data than announced',
      Buffer.concat([streamed(5, 2), dataFrame(2, Buffer.alloc(6), false)]),
      'protocol_error',
    ],
    [
      'less data than announced',
      Buffer.concat([streamed(5, 2), dataFrame(2, Buffer.alloc(4), true)]),
      'protocol_error',
    ],
    [
      'all data without the end mark',
      Buffer.concat([streamed(5, 2), dataFrame(2, Buffer.alloc(5), false)]),
      'protocol_error',
    ],
    ['a reset of no stream', Buffer.from(resetFrame(2, 1)), 'protocol_error'],
    ['credit for a stream never opened', Buffer.from(windowFrame(1, 1)), 'protocol_error'],
    ['credit for the peer’s own stream', Buffer.from(windowFrame(2, 1)), 'protocol_error'],
    ['credit of nothing', Buffer.from(windowFrame(0, 0)), 'flow_control'],
    ['credit beyond all bounds', Buffer.from(windowFrame(0, 0xffff_ffff)), 'flow_control'],
    [
      'credit that adds up beyond all bounds',
      Buffer.concat([windowFrame(0, 0x7000_0000), windowFrame(0, 0x7000_0000)]),
      'flow_control',
    ],
    ['a payload over the limit', streamed(SMALL.maxPayloadBytes + 1, 2), 'frame_too_large'],
    ['too many streams at once', Buffer.concat([streamed(5, 2), streamed(5, 4), streamed(5, 6)]), 'flow_control'],
  ];
  for (const [name, bytes, code] of cases) {
    await t.test(name, async () => {
      const { end: worker, raw, sent } = await greetedRaw('worker', SMALL);
      raw.write(bytes);
      await worker.until(() => worker.closes.length === 1);
      assert.equal(worker.closes[0]?.code, code, worker.closes[0]?.message);
      await new Promise((resolve) => raw.once('end', resolve));
      assert(sent().toString('latin1').includes(`"type":"close","code":"${code}"`));
      worker.connection.destroy();
      assert.equal(worker.closes.length, 1);
    });
  }
});

void test('a peer that sends beyond its windows is cut off', async () => {
  // A full budget reopens no window but for the oldest stream of one connection; here that is another connection's.
  const budget = createByteBudget(1);
  const { end: other, raw: otherRaw } = await greetedRaw('worker', SMALL, budget);
  otherRaw.write(messageFrame(assignOf('a', 1_000_000), FLAG_STREAMED, 2));
  otherRaw.write(dataFrame(2, Buffer.alloc(65_536), false));
  const { end: worker, raw } = await greetedRaw('worker', SMALL, budget);
  raw.write(messageFrame(assignOf('a', 1_000_000), FLAG_STREAMED, 2));
  raw.write(dataFrame(2, Buffer.alloc(65_536), false));
  raw.write(messageFrame({ type: 'cancel', job: 'j', attempt: 1, reason: 'stale' }));
  await worker.until(() => worker.received.length === 1);
  raw.write(dataFrame(2, Buffer.alloc(1), false));
  await worker.until(() => worker.closes.length === 1);
  assert.equal(worker.closes[0]?.code, 'flow_control');
  other.connection.destroy();
  assert.equal(budget.usedBytes, 0);
});

void test('a reset voids the message and gives its room back', async () => {
  const { end: worker, raw } = await greetedRaw('worker', SMALL);
  for (let id = 2; id < 40; id += 2) {
    raw.write(messageFrame(assignOf(`${id}`, 20_000), FLAG_STREAMED, id));
    raw.write(dataFrame(id, Buffer.alloc(10_000), false));
    raw.write(frame(FRAME_RESET, 0, id, Buffer.from([0, 1])));
  }
  raw.write(messageFrame({ type: 'cancel', job: 'j', attempt: 1, reason: 'stale' }));
  await worker.until(() => worker.received.length === 1);
  assert.equal(worker.received[0]?.message.type, 'cancel');
  worker.connection.destroy();
});

void test('before the session is established one message is read, and no second', async () => {
  const [a, raw] = duplexPair();
  const gateway = openEnd(a, { clock: createManualClock() });
  raw.resume();
  raw.write(Buffer.concat([messageFrame(HELLO), messageFrame(HELLO)]));
  await gateway.until(() => gateway.closes.length === 1);
  assert.equal(gateway.received.length, 1);
  assert.equal(gateway.closes[0]?.code, 'protocol_error');
});

void test('a peer that establishes nothing in time is let go', async () => {
  const clock = createManualClock();
  const [a, raw] = duplexPair();
  const gateway = openEnd(a, { clock });
  raw.resume();
  clock.advance(4_999);
  assert.equal(gateway.closes.length, 0);
  clock.advance(1);
  assert.equal(gateway.closes[0]?.code, 'handshake_timeout');
  await new Promise((resolve) => raw.once('end', resolve));
});

void test('pings measure the round trip and keep a silent but living peer', async () => {
  const clock = createManualClock();
  const { worker, gateway } = await greetedPair({ clock });
  for (let n = 0; n < 10; n++) {
    clock.advance(TIMERS.pingMs);
    for (let turn = 0; turn < 6; turn++) await new Promise(setImmediate);
  }
  assert.equal(worker.connection.roundTripMs, 0);
  assert.deepEqual([...worker.closes, ...gateway.closes], []);
  worker.connection.destroy();
  gateway.connection.destroy();
  assert.equal(clock.timerCount, 0);
});

void test('a peer that was not heard for its deadline is dead, not a moment earlier', async () => {
  const clock = createManualClock();
  const { worker, gateway } = await greetedPair({ clock });
  gateway.stream.pause();
  for (let turn = 0; turn < 6; turn++) await new Promise(setImmediate);
  clock.advance(TIMERS.deadMs - 1);
  await new Promise(setImmediate);
  assert.equal(gateway.closes.length, 0);
  clock.advance(1);
  await gateway.until(() => gateway.closes.length === 1);
  assert.equal(gateway.closes[0]?.code, 'peer_dead');
  worker.connection.destroy();
});

void test('bytes that waited in the socket while the process was held up count before the verdict', async () => {
  const clock = createManualClock();
  const { worker, gateway } = await greetedPair({ clock });
  for (let turn = 0; turn < 6; turn++) await new Promise(setImmediate);
  worker.connection.send({ type: 'drained' });
  clock.advance(TIMERS.deadMs * 10);
  await gateway.until(() => gateway.received.length === 1);
  await new Promise(setImmediate);
  assert.equal(gateway.closes.length, 0);
  worker.connection.destroy();
});

void test('a peer that takes nothing for ten seconds is let go; one that takes a little stays', async () => {
  const clock = createManualClock();
  const taken: (() => void)[] = [];
  const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => void taken.push(done) });
  const gateway = openEnd(stream, { clock });
  gateway.connection.send(WELCOME);
  gateway.connection.establish(DEFAULT_LIMITS, { pingMs: 5_000, deadMs: 1_000_000 });
  await new Promise(setImmediate);
  for (let n = 0; n < 5; n++) {
    clock.advance(WRITE_STALL_MS - 1);
    taken.shift()!();
    await new Promise(setImmediate);
  }
  assert.equal(gateway.closes.length, 0);
  clock.advance(WRITE_STALL_MS);
  await gateway.until(() => gateway.closes.length === 1);
  assert.equal(gateway.closes[0]?.code, 'write_stalled');
});

void test('an orderly close flushes first, says why, and is no error for its owner', async () => {
  const clock = createManualClock();
  const { worker, gateway } = await greetedPair({ clock });
  worker.connection.send({ type: 'probe', bytes: 3 * MIB }, Buffer.alloc(3 * MIB));
  worker.connection.send({ type: 'drained' });
  worker.connection.close('draining', 'this worker was asked to stop');
  worker.connection.send({ type: 'drained' });
  assert(worker.connection.closed);
  await Promise.all([worker.until(() => worker.closes.length === 1), gateway.until(() => gateway.closes.length === 1)]);
  assert.deepEqual(gateway.received.map(({ message }) => message.type).sort(), ['drained', 'probe']);
  assert.equal(worker.closes[0], null);
  assert.equal(gateway.closes[0]?.code, 'draining');
  assert.match(gateway.closes[0].message, /asked to stop/);
  await new Promise(setImmediate);
  assert.equal(clock.timerCount, 0);
});

void test('a close whose payload is stuck still says its word within the second', async () => {
  const clock = createManualClock();
  const [a, raw] = duplexPair();
  let sent = '';
  raw.on('data', (chunk: Buffer) => (sent += chunk.toString('latin1')));
  const gateway = openEnd(a, { clock });
  gateway.connection.send(WELCOME);
  gateway.connection.establish(SMALL, TIMERS);
  gateway.connection.send(assignOf('stuck', MIB), Buffer.alloc(MIB));
  gateway.connection.close('draining', 'enough');
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  assert(!sent.includes('enough'));
  clock.advance(999);
  await new Promise((resolve) => raw.once('end', resolve));
  assert(sent.includes('"code":"draining","message":"enough"'));
  clock.advance(1);
  await gateway.until(() => gateway.closes.length === 1);
  assert.equal(gateway.closes[0], null);
  assert.equal(clock.timerCount, 0);
});

void test('a lost stream, an error and a destroy each end in one onClose', async () => {
  for (const [end, code] of [
    [(each: End) => each.stream.destroy(), 'connection_lost'],
    [(each: End) => each.stream.destroy(new Error('ECONNRESET')), 'connection_lost'],
    [(each: End) => each.stream.push(null), 'connection_lost'],
    [(each: End) => each.connection.destroy(), undefined],
    [(each: End) => each.connection.destroy(new PosternError('superseded', 'a newer one')), 'superseded'],
  ] as const) {
    const { worker, gateway } = await greetedPair();
    end(worker);
    await worker.until(() => worker.closes.length === 1);
    assert.equal(worker.closes[0]?.code, code);
    worker.connection.send({ type: 'drained' });
    worker.connection.close('draining', 'again');
    worker.connection.destroy();
    gateway.connection.destroy();
    await new Promise(setImmediate);
    assert.equal(worker.closes.length, 1);
  }
});

void test('a handler that throws ends its connection as internal, and the peer learns no more than that', async () => {
  const { worker, gateway } = await greetedPair({
    gateway: {
      onMessage() {
        throw new Error('/secret/path is broken');
      },
    },
  });
  worker.connection.send({ type: 'drained' });
  worker.connection.send({ type: 'drained' });
  await Promise.all([worker.until(() => worker.closes.length === 1), gateway.until(() => gateway.closes.length === 1)]);
  assert.equal(gateway.closes[0]?.code, 'internal');
  assert.match(gateway.closes[0].message, /secret/);
  assert.equal(worker.closes[0]?.code, 'internal');
  assert.doesNotMatch(worker.closes[0].message, /secret/);
  assert.equal(gateway.received.length, 1);
});

void test('a payload that does not fit its message, or JSON over the limit, is refused to the sender', async () => {
  const { worker, gateway } = await greetedPair();
  assert.throws(() => gateway.connection.send(assignOf('j', 5), Buffer.alloc(4)), /says 5 bytes/);
  assert.throws(() => gateway.connection.send({ type: 'drained' }, Buffer.alloc(4)), /says 0 bytes/);
  const parameters = { text: 'x'.repeat(2 * MIB) };
  assert.throws(() => gateway.connection.send({ ...assignOf('j', 0), parameters }), /at most/);
  gateway.connection.send({ type: 'cancel', job: SESSION, attempt: 1, reason: 'caller' });
  await worker.until(() => worker.received.length === 1);
  worker.connection.destroy();
});

void test('messages for a peer that does not read are bounded', () => {
  const stream = new Duplex({ read: () => undefined, write: () => undefined });
  const gateway = openEnd(stream, { clock: createManualClock() });
  gateway.connection.establish(DEFAULT_LIMITS, TIMERS);
  const payload = Buffer.alloc(16_384);
  assert.throws(
    () => {
      for (let n = 0; n < 5_000; n++) gateway.connection.send(assignOf('j', payload.length), payload);
    },
    (error) => error instanceof PosternError && error.code === 'write_stalled',
  );
  gateway.connection.destroy();
});
