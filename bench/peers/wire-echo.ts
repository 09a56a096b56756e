/**
 * The echoing side of bench/wire.ts: one process that listens once for each transport, over mutual TLS on loopback.
 *
 *   wire-echo.ts <folder with ca.pem, gateway.key, gateway.pem>
 */
import { readFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { WebSocketServer } from 'ws';
import { systemClock } from '../../src/clock.ts';
import { openConnection } from '../../src/protocol/connection.ts';
import type { Connection } from '../../src/protocol/connection.ts';
import { checkHello } from '../../src/protocol/hello.ts';
import { CONNECTION_WINDOW_BYTES, DEFAULT_LIMITS, STREAM_WINDOW_BYTES } from '../../src/protocol/limits.ts';
import type { Message } from '../../src/protocol/messages.ts';

const [folder = '.'] = process.argv.slice(2);
const file = (name: string): Buffer => readFileSync(join(folder, name));
const secure = {
  key: file('gateway.key'),
  cert: file('gateway.pem'),
  ca: file('ca.pem'),
  requestCert: true,
  rejectUnauthorized: true,
  minVersion: 'TLSv1.3',
} as const;
const timers = { pingMs: 5_000, deadMs: 15_000 };

function answer(connection: Connection, message: Message, payload: Buffer): void {
  if (message.type === 'result') {
    const { job, attempt, contentType, bytes } = message;
    connection.send(
      { type: 'assign', job, attempt, model: 'echo', version: '1', rows: 1, contentType, bytes },
      payload,
    );
  } else if (message.type === 'probe') {
    connection.send({ type: 'probe_report', bytes: message.bytes, received: message.bytes }, payload);
  } else {
    const { hello, version } = checkHello(message);
    connection.send({
      type: 'welcome',
      version,
      ticket: 'x'.repeat(32),
      worker: 'bench',
      gateway: 'bench',
      agent: 'bench',
      limits: DEFAULT_LIMITS,
      pingMs: timers.pingMs,
      deadMs: timers.deadMs,
      leaseMs: 30_000,
      gateways: [],
    });
    connection.establish(hello.limits, timers);
  }
}

const frames = createTlsServer({ ...secure, ALPNProtocols: ['postern/1'] }, (socket) => {
  socket.setNoDelay(true);
  const connection: Connection = openConnection(socket, {
    clock: systemClock,
    limits: DEFAULT_LIMITS,
    handlers: {
      onMessage: (message, payload) => answer(connection, message, payload),
      onClose: () => undefined,
    },
  });
});

const http2 = createSecureServer({ ...secure, settings: { initialWindowSize: STREAM_WINDOW_BYTES } }, undefined);
http2.on('session', (session) => session.setLocalWindowSize(CONNECTION_WINDOW_BYTES));
http2.on('stream', (stream) => {
  const parts: Buffer[] = [];
  stream.on('data', (part: Buffer) => parts.push(part));
  stream.on('end', () => {
    stream.respond({ ':status': 200 });
    stream.end(parts.length === 1 ? parts[0] : Buffer.concat(parts));
  });
});

const https = createHttpsServer(secure);
new WebSocketServer({ server: https, perMessageDeflate: false }).on('connection', (socket) => {
  socket.on('message', (data) => socket.send(data as Buffer));
});

process.once('SIGTERM', () => process.exit(0));
const listen = (server: Server): Promise<number> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)));
console.log(JSON.stringify({ frames: await listen(frames), http2: await listen(http2), ws: await listen(https) }));
