/** An HTTP or HTTPS server on loopback that does what the test says, and keeps what it was sent. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { issueLeaf, makeKeyPem, selfSign, type KeyAndCertificate } from '../../src/identity/certificate.ts';
import { createJournal, type Journal } from './journal.ts';

export interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface WebServer {
  readonly port: number;
  /** Complete requests, in the order in which they ended. */
  readonly received: Journal<Received>;
  /** TCP connections that were accepted, whatever came of them. */
  readonly connections: () => number;
}

export type Respond = (request: Received, response: ServerResponse) => void;

export interface WebServerOptions {
  readonly host?: string;
  /** TLS with this certificate. */
  readonly tls?: KeyAndCertificate;
  readonly respond?: Respond;
}

const DAY_MS = 86_400_000;

/** An authority, and a certificate of it for these names. */
export async function makeWebCertificate(...names: readonly string[]): Promise<{ ca: string; tls: KeyAndCertificate }> {
  const keyPem = makeKeyPem();
  const ca = await selfSign(keyPem, 'test', Date.now(), DAY_MS);
  const request = {
    commonName: 'web',
    names: names.map((value) => ({ type: 'dns' as const, value })),
    purpose: 'serverAuth' as const,
    ttlMs: DAY_MS,
  };
  return { ca, tls: await issueLeaf({ keyPem, certPem: ca }, request, Date.now()) };
}

export async function startWebServer(t: TestContext, options: WebServerOptions = {}): Promise<WebServer> {
  const respond: Respond = options.respond ?? ((_request, response) => response.end('ok'));
  const received = createJournal<Received>();
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      const one: Received = { method, path: url, headers, body: Buffer.concat(chunks) };
      received.add(one);
      respond(one, response);
    });
  };
  const server =
    options.tls === undefined
      ? createServer(listener)
      : createTlsServer({ key: options.tls.keyPem, cert: options.tls.certPem }, listener);
  let connections = 0;
  server.on('connection', () => (connections += 1));
  server.on('tlsClientError', () => undefined);
  server.listen(0, options.host ?? '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, received, connections: () => connections };
}
