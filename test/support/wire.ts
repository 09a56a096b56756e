/** Both ends of a connection of postern/1 in memory, or one end against bytes made by hand. */
import { duplexPair } from 'node:stream';
import type { Duplex } from 'node:stream';
import { createManualClock } from './manual-clock.ts';
import type { ManualClock } from './manual-clock.ts';
import { systemClock } from '../../src/clock.ts';
import type { Clock } from '../../src/clock.ts';
import type { PosternError } from '../../src/errors.ts';
import type { ByteBudget } from '../../src/protocol/budget.ts';
import { openConnection } from '../../src/protocol/connection.ts';
import type { Connection } from '../../src/protocol/connection.ts';
import { FLAG_INLINE, FRAME_DATA, FRAME_MESSAGE, writeHeader, writeUint32 } from '../../src/protocol/frames.ts';
import { makeHello } from '../../src/protocol/hello.ts';
import { DEFAULT_LIMITS, HEADER_BYTES } from '../../src/protocol/limits.ts';
import type { Limits } from '../../src/protocol/limits.ts';
import type { Assign, Hello, Message, Welcome } from '../../src/protocol/messages.ts';

export const SESSION = '0190c0de-0000-7000-8000-000000000001';
export const TIMERS = { pingMs: 5_000, deadMs: 15_000 };

export const HELLO: Hello = makeHello({ role: 'control', session: SESSION, epoch: 1, agent: 'test/1' });
export const WELCOME: Welcome = {
  type: 'welcome',
  version: 1,
  ticket: 'dGlja2V0LXRpY2tldC10aWNrZXQ',
  worker: 'gpu-1',
  gateway: 'gw-1',
  agent: 'test/1',
  limits: DEFAULT_LIMITS,
  pingMs: TIMERS.pingMs,
  deadMs: TIMERS.deadMs,
  leaseMs: 30_000,
  gateways: [],
};

export function assignOf(job: string, bytes: number): Assign {
  return {
    type: 'assign',
    job,
    attempt: 1,
    model: 'plants',
    version: '1',
    rows: 1,
    contentType: 'image/jpeg',
    bytes,
  };
}

/** One end, with everything that it was told, and a way to wait for more. */
export interface End {
  readonly connection: Connection;
  readonly stream: Duplex;
  readonly received: { message: Message; payload: Buffer }[];
  /** What onClose was called with: at most one entry, ever. */
  readonly closes: (PosternError | null)[];
  /** Resolves as soon as `check` holds, looked at whenever something came. */
  until(check: () => boolean): Promise<void>;
}

export interface EndOptions {
  readonly clock?: Clock;
  readonly limits?: Limits;
  readonly budget?: ByteBudget;
  onMessage?(end: End, message: Message, payload: Buffer): void;
}

export function openEnd(stream: Duplex, options: EndOptions = {}): End {
  const waiting = new Set<() => void>();
  const changed = (): void => {
    for (const look of [...waiting]) look();
  };
  const end: End = {
    stream,
    received: [],
    closes: [],
    until: (check) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!check()) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    connection: openConnection(stream, {
      clock: options.clock ?? systemClock,
      limits: options.limits ?? DEFAULT_LIMITS,
      ...(options.budget === undefined ? {} : { budget: options.budget }),
      handlers: {
        onMessage(message, payload) {
          end.received.push({ message, payload });
          try {
            options.onMessage?.(end, message, payload);
          } finally {
            changed();
          }
        },
        onClose(error) {
          end.closes.push(error);
          changed();
        },
      },
    }),
  };
  return end;
}

export interface PairOptions {
  readonly clock?: Clock;
  readonly worker?: EndOptions;
  readonly gateway?: EndOptions;
  /** What lies between them; by default nothing. */
  readonly streams?: readonly [Duplex, Duplex];
}

/** Two ends that have greeted each other. What they received starts empty. */
export async function greetedPair(options: PairOptions = {}): Promise<{ worker: End; gateway: End }> {
  const [a, b] = options.streams ?? duplexPair();
  const clock = options.clock ?? systemClock;
  const worker = openEnd(a, {
    clock,
    ...options.worker,
    onMessage(end, message, payload) {
      if (message.type === 'welcome') end.connection.establish(message.limits, TIMERS);
      else options.worker?.onMessage?.(end, message, payload);
    },
  });
  const gateway = openEnd(b, {
    clock,
    ...options.gateway,
    onMessage(end, message, payload) {
      if (message.type !== 'hello') {
        options.gateway?.onMessage?.(end, message, payload);
        return;
      }
      end.connection.send({ ...WELCOME, limits: options.gateway?.limits ?? DEFAULT_LIMITS });
      end.connection.establish(message.limits, TIMERS);
    },
  });
  worker.connection.send({ ...HELLO, limits: options.worker?.limits ?? DEFAULT_LIMITS });
  await worker.until(() => worker.received.length === 1);
  worker.received.length = gateway.received.length = 0;
  return { worker, gateway };
}

/** One end that has greeted, on a clock that stands still, and the bare bytes to and from it. */
export interface RawPeer {
  readonly end: End;
  readonly clock: ManualClock;
  readonly raw: Duplex;
  /** What the end has written since the greeting. */
  readonly sent: () => Buffer;
}

export async function greetedRaw(
  side: 'worker' | 'gateway',
  limits: Limits = DEFAULT_LIMITS,
  budget?: ByteBudget,
): Promise<RawPeer> {
  const clock = createManualClock();
  const [a, raw] = duplexPair();
  let chunks: Buffer[] = [];
  raw.on('data', (chunk: Buffer) => chunks.push(chunk));
  const end = openEnd(a, {
    clock,
    limits,
    ...(budget && { budget }),
    onMessage(self, message) {
      if (message.type === 'hello') self.connection.send(WELCOME);
      if (message.type === 'hello' || message.type === 'welcome') self.connection.establish(DEFAULT_LIMITS, TIMERS);
    },
  });
  if (side === 'worker') end.connection.send(HELLO);
  raw.write(messageFrame(side === 'worker' ? WELCOME : HELLO));
  await end.until(() => end.received.length === 1);
  // The first ping leaves at the end of this turn; a second look makes sure that it has come out here.
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  chunks = [];
  end.received.length = 0;
  return { end, clock, raw, sent: () => Buffer.concat(chunks) };
}

/** A frame made by hand, legal or not. */
export function frame(type: number, flags: number, stream: number, body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + body.length);
  bytes.set(body, writeHeader(bytes, 0, body.length, type, flags, stream));
  return bytes;
}

export const messageFrame = (message: unknown, flags = 0, stream = 0): Buffer =>
  frame(FRAME_MESSAGE, flags, stream, Buffer.from(JSON.stringify(message)));

export function inlineFrame(message: unknown, payload: Uint8Array): Buffer {
  const json = Buffer.from(JSON.stringify(message));
  const length = Buffer.alloc(4);
  writeUint32(length, 0, json.length);
  return frame(FRAME_MESSAGE, FLAG_INLINE, 0, Buffer.concat([length, json, payload]));
}

export const dataFrame = (stream: number, bytes: Uint8Array, fin: boolean): Buffer =>
  frame(FRAME_DATA, fin ? 1 : 0, stream, bytes);
