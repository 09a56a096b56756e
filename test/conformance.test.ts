/** The golden vectors of `conformance/`, both ways: what we write is what they say, and what they say is what we read. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import { isErrorCode } from '../src/errors.ts';
import { FrameDecoder } from '../src/protocol/frames.ts';
import { message as messageSchema } from '../src/protocol/messages.ts';
import type { Message } from '../src/protocol/messages.ts';
import { DIRECTIONS } from '../src/protocol/parse.ts';
import { createManualClock } from './support/manual-clock.ts';
import { frame, greetedRaw, openEnd } from './support/wire.ts';

interface Vectors {
  readonly protocol: string;
  readonly frames: { name: string; type: number; flags: number; stream: number; bodyHex: string; bytesHex: string }[];
  readonly messages: { name: string; sender: Side; message: Message; payloadHex: string; bytesHex: string }[];
  readonly streams: { name: string; sender: Side; message: Message; payloadHex: string; framesHex: string[] }[];
  readonly invalid: { name: string; receiver: Side; bytesHex: string; code: string }[];
}
type Side = 'worker' | 'gateway';

const vectors = JSON.parse(readFileSync(new URL('../conformance/vectors.json', import.meta.url), 'utf8')) as Vectors;
const bytesOf = (hex: string): Buffer => Buffer.from(hex, 'hex');
const otherOf = (side: Side): Side => (side === 'worker' ? 'gateway' : 'worker');
/** The connection's own: an owner neither hears nor needs them. */
const INTERNAL = ['ping', 'pong', 'close'];

void test('every message type has a vector, sent by each side that may send it', () => {
  for (const schema of messageSchema.options) {
    const type = schema.shape.type.value;
    const senders = vectors.messages.filter((each) => each.message.type === type).map((each) => each.sender);
    assert(senders.length > 0, `no vector for ${type}: add one to conformance/vectors.json`);
    for (const sender of senders) assert(DIRECTIONS[type] === 'both' || DIRECTIONS[type] === sender, type);
  }
});

void test('every frame type and flag has a vector, and each is written and read as it says', () => {
  assert.deepEqual([...new Set(vectors.frames.map(({ type, flags }) => `${type}/${flags}`))].sort(), [
    '1/0',
    '1/1',
    '1/2',
    '2/0',
    '2/1',
    '3/0',
    '4/0',
  ]);
  for (const each of vectors.frames) {
    const body = bytesOf(each.bodyHex);
    assert.equal(frame(each.type, each.flags, each.stream, body).toString('hex'), each.bytesHex, each.name);
    const heard: unknown[] = [];
    const decoder = new FrameDecoder({
      onMessageFrame: (flags, stream, buffer, start, end) =>
        heard.push([1, flags, stream, buffer.toString('hex', start, end)]),
      onData: (stream, buffer, start, end, last) =>
        heard.push([2, last ? 1 : 0, stream, buffer.toString('hex', start, end)]),
      onWindow: (stream, increment) => heard.push([3, 0, stream, increment.toString(16).padStart(8, '0')]),
      onReset: (stream, reason) => heard.push([4, 0, stream, reason.toString(16).padStart(4, '0')]),
    });
    decoder.establish();
    decoder.push(bytesOf(each.bytesHex));
    assert.deepEqual(heard, [[each.type, each.flags, each.stream, each.bodyHex]], each.name);
  }
});

void test('each message is written as its vector says', async (t) => {
  for (const { name, sender, message, payloadHex, bytesHex } of vectors.messages) {
    await t.test(name, async () => {
      if (message.type === 'hello') {
        // A hello makes the worker: it is the first thing that a connection sends.
        const [a, raw] = duplexPair();
        const { connection } = openEnd(a, { clock: createManualClock() });
        connection.send(message);
        const chunk = await new Promise<Buffer>((resolve) => raw.once('data', resolve));
        assert.equal(chunk.toString('hex'), bytesHex);
        connection.destroy();
        return;
      }
      const { end, sent } = await greetedRaw(sender);
      end.connection.send(message, bytesOf(payloadHex));
      await new Promise(setImmediate);
      await new Promise(setImmediate);
      assert.equal(sent().toString('hex'), bytesHex);
      end.connection.destroy();
    });
  }
});

void test('each message is read as its vector says', async (t) => {
  for (const { name, sender, message, payloadHex, bytesHex } of vectors.messages) {
    await t.test(name, async () => {
      const { end, raw, sent } = await greetedRaw(otherOf(sender));
      raw.write(bytesOf(bytesHex));
      if (!INTERNAL.includes(message.type)) {
        await end.until(() => end.received.length === 1);
        assert.deepEqual(end.received[0], { message, payload: bytesOf(payloadHex) });
        end.connection.destroy();
      } else if (message.type === 'close') {
        await end.until(() => end.closes.length === 1);
        assert.equal(end.closes[0]?.code, message.code);
      } else {
        for (let turn = 0; turn < 4; turn++) await new Promise(setImmediate);
        const answer = message.type === 'ping' ? JSON.stringify({ type: 'pong', nonce: message.nonce }) : '';
        assert.equal(sent().toString('latin1', 10), answer);
        assert.equal(end.closes.length, 0);
        end.connection.destroy();
      }
    });
  }
});

void test('each payload stream is read as its vector says, in any cut', async (t) => {
  for (const { name, sender, message, payloadHex, framesHex } of vectors.streams) {
    for (const size of [1, 7, 1_000]) {
      await t.test(`${name}, ${size} bytes at a time`, async () => {
        const { end, raw } = await greetedRaw(otherOf(sender));
        const bytes = Buffer.concat(framesHex.map(bytesOf));
        for (let at = 0; at < bytes.length; at += size) raw.write(bytes.subarray(at, at + size));
        await end.until(() => end.received.length === 1);
        assert.deepEqual(end.received[0], { message, payload: bytesOf(payloadHex) });
        end.connection.destroy();
      });
    }
  }
});

void test('each violation is answered with the code of its vector', async (t) => {
  for (const { name, receiver, bytesHex, code } of vectors.invalid) {
    await t.test(name, async () => {
      assert(isErrorCode(code));
      const { end, raw, sent } = await greetedRaw(receiver);
      raw.write(bytesOf(bytesHex));
      await end.until(() => end.closes.length === 1);
      assert.equal(end.closes[0]?.code, code, end.closes[0]?.message);
      await new Promise((resolve) => raw.once('end', resolve));
      assert.match(sent().toString('latin1'), new RegExp(`"type":"close","code":"${code}"`));
    });
  }
});
