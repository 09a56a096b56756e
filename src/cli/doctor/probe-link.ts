/** A connection in the role `probe`: it is sent no work, and measures the way to the gateway. */
import { randomUUID } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { systemClock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { createByteBudget } from '../../protocol/budget.ts';
import type { Connection } from '../../protocol/connection.ts';
import { DEFAULT_LIMITS, HELLO_TIMEOUT_MS } from '../../protocol/limits.ts';
import type { Welcome } from '../../protocol/messages.ts';
import { greet } from '../../worker/greeting.ts';
import { AGENT } from '../version.ts';

export interface ProbeLink {
  readonly welcome: Welcome;
  /** Milliseconds of a report of zero bytes: there and back. */
  roundTripMs(): Promise<number>;
  /** Milliseconds until the gateway had counted `bytes` from here. */
  sendMs(bytes: number): Promise<number>;
  /** Milliseconds until `bytes` from the gateway were here. */
  receiveMs(bytes: number): Promise<number>;
  close(): void;
}

/** One probe may take this long; slower than 8 MiB in 30 s (2 Mbit/s) is said to be too slow rather than waited for. */
const REPORT_MS = 30_000;

export async function openProbeLink(socket: TLSSocket): Promise<ProbeLink> {
  let waiting: { resolve(): void; reject(error: Error): void } | null = null;
  let closed: PosternError | null = null;
  let welcomed: Welcome | null = null;
  const connection: Connection = await greet(socket, {
    clock: systemClock,
    limits: DEFAULT_LIMITS,
    budget: createByteBudget(),
    timeoutMs: HELLO_TIMEOUT_MS,
    hello: { role: 'probe', session: randomUUID(), epoch: 1, agent: AGENT },
    onWelcome(_connection, welcome) {
      welcomed = welcome;
      return {
        onMessage(message) {
          if (message.type === 'close')
            closed = new PosternError('connection_lost', `the gateway closed the link: ${message.message}`);
          if (message.type === 'probe_report') waiting?.resolve();
        },
        onClose(error) {
          closed ??= error ?? new PosternError('connection_lost', 'the gateway closed the link');
          waiting?.reject(closed);
        },
      };
    },
  });

  const exchange = async (send: () => void): Promise<number> => {
    if (closed !== null) throw closed;
    const startedAt = systemClock.monotonic();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    waiting = { resolve, reject };
    const limit = systemClock.after(REPORT_MS, () =>
      reject(
        new PosternError(
          'peer_dead',
          `the gateway did not report within ${REPORT_MS / 1000} s: the link is slower than 2 Mbit/s, or stalls`,
        ),
      ),
    );
    try {
      send();
      await promise;
    } finally {
      limit.cancel();
      waiting = null;
    }
    return systemClock.monotonic() - startedAt;
  };

  if (welcomed === null) throw new PosternError('protocol_error', 'the gateway sent no welcome');
  return {
    welcome: welcomed,
    roundTripMs: () => exchange(() => connection.send({ type: 'probe_request', bytes: 0 })),
    sendMs: (bytes) => exchange(() => connection.send({ type: 'probe', bytes }, Buffer.alloc(bytes))),
    receiveMs: (bytes) => exchange(() => connection.send({ type: 'probe_request', bytes })),
    close: () => connection.close('canceled', 'the link check is over'),
  };
}
