import assert from 'node:assert/strict';
import { test } from 'node:test';
import { frame } from '../../test/support/wire.ts';
import { PosternError } from '../errors.ts';
import {
  FLAG_FIN,
  FLAG_INLINE,
  FLAG_STREAMED,
  FRAME_DATA,
  FRAME_MESSAGE,
  FRAME_RESET,
  FRAME_WINDOW,
  FrameDecoder,
  readUint32,
  resetFrame,
  windowFrame,
  writeHeader,
  writeUint32,
} from './frames.ts';
import { MAX_BODY_BYTES, MAX_CHUNK_BYTES, MAX_HELLO_BYTES, MAX_MESSAGE_BYTES } from './limits.ts';

/** Decodes and writes down what the sink heard; pieces of one DATA frame are joined. */
function decode(chunks: Iterable<Buffer>, established = true): string[] {
  const heard: string[] = [];
  let data = '';
  const decoder = new FrameDecoder({
    onMessageFrame: (flags, stream, buffer, start, end) =>
      heard.push(`message ${flags} ${stream} ${buffer.toString('latin1', start, end)}`),
    onData(stream, buffer, start, end, last) {
      assert(end > start);
      data += buffer.toString('latin1', start, end);
      if (last) heard.push(`data ${stream} ${data}`);
      if (last) data = '';
    },
    onWindow: (stream, increment) => heard.push(`window ${stream} ${increment}`),
    onReset: (stream, reason) => heard.push(`reset ${stream} ${reason}`),
  });
  if (established) decoder.establish();
  for (const chunk of chunks) decoder.push(chunk);
  return heard;
}

function* cut(bytes: Buffer, size: number): Iterable<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const VALID = Buffer.concat([
  frame(FRAME_MESSAGE, 0, 0, Buffer.from('{"a":1}')),
  frame(FRAME_MESSAGE, FLAG_INLINE, 0, Buffer.alloc(9_000, 'i')),
  frame(FRAME_MESSAGE, FLAG_STREAMED, 7, Buffer.from('{}')),
  frame(FRAME_DATA, 0, 7, Buffer.alloc(5_000, 'd')),
  frame(FRAME_DATA, FLAG_FIN, 7, Buffer.from('end')),
  Buffer.from(windowFrame(0, 0x7fff_ffff)),
  Buffer.from(windowFrame(0xffff_fffe, 1)),
  Buffer.from(resetFrame(9, 0xffff)),
]);
const HEARD = [
  'message 0 0 {"a":1}',
  `message 1 0 ${'i'.repeat(9_000)}`,
  'message 2 7 {}',
  `data 7 ${'d'.repeat(5_000)}end`,
  'window 0 2147483647',
  'window 4294967294 1',
  'reset 9 65535',
];

void test('numbers of 32 bits survive writing and reading at their bounds', () => {
  const bytes = new Uint8Array(4);
  for (const value of [0, 1, 255, 256, 65_536, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
    writeUint32(bytes, 0, value);
    assert.equal(readUint32(bytes, 0), value);
  }
});

void test('the decoder hears the same however the bytes are cut, even one at a time', () => {
  for (const size of [1, 2, 3, 7, 9, 10, 11, 13, 4_096, 4_097, 16_384, VALID.length]) {
    assert.deepEqual(decode(cut(VALID, size)), HEARD, `cut into ${size}`);
  }
});

void test('what cannot be a frame is refused by its header alone, with its own code', () => {
  const header = (length: number, type: number, flags: number, stream: number): Buffer => {
    const bytes = Buffer.alloc(10);
    writeHeader(bytes, 0, length, type, flags, stream);
    return bytes;
  };
  const cases: [string, Buffer, string][] = [
    ['unknown type 0', header(4, 0, 0, 0), 'protocol_error'],
    ['unknown type 5', header(4, 5, 0, 0), 'protocol_error'],
    ['unknown message flag', header(20, FRAME_MESSAGE, 4, 0), 'protocol_error'],
    ['both message flags', header(20, FRAME_MESSAGE, 3, 1), 'protocol_error'],
    ['unknown data flag', header(20, FRAME_DATA, 2, 1), 'protocol_error'],
    ['flag on a window', header(4, FRAME_WINDOW, 1, 0), 'protocol_error'],
    ['flag on a reset', header(2, FRAME_RESET, 1, 1), 'protocol_error'],
    ['message over the limit', header(MAX_MESSAGE_BYTES + 1, FRAME_MESSAGE, 0, 0), 'frame_too_large'],
    ['inline over the limit', header(MAX_BODY_BYTES + 1, FRAME_MESSAGE, FLAG_INLINE, 0), 'frame_too_large'],
    ['data over the limit', header(MAX_CHUNK_BYTES + 1, FRAME_DATA, 0, 1), 'frame_too_large'],
    ['the largest length', header(0xffff_ffff, FRAME_DATA, 0, 1), 'frame_too_large'],
    ['empty message', header(0, FRAME_MESSAGE, 0, 0), 'protocol_error'],
    ['empty data', header(0, FRAME_DATA, FLAG_FIN, 1), 'protocol_error'],
    ['short window', header(3, FRAME_WINDOW, 0, 0), 'protocol_error'],
    ['long window', header(5, FRAME_WINDOW, 0, 0), 'protocol_error'],
    ['long reset', header(3, FRAME_RESET, 0, 1), 'protocol_error'],
    ['data without stream', header(1, FRAME_DATA, 0, 0), 'protocol_error'],
    ['reset without stream', header(2, FRAME_RESET, 0, 0), 'protocol_error'],
    ['plain message with stream', header(2, FRAME_MESSAGE, 0, 1), 'protocol_error'],
    ['streamed message without stream', header(2, FRAME_MESSAGE, FLAG_STREAMED, 0), 'protocol_error'],
  ];
  for (const [name, bytes, code] of cases) {
    for (const size of [1, 10]) {
      assert.throws(
        () => decode(cut(bytes, size)),
        (error) => error instanceof PosternError && error.code === code,
        name,
      );
    }
  }
});

void test('before the session is established only a small plain message is read', () => {
  assert.deepEqual(decode([frame(FRAME_MESSAGE, 0, 0, Buffer.alloc(MAX_HELLO_BYTES, 'h'))], false).length, 1);
  const refused: [Buffer, string][] = [
    [frame(FRAME_MESSAGE, 0, 0, Buffer.alloc(MAX_HELLO_BYTES + 1)).subarray(0, 10), 'frame_too_large'],
    [frame(FRAME_MESSAGE, FLAG_INLINE, 0, Buffer.alloc(10)).subarray(0, 10), 'protocol_error'],
    [Buffer.from(windowFrame(0, 1)), 'protocol_error'],
    [frame(FRAME_DATA, 0, 1, Buffer.alloc(1)), 'protocol_error'],
    [Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'protocol_error'],
    [Buffer.from('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'), 'protocol_error'],
  ];
  for (const [bytes, code] of refused) {
    assert.throws(
      () => decode([bytes], false),
      (error) => error instanceof PosternError && error.code === code,
    );
  }
});

void test('a stopped decoder delivers nothing more, not even from the chunk in hand', () => {
  let heard = 0;
  const decoder = new FrameDecoder({
    onMessageFrame() {
      heard++;
      decoder.stop();
    },
    onData: () => undefined,
    onWindow: () => heard++,
    onReset: () => heard++,
  });
  decoder.establish();
  decoder.push(VALID);
  decoder.push(VALID);
  assert.equal(heard, 1);
});

void test('room for a body grows with what arrived, never with what was announced', () => {
  const decoders: FrameDecoder[] = [];
  const sink = {
    onMessageFrame: () => undefined,
    onData: () => undefined,
    onWindow: () => undefined,
    onReset: () => undefined,
  };
  const announced = frame(FRAME_MESSAGE, 0, 0, Buffer.alloc(MAX_MESSAGE_BYTES)).subarray(0, 11);
  const before = process.memoryUsage().arrayBuffers;
  for (let n = 0; n < 512; n++) {
    const decoder = new FrameDecoder(sink);
    decoder.establish();
    decoder.push(announced);
    decoders.push(decoder);
  }
  const grown = process.memoryUsage().arrayBuffers - before;
  // 512 × 1 MiB were announced; 512 × 4 KiB of first room are 2 MiB.
  assert(grown < 4 * 1024 * 1024, `${grown} bytes for ${decoders.length} announcements`);
});
