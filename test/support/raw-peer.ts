/** Ends of the tunnel that keep no rules: TLS with any certificate and settings, then any bytes, or messages out of turn. */
import { connect as connectTcp } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { systemClock } from '../../src/clock.ts';
import type { PosternError } from '../../src/errors.ts';
import type { GatewayIdentity } from '../../src/identity/identity.ts';
import { openConnection } from '../../src/protocol/connection.ts';
import type { Connection } from '../../src/protocol/connection.ts';
import { makeHello } from '../../src/protocol/hello.ts';
import type { HelloFields } from '../../src/protocol/hello.ts';
import type { Message, Welcome } from '../../src/protocol/messages.ts';
import type { MessageOf } from '../../src/protocol/messages.ts';
import { createJournal } from './journal.ts';
import type { Journal } from './journal.ts';

export interface RawSocket<S extends Socket = Socket> {
  readonly socket: S;
  /** Resolves when the other end (or the network) closed it, with the error if there was one. */
  readonly closed: Promise<Error | null>;
}

function watch<S extends Socket>(socket: S): RawSocket<S> {
  const closed = new Promise<Error | null>((resolve) => {
    let error: Error | null = null;
    socket.on('error', (got) => (error = got));
    socket.on('close', () => resolve(error));
  });
  return { socket, closed };
}

/** A TCP connection; `from` is the local address, any of 127.0.0.0/8. Resolves when it is connected or already refused. */
export async function openTcp(port: number, from = '127.0.0.1'): Promise<RawSocket> {
  const raw = watch(connectTcp({ host: '127.0.0.1', port, localAddress: from }));
  await Promise.race([new Promise((resolve) => raw.socket.once('connect', resolve)), raw.closed]);
  return raw;
}

/** A TLS connection with these settings. Resolves when the client's side of the handshake is done, or has failed. */
export async function openTls(port: number, options: ConnectionOptions): Promise<RawSocket<TLSSocket>> {
  const raw = watch(
    connectTls({ host: '127.0.0.1', port, servername: 'postern-gateway', ALPNProtocols: ['postern/1'], ...options }),
  );
  await Promise.race([new Promise((resolve) => raw.socket.once('secureConnect', resolve)), raw.closed]);
  return raw;
}

/** The TLS settings of a worker that the gateway knows. */
export async function workerTls(identity: GatewayIdentity, name = 'gpu-1'): Promise<ConnectionOptions> {
  const { keyPem: key, certPem: cert } = await identity.issueWorker(name, 86_400_000);
  return { key, cert, ca: identity.caPem };
}

/** A worker that speaks the protocol, but says what the test tells it. */
export interface RawWorker {
  readonly connection: Connection;
  readonly received: Journal<Message>;
  readonly closed: Promise<PosternError | null>;
  /** Waits for a message of this type. */
  next<T extends Message['type']>(type: T): Promise<MessageOf<T>>;
}

export const HELLO: HelloFields = { role: 'control', session: 'session-1', epoch: 1, agent: 'test' };

/** Connects and sends `first`; established when a welcome comes. */
export async function openRawWorker(port: number, tls: ConnectionOptions, first: Message): Promise<RawWorker> {
  const { socket } = await openTls(port, tls);
  const received = createJournal<Message>();
  const closed = Promise.withResolvers<PosternError | null>();
  const connection = openConnection(socket, {
    clock: systemClock,
    limits: makeHello(HELLO).limits,
    handlers: {
      onMessage(message) {
        if (message.type === 'welcome') establish(message);
        received.add(message);
      },
      onClose: closed.resolve,
    },
  });
  function establish({ limits, pingMs, deadMs }: Welcome): void {
    connection.establish(limits, { pingMs, deadMs });
  }
  connection.send(first);
  return {
    connection,
    received,
    closed: closed.promise,
    next: (type) => received.find((message) => message.type === type) as Promise<never>,
  };
}
