import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import { systemClock } from '../clock.ts';
import type { PosternError } from '../errors.ts';
import { openConnection } from './connection.ts';
import type { Connection } from './connection.ts';
import { makeHello } from './hello.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import type { Message } from './messages.ts';

const UUID = '0190c0de-0000-7000-8000-000000000001';

interface End {
  connection: Connection;
  messages: { message: Message; payload: Buffer }[];
  errors: (PosternError | null)[];
  wait(check: () => boolean): Promise<void>;
}

function end(stream: import('node:stream').Duplex, onMessage?: (c: Connection, m: Message) => void): End {
  const waiters = new Set<() => void>();
  const messages: End['messages'] = [];
  const errors: End['errors'] = [];
  const changed = (): void => waiters.forEach((w) => w());
  const connection = openConnection(stream, {
    clock: systemClock,
    limits: DEFAULT_LIMITS,
    handlers: {
      onMessage(message, payload) {
        messages.push({ message, payload });
        onMessage?.(connection, message);
        changed();
      },
      onClose(error) {
        errors.push(error);
        changed();
      },
    },
  });
  return {
    connection,
    messages,
    errors,
    wait: (check) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!check()) return;
          waiters.delete(look);
          resolve();
        };
        waiters.add(look);
        look();
      }),
  };
}

test('two sides greet, exchange payloads of every size, and close in order', async () => {
  const [a, b] = duplexPair();
  const timers = { pingMs: 5_000, deadMs: 15_000 };
  const worker = end(a, (c, m) => {
    if (m.type === 'welcome') c.establish(m.limits, timers);
  });
  const gateway = end(b, (c, m) => {
    if (m.type !== 'hello') return;
    c.send({
      type: 'welcome',
      version: 1,
      ticket: 'x'.repeat(32),
      worker: 'gpu-1',
      gateway: 'g',
      agent: 'a',
      limits: DEFAULT_LIMITS,
      pingMs: 5_000,
      deadMs: 15_000,
      leaseMs: 30_000,
      gateways: [],
    });
    c.establish(m.limits, timers);
    c.send({ type: 'cancel', job: UUID, attempt: 1, reason: 'caller' });
  });
  worker.connection.send(makeHello({ role: 'control', session: UUID, epoch: 1, agent: 'test' }));
  await worker.wait(() => worker.messages.length === 2);
  const sizes = [0, 1, 1_000, 16_384, 16_385, 65_536, 100_000, 5_000_000, 64 * 1024 * 1024];
  for (const [i, bytes] of sizes.entries()) {
    const payload = Buffer.alloc(bytes, i + 1);
    gateway.connection.send(
      { type: 'assign', job: `${i}`, attempt: 1, model: 'm', version: '1', rows: 1, contentType: 'x/y', bytes },
      payload,
    );
  }
  await worker.wait(() => worker.messages.length === 2 + sizes.length);
  for (const { message, payload } of worker.messages.slice(2)) {
    assert(message.type === 'assign');
    const i = Number(message.job);
    assert.equal(payload.length, sizes[i]);
    assert(payload.equals(Buffer.alloc(sizes[i]!, i + 1)));
  }
  assert(worker.connection.roundTripMs !== null);
  worker.connection.close('draining', 'done');
  await Promise.all([worker.wait(() => worker.errors.length === 1), gateway.wait(() => gateway.errors.length === 1)]);
  assert.equal(worker.errors[0], null);
  assert.equal(gateway.errors[0]?.code, 'draining');
});
