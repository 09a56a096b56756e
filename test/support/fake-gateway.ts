/** A gateway end that keeps no rules: TLS with any certificate, then silence, or messages out of turn. */
import type { AddressInfo, Socket } from 'node:net';
import { createServer } from 'node:tls';
import type { TlsOptions, TLSSocket } from 'node:tls';
import { systemClock } from '../../src/clock.ts';
import type { PosternError } from '../../src/errors.ts';
import type { GatewayIdentity } from '../../src/identity/identity.ts';
import { openConnection } from '../../src/protocol/connection.ts';
import type { Connection } from '../../src/protocol/connection.ts';
import { DEFAULT_LIMITS } from '../../src/protocol/limits.ts';
import type { Hello, Message, Welcome } from '../../src/protocol/messages.ts';
import { createJournal } from './journal.ts';
import type { Journal } from './journal.ts';

export const WELCOME: Welcome = {
  type: 'welcome',
  version: 1,
  ticket: 'T'.repeat(32),
  worker: 'gpu-1',
  gateway: 'fake',
  agent: 'test',
  limits: DEFAULT_LIMITS,
  pingMs: 5_000,
  deadMs: 15_000,
  leaseMs: 30_000,
  gateways: [],
};

export interface FakeTls {
  readonly port: number;
  readonly sockets: Journal<TLSSocket>;
  close(): Promise<void>;
}

/** A TLS server that says nothing. */
export async function openFakeTls(options: TlsOptions): Promise<FakeTls> {
  const sockets = createJournal<TLSSocket>();
  const open = new Set<Socket>();
  const server = createServer({ ALPNProtocols: ['postern/1'], ...options }, (socket) => {
    socket.on('error', () => undefined);
    sockets.add(socket);
  });
  server.on('connection', (raw: Socket) => {
    open.add(raw);
    raw.on('error', () => undefined);
    raw.on('close', () => open.delete(raw));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const raw of open) raw.destroy();
      }),
  };
}

export interface FakeConnection {
  readonly connection: Connection;
  readonly hello: Hello;
  readonly received: Journal<Message>;
  readonly closed: Promise<PosternError | null>;
}

export interface FakeGateway {
  readonly port: number;
  /** Those that were welcomed, in order. */
  readonly welcomed: Journal<FakeConnection>;
  close(): Promise<void>;
}

/** Answers every hello as `answer` says (by default with a welcome), and leaves the rest to the test. */
export async function openFakeGateway(
  identity: GatewayIdentity,
  answer: (hello: Hello) => Message = () => WELCOME,
): Promise<FakeGateway> {
  const { keyPem: key, certPem: cert } = identity.gateway;
  const tls = await openFakeTls({ key, cert, ca: identity.caPem, requestCert: true, minVersion: 'TLSv1.3' });
  const welcomed = createJournal<FakeConnection>();
  void tls.sockets.until(() => {
    const socket = tls.sockets.entries.at(-1);
    if (socket) greet(socket);
    return false;
  });

  function greet(socket: TLSSocket): void {
    const received = createJournal<Message>();
    const closed = Promise.withResolvers<PosternError | null>();
    const connection = openConnection(socket, {
      clock: systemClock,
      limits: DEFAULT_LIMITS,
      handlers: {
        onMessage(message) {
          if (message.type === 'hello') onHello(message);
          else received.add(message);
        },
        onClose: closed.resolve,
      },
    });
    function onHello(hello: Hello): void {
      const message = answer(hello);
      if (message.type === 'close') {
        connection.close(message.code, message.message);
        return;
      }
      connection.send(message);
      if (message.type !== 'welcome') return;
      connection.establish(hello.limits, { pingMs: message.pingMs, deadMs: message.deadMs });
      welcomed.add({ connection, hello, received, closed: closed.promise });
    }
  }

  return { port: tls.port, welcomed, close: () => tls.close() };
}
