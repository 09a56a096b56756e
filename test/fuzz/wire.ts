/**
 * Fuzzing of the wire. Each property takes a seed, and the same seed gives the same run: `npm run fuzz` looks for new
 * failures for as long as it is told, `src/protocol/fuzz.test.ts` runs a short form and the seeds of bugs that were fixed.
 */
import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { PosternError } from '../../src/errors.ts';
import { createByteBudget } from '../../src/protocol/budget.ts';
import { FrameDecoder, readUint32, windowFrame } from '../../src/protocol/frames.ts';
import { MAX_CHUNK_BYTES } from '../../src/protocol/limits.ts';
import type { Limits } from '../../src/protocol/limits.ts';
import type { Message } from '../../src/protocol/messages.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { assignOf, HELLO, openEnd, SESSION, TIMERS } from '../support/wire.ts';
import type { End } from '../support/wire.ts';
import { chunksOf, cuts, edge32, hostile, legalStream } from './bytes.ts';

export interface FuzzProperty {
  readonly name: string;
  readonly run: (seed: number, runs: number) => Promise<void>;
}

const LIMITS: Limits = {
  maxPayloadBytes: 1_048_576,
  streamWindowBytes: 65_536,
  connectionWindowBytes: 131_072,
  maxStreams: 4,
};
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

// ---- a connection whose stream is the test -----------------------------------------------------------------------

interface Bench {
  readonly end: End;
  readonly written: Buffer[];
  readonly clock: ReturnType<typeof createManualClock>;
  feed(chunk: Buffer): void;
}

function bench(side: 'worker' | 'gateway', greeted: boolean): Bench {
  const written: Buffer[] = [];
  const stream = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _encoding, done) {
      written.push(Buffer.from(chunk));
      done();
    },
  });
  const clock = createManualClock();
  const end = openEnd(stream, { clock, limits: LIMITS, budget: createByteBudget(200_000) });
  if (side === 'worker') end.connection.send(HELLO);
  if (greeted) end.connection.establish(LIMITS, TIMERS);
  return { end, written, clock, feed: (chunk) => void stream.emit('data', chunk) };
}

/** What must hold after anything: one end at most, with a code of ours, nothing after it; and a close always comes to its end. */
async function checkEnd({ end, clock }: Bench): Promise<void> {
  await turn();
  const heard = end.received.length;
  assert(end.closes.length <= 1);
  const [error] = end.closes;
  assert(error === undefined || error === null || error instanceof PosternError);
  // A bug of ours shows as `internal`, because whatever is thrown becomes a PosternError.
  assert.notEqual(error?.code, 'internal', String(error?.stack));
  end.connection.close('draining', 'the run is over');
  clock.advance(1_000);
  await turn();
  end.connection.destroy();
  assert.equal(end.closes.length, 1);
  assert.equal(end.received.length, heard);
  assert.equal(clock.timerCount, 0, 'a timer is left');
}

const ALLOCATORS = {
  alloc: Buffer.alloc.bind(Buffer),
  allocUnsafe: Buffer.allocUnsafe.bind(Buffer),
  allocUnsafeSlow: Buffer.allocUnsafeSlow.bind(Buffer),
};

/** Runs `action` and gives the sizes of all buffers that were allocated meanwhile. */
function allocations(action: () => void): number[] {
  const sizes: number[] = [];
  for (const [name, allocate] of Object.entries(ALLOCATORS)) {
    const probe = (size: number): Buffer => {
      sizes.push(size);
      return allocate(size);
    };
    Object.assign(Buffer, { [name]: probe });
  }
  try {
    action();
  } finally {
    Object.assign(Buffer, ALLOCATORS);
  }
  return sizes;
}

// ---- properties --------------------------------------------------------------------------------------------------

const decoder = fc.property(hostile, cuts, fc.boolean(), (whole, sizes, established) => {
  let delivered = 0;
  const count = (_flags: number, _stream: number, _buffer: Buffer, start: number, end: number): void =>
    void (delivered += end - start);
  const target = new FrameDecoder({
    onMessageFrame: count,
    onData: (stream, buffer, start, end) => count(0, stream, buffer, start, end),
    onWindow: () => (delivered += 4),
    onReset: () => (delivered += 2),
  });
  if (established) target.establish();
  let fed = 0;
  const made = allocations(() => {
    try {
      for (const chunk of chunksOf(whole, sizes)) {
        fed += chunk.length;
        target.push(chunk);
      }
    } catch (error) {
      assert(error instanceof PosternError, String(error));
      assert(['protocol_error', 'frame_too_large'].includes(error.code));
      const before = delivered;
      target.push(whole);
      assert.equal(delivered, before, 'a decoder that failed went on');
    }
  });
  assert(delivered <= fed);
  for (const size of made) assert(size <= Math.max(4_096, 2 * fed), `${size} bytes of room for ${fed} that came`);
});

const receiving = fc.asyncProperty(hostile, cuts, fc.boolean(), fc.boolean(), async (whole, sizes, worker, greeted) => {
  const target = bench(worker ? 'worker' : 'gateway', greeted);
  let fed = 0;
  const made = allocations(() => {
    for (const chunk of chunksOf(whole, sizes)) {
      fed += chunk.length;
      target.feed(chunk);
    }
  });
  // 256 KiB are the first room of a payload whose announced size was checked against the limits.
  for (const size of made) assert(size <= Math.max(262_144, 2 * fed), `${size} bytes of room for ${fed} that came`);
  await checkEnd(target);
});

const legal = fc.asyncProperty(legalStream, cuts, async (whole, sizes) => {
  const [cut, whole1] = [bench('worker', true), bench('worker', true)];
  for (const chunk of chunksOf(whole, sizes)) cut.feed(chunk);
  whole1.feed(whole);
  assert.deepEqual([cut.end.closes, whole1.end.closes], [[], []], 'legal bytes were refused');
  assert.deepEqual(cut.end.received, whole1.end.received);
  await checkEnd(cut);
  await checkEnd(whole1);
});

/** Credits of any kind while payloads wait: what leaves never passes what was granted. */
const crediting = fc.asyncProperty(
  fc.array(fc.integer({ min: 16_385, max: 400_000 }), { minLength: 1, maxLength: 6 }),
  fc.array(
    fc.record({
      stream: fc.oneof(fc.nat(14), edge32),
      increment: fc.oneof(fc.integer({ min: 1, max: 200_000 }), edge32),
    }),
    {
      maxLength: 25,
    },
  ),
  async (payloads, credits) => {
    const target = bench('gateway', true);
    for (const [n, size] of payloads.entries()) target.end.connection.send(assignOf(`${n}`, size), Buffer.alloc(size));
    await turn();
    const windows = new Map<number, number>([[0, LIMITS.connectionWindowBytes]]);
    const add = (stream: number, count: number): void => void windows.set(stream, (windows.get(stream) ?? 0) + count);
    let open = 0;
    const audit = (): void => {
      const output = Buffer.concat(target.written.splice(0));
      for (let at = 0; at < output.length;) {
        const [length, type, stream] = [readUint32(output, at), output[at + 4], readUint32(output, at + 6)];
        if (type === 1 && stream !== 0) {
          open++;
          add(stream, LIMITS.streamWindowBytes);
        }
        if (type === 2) {
          assert(length > 0 && length <= MAX_CHUNK_BYTES);
          add(stream, -length);
          add(0, -length);
          if (output[at + 5] === 1) open--;
        }
        assert(open <= LIMITS.maxStreams);
        at += 10 + length;
      }
      for (const [stream, left] of windows) assert(left >= 0, `stream ${stream} is ${-left} bytes beyond its window`);
    };
    audit();
    for (const { stream, increment } of credits) {
      if (target.end.closes.length === 0) add(stream, increment);
      target.feed(Buffer.from(windowFrame(stream, increment)));
      await turn();
      audit();
    }
    await checkEnd(target);
  },
);

/** Two honest ends over a pipe that cuts and delays at will: everything arrives once, whole, under any limits. */
const honest = fc.asyncProperty(
  fc.array(fc.tuple(fc.boolean(), fc.oneof(fc.nat(20_000), fc.nat(300_000))), { maxLength: 14 }),
  // Cuts of single bytes are for the short streams of the other properties: here they would be millions.
  fc.array(fc.oneof(fc.integer({ min: 300, max: 900 }), fc.integer({ min: 1_000, max: 70_000 })), {
    minLength: 1,
    maxLength: 8,
  }),
  fc.array(fc.nat(3), { minLength: 1, maxLength: 10 }),
  fc.constantFrom(1, 100_000, 10_000_000),
  async (sends, sizes, delays, budgetBytes) => {
    const clock = createManualClock();
    const budget = createByteBudget(budgetBytes);
    const pipes: { queue: Buffer[]; to: Duplex }[] = [];
    const streamOf = (): Duplex => {
      const pipe = { queue: [] as Buffer[], to: null as unknown as Duplex };
      pipes.push(pipe);
      return new Duplex({
        read: () => undefined,
        write(chunk: Buffer, _encoding, done) {
          for (const piece of chunksOf(Buffer.from(chunk), sizes)) pipe.queue.push(piece);
          done();
        },
      });
    };
    const [a, b] = [streamOf(), streamOf()];
    pipes[0]!.to = b;
    pipes[1]!.to = a;
    const options = { clock, limits: LIMITS, budget };
    const [worker, gateway] = [openEnd(a, options), openEnd(b, options)];
    worker.connection.send(HELLO);
    gateway.connection.establish(LIMITS, TIMERS);
    worker.connection.establish(LIMITS, TIMERS);
    const expected: [string[], string[]] = [[], []];
    for (const [n, [fromWorker, size]] of sends.entries()) {
      const payload = Buffer.alloc(size, n + 1);
      const message: Message = fromWorker
        ? { type: 'partial', job: SESSION, attempt: 1, seq: n, contentType: 'x', bytes: size }
        : assignOf(`${n}`, size);
      (fromWorker ? worker : gateway).connection.send(message, payload);
      expected[fromWorker ? 1 : 0].push(`${n}:${size}`);
    }
    const got = (end: End): string[] =>
      end.received
        .filter(({ message }) => message.type !== 'hello')
        .map(({ message, payload }) => {
          const n = message.type === 'partial' ? message.seq : Number(message.type === 'assign' ? message.job : NaN);
          assert(payload.equals(Buffer.alloc(payload.length, n + 1)));
          return `${n}:${payload.length}`;
        });
    const total = expected[0].length + expected[1].length;
    for (let rounds = 0; rounds < 5_000; rounds++) {
      for (const [n, pipe] of pipes.entries()) {
        const count = delays[(rounds + n) % delays.length]! * 40;
        for (const piece of pipe.queue.splice(0, count)) pipe.to.emit('data', piece);
      }
      await turn();
      if (rounds % 300 === 299) clock.advance(TIMERS.pingMs);
      if (
        worker.received.length + gateway.received.length === total + 1 &&
        pipes.every(({ queue }) => queue.length === 0)
      )
        break;
      if (delays.every((each) => each === 0)) break;
    }
    if (delays.some((each) => each > 0)) {
      assert.deepEqual(
        [got(worker).sort(), got(gateway).sort()],
        expected.map((each) => each.sort()),
      );
    }
    assert.deepEqual([worker.closes, gateway.closes], [[], []]);
    worker.connection.destroy();
    gateway.connection.destroy();
    assert.equal(budget.usedBytes, 0);
  },
);

/** fast-check's own types keep the values of a property apart; here only running it matters. */
const named = (name: string, property: { run: unknown }): FuzzProperty => ({
  name,
  run: async (seed, runs) => {
    await fc.assert(property as unknown as fc.IAsyncProperty<never>, { seed, numRuns: runs });
  },
});

export const FUZZ_PROPERTIES: readonly FuzzProperty[] = [
  named('decoder', decoder),
  named('receiving', receiving),
  named('legal', legal),
  named('crediting', crediting),
  named('honest', honest),
];

/** Runs that once failed; the bug's own test stands beside the code. */
export const FIXED: readonly { readonly property: string; readonly seed: number; readonly runs: number }[] = [
  // Payloads stood still when a connection's turn in the byte budget ended because there was room again.
  { property: 'honest', seed: 1, runs: 20 },
];
