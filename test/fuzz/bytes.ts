/** What fuzzing feeds to the wire: legal bytes, the same with a few things done to them, and bytes made to hurt. */
import fc from 'fast-check';
import { resetFrame, windowFrame } from '../../src/protocol/frames.ts';
import { assignOf, dataFrame, frame, inlineFrame, messageFrame } from '../support/wire.ts';

const job = fc.integer({ min: 0, max: 99 }).map(String);
const bytes = (max: number): fc.Arbitrary<Buffer> => fc.uint8Array({ maxLength: max }).map((each) => Buffer.from(each));
export const edge32 = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 10, 65_535, 65_536, 65_537, 1_048_576, 1_048_577, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff),
  fc.nat(0xffff_ffff),
);

/** What a gateway may send to a worker, as one block of whole frames. */
const legalBlock: fc.Arbitrary<(nextStream: () => number) => Buffer> = fc.oneof(
  fc.record({ job }).map(
    ({ job: id }) =>
      () =>
        messageFrame({ type: 'cancel', job: id, attempt: 1, reason: 'stale' }),
  ),
  fc.nat(9).map((nonce) => () => messageFrame({ type: 'ping', nonce })),
  fc.record({ job, payload: bytes(300) }).map(
    ({ job: id, payload }) =>
      () =>
        payload.length === 0 ? messageFrame(assignOf(id, 0)) : inlineFrame(assignOf(id, payload.length), payload),
  ),
  fc
    .record({
      job,
      size: fc.integer({ min: 1, max: 60_000 }),
      pieces: fc.integer({ min: 1, max: 4 }),
      abort: fc.boolean(),
    })
    .map(({ job: id, size, pieces, abort }) => (nextStream: () => number) => {
      const stream = nextStream();
      const frames = [messageFrame(assignOf(id, size), 2, stream)];
      for (let at = 0, piece = 1; at < size; piece++) {
        if (abort && piece === pieces) {
          frames.push(Buffer.from(resetFrame(stream, 1)));
          break;
        }
        const end = piece >= pieces ? size : Math.min(size, at + Math.ceil(size / pieces));
        frames.push(dataFrame(stream, Buffer.alloc(end - at, stream), end === size));
        at = end;
      }
      return Buffer.concat(frames);
    }),
  fc.integer({ min: 1, max: 1_000_000 }).map((increment) => () => Buffer.from(windowFrame(0, increment))),
);
export const legalStream = fc.array(legalBlock, { maxLength: 12 }).map((blocks) => {
  let stream = 0;
  return Buffer.concat(blocks.map((block) => block(() => (stream += 2))));
});

/** A frame of any type, flags, stream and announced length, whatever really follows. */
const hostileFrame = fc
  .record({
    length: fc.option(edge32, { nil: null }),
    type: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.nat(255)),
    flags: fc.oneof(fc.nat(3), fc.nat(255)),
    stream: fc.oneof(fc.nat(9), edge32),
    body: fc.oneof(
      bytes(64),
      fc.constantFrom(
        ...[assignOf('x', 5), { type: 'ping', nonce: 1 }, [], 7].map((each) => Buffer.from(JSON.stringify(each))),
      ),
      edge32.map((value) => Buffer.from(windowFrame(0, value)).subarray(10)),
    ),
  })
  .map(({ length, type, flags, stream, body }) => {
    const made = frame(type, flags, stream, body);
    if (length !== null) made.writeUInt32BE(length, 0);
    return made;
  });

/** Legal bytes with a few things done to them. */
const mutated = fc
  .tuple(
    legalStream,
    fc.array(
      fc.record({ kind: fc.constantFrom('flip', 'cut', 'insert', 'repeat', 'length'), at: fc.nat(), by: hostileFrame }),
      { maxLength: 4 },
    ),
  )
  .map(([stream, mutations]) => {
    let result = stream;
    for (const { kind, at, by } of mutations) {
      const where = result.length === 0 ? 0 : at % result.length;
      const [before, after] = [result.subarray(0, where), result.subarray(where)];
      if (kind === 'flip' && result.length > 0) {
        result = Buffer.from(result);
        result[where] = result[where]! ^ (1 << (at & 7));
      } else if (kind === 'cut') result = Buffer.concat([before, after.subarray(1 + (at & 15))]);
      else if (kind === 'insert') result = Buffer.concat([before, by, after]);
      else if (kind === 'repeat') result = Buffer.concat([before, after.subarray(0, 40), after]);
      else if (where + 4 <= result.length) {
        result = Buffer.from(result);
        result.writeUInt32BE(by.readUInt32BE(0), where);
      }
    }
    return result;
  });

export const hostile = fc.oneof(
  bytes(400),
  fc.array(hostileFrame, { maxLength: 10 }).map((frames) => Buffer.concat(frames)),
  mutated,
);

export const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 70_000 })), {
  minLength: 1,
  maxLength: 8,
});

export function* chunksOf(whole: Buffer, sizes: readonly number[]): Iterable<Buffer> {
  for (let at = 0, n = 0; at < whole.length; n++) {
    const size = sizes[n % sizes.length]!;
    yield whole.subarray(at, at + size);
    at += size;
  }
}
