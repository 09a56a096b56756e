/** The HTTP server itself: its limits, its timeouts, the ids of requests, and answers to what never becomes a request. */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import Fastify, { LogController, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { PosternError } from '../../errors.ts';
import type { HttpConfig } from '../config.ts';
import { announcedBytes } from './body.ts';
import { FORWARDED_HEADER, isPeer, MAX_ADDED_BYTES } from './forwarded.ts';
import { isPrivate, takeCaller } from './late.ts';
import { problem, sendProblem, type Desk } from './route.ts';

const MAX_PATH_PARAMETER_CHARS = 200;

export function createApp(config: HttpConfig, desk: Desk): FastifyInstance {
  const nextId = createRequestIds();
  const app = Fastify({
    serverFactory: (handler) => listener(config, handler, nextId, desk),
    logger: false,
    logController: new LogController({ disableRequestLogging: true }),
    // Stopping is for what is left after a drain; a long poll must not hold it up for a minute.
    forceCloseConnections: true,
    return503OnClosing: false,
    exposeHeadRoutes: false,
    genReqId: nextId,
    requestIdHeader: false,
    routerOptions: { maxParamLength: MAX_PATH_PARAMETER_CHARS },
    frameworkErrors: (thrown, request, reply) => refuse(thrown, request, reply, desk),
    clientErrorHandler: (error, socket) => answerBrokenRequest(error, socket, nextId()),
  });
  // Bodies are read by the routes themselves, which know how much of them they want.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  app.setErrorHandler((thrown, request, reply) => refuse(thrown, request, reply, desk));
  return app;
}

/**
 * Headers that were let in where the request arrived must not be too large here for what was added to them. Node reads the limit of a
 * connection when it is given it, and not again: those of callers keep theirs.
 */
export function givePeer(
  server: Server & { maxHeaderSize?: number },
  socket: Socket,
  { maxHeaderBytes }: HttpConfig,
): void {
  server.maxHeaderSize = maxHeaderBytes + MAX_ADDED_BYTES;
  try {
    server.emit('connection', socket);
  } finally {
    server.maxHeaderSize = maxHeaderBytes;
  }
}

/** What Fastify refuses by itself: addresses that cannot be decoded, and the like. */
function refuse(thrown: unknown, request: FastifyRequest, reply: FastifyReply, desk: Desk): void {
  reply.hijack();
  sendProblem(thrown, { request: request.raw, response: reply.raw, id: request.id }, desk);
}

/** What routes are asked about. Of the others (TRACE, QUERY, WebDAV's) none is served at any address. */
const ROUTED_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
const SERVED_METHODS = [...ROUTED_METHODS].join(', ');

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

function listener(config: HttpConfig, handler: Handler, nextId: RequestIds, desk: Desk): Server {
  const server = createServer(
    {
      maxHeaderSize: config.maxHeaderBytes,
      requestTimeout: config.requestTimeoutMs,
      headersTimeout: Math.min(config.headersTimeoutMs, config.requestTimeoutMs),
      keepAliveTimeout: config.keepAliveTimeoutMs,
      // Looks at slow requests this often: a timeout is at most this late.
      connectionsCheckingInterval: Math.min(1_000, config.headersTimeoutMs),
      noDelay: true,
      // Node would answer a missing Host with an empty page; the check is below, so that it gets a problem like any other.
      requireHostHeader: false,
    },
    (request, response) => {
      if (isPrivate(request.socket)) takeCaller(request);
      else if (!isPeer(request.socket)) {
        // Whoever sends it here has made it up.
        if (FORWARDED_HEADER in request.headers) Reflect.deleteProperty(request.headers, FORWARDED_HEADER);
        if (desk.draining() && desk.passOn(request, response)) return;
      }
      if (!ROUTED_METHODS.has(request.method ?? '')) {
        refuseMethod({ request, response, id: nextId(request) }, desk);
        return;
      }
      const hosts = countHosts(request.rawHeaders);
      if (hosts === 1 || (hosts === 0 && request.httpVersionMinor === 0)) handler(request, response);
      else refuseHost(hosts, { request, response, id: nextId(request) }, desk);
    },
  );
  server.maxConnections = config.maxConnections;
  server.timeout = config.stalledTimeoutMs;
  // curl asks before it sends a large body. Who would be refused for the length is refused before sending.
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    if ((announcedBytes(request) ?? 0) <= config.maxBodyBytes) response.writeContinue();
    server.emit('request', request, response);
  });
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    const error = new PosternError('bad_request', 'The Expect header asks for something else than 100-continue.');
    sendProblem(error, { request, response, id: nextId(request) }, desk);
  });
  return server;
}

/** Node keeps the first of several; a proxy in front may have gone by another one. */
function countHosts(rawHeaders: readonly string[]): number {
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  return hosts;
}

/** The connection is closed: its sender and we do not agree about what was asked of whom. */
function refuseHost(hosts: number, call: Parameters<typeof sendProblem>[1], desk: Desk): void {
  const got = hosts === 0 ? 'no Host header' : `${hosts} Host headers`;
  call.response.setHeader('connection', 'close');
  sendProblem(new PosternError('bad_request', `The request has ${got}; HTTP/1.1 demands exactly one.`), call, desk);
}

/** Its body, if it has one, is not read, so the connection cannot go on. */
function refuseMethod(call: Parameters<typeof sendProblem>[1], desk: Desk): void {
  call.response.setHeader('connection', 'close');
  call.response.setHeader('allow', SERVED_METHODS);
  const why = `${call.request.method} is allowed nowhere here; what is: ${SERVED_METHODS}.`;
  sendProblem(new PosternError('method_not_allowed', why), call, desk);
}

type RequestIds = (request?: IncomingMessage) => string;

/** The caller's own id when it is a reasonable one; else 64 random bits of this process and a counter. */
function createRequestIds(): RequestIds {
  const prefix = randomBytes(8).toString('hex');
  let count = 0;
  return (request) => {
    const given = request?.headers['x-request-id'];
    if (typeof given === 'string' && /^[\w.:/+=-]{1,128}$/.test(given)) return given;
    count += 1;
    return `${prefix}-${count.toString(36)}`;
  };
}

/** What Node's parser refused never becomes a request; it is answered on the bare socket, unless an answer has begun. */
function answerBrokenRequest(thrown: Error & { code?: string }, socket: Socket, requestId: string): void {
  const current = (socket as { _httpMessage?: ServerResponse })._httpMessage;
  if (!socket.writable || current?.headersSent || thrown.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const error = brokenRequest(thrown.code ?? '');
  const { headers, body } = problem(error, { requestId });
  let head = `HTTP/1.1 ${error.status} ${error.code}\r\n`;
  for (let index = 0; index < headers.length; index += 2) head += `${headers[index]}: ${headers[index + 1]}\r\n`;
  head += `x-request-id: ${requestId}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n`;
  socket.end(head + String(body));
}

function brokenRequest(code: string): PosternError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new PosternError('headers_too_large', 'The headers are larger than the limit.');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new PosternError('request_timeout', 'The request did not arrive in time.', { retryAfterS: 1 });
    default:
      return new PosternError('bad_request', `What came is not an HTTP/1.1 request (${code || 'unreadable'}).`);
  }
}
