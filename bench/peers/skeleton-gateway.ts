/**
 * The least that could do the job: node:http in front (or Fastify, with `fastify` as the second argument), frames of [length u32, id u32, body] over mutual TLS to one worker
 * that dialled in. No limits, no credit, no recovery. What the real gateway is measured against.
 */
import { createServer, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import Fastify from 'fastify';
import { readFrames, writeFrame } from './skeleton-frames.ts';

const folder = process.argv[2] ?? '';
const pem = (name: string): Buffer => readFileSync(`${folder}/${name}`);
let worker: TLSSocket | undefined;
let next = 0;
const waiting = new Map<number, ServerResponse>();

const tunnel = createTlsServer(
  { key: pem('gateway.key'), cert: pem('gateway.pem'), ca: pem('ca.pem'), requestCert: true, minVersion: 'TLSv1.3' },
  (socket) => {
    worker = socket.setNoDelay();
    readFrames(socket, (id, body) => {
      const response = waiting.get(id);
      waiting.delete(id);
      response?.writeHead(200, { 'content-type': 'application/json' });
      response?.end(JSON.stringify({ id, status: 'succeeded', output: body.toString('latin1') }));
    });
  },
);

const port = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;

function ask(body: Buffer, response: ServerResponse): void {
  next = (next + 1) >>> 0;
  waiting.set(next, response);
  if (worker) writeFrame(worker, next, body);
}

async function openFastify(): Promise<Server> {
  const app = Fastify({ logger: false });
  app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
  app.post('/', (request, reply) => {
    reply.hijack();
    ask(request.body as Buffer, reply.raw);
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  return app.server;
}

async function openNode(): Promise<Server> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => ask(Buffer.concat(chunks), response));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

const http = process.argv[3] === 'fastify' ? await openFastify() : await openNode();
tunnel.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ http: port(http), tunnel: port(tunnel) })));
process.on('SIGTERM', () => process.exit(0));
