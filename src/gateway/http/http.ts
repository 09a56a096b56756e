/**
 * The callers' side of the gateway: an HTTP server over the Predictions port. Owner of the listening socket, of the count
 * of requests in flight, and of the phase (starting → ready → draining) that `/readyz` reports.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import Fastify, { LogController, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { PosternError } from '../../errors.ts';
import { createService, type Service } from '../../service.ts';
import type { Clock } from '../../clock.ts';
import type { Logger } from '../../logger.ts';
import type { HttpConfig } from '../config.ts';
import type { Predictions } from '../ports.ts';
import { announcedBytes } from './body.ts';
import { createBodyBudget } from './budget.ts';
import { createMetrics, type Metrics, type OnDecided, type RouteCounts } from './metrics.ts';
import { modelRoutes } from './models.ts';
import { operationRoutes, type Phase } from './operations.ts';
import { pageRoutes } from './pages.ts';
import { predictionRoutes } from './predictions.ts';
import { problem, sendProblem, serve, type Call, type Desk, type Route } from './route.ts';

export interface HttpServiceOptions {
  readonly predictions: Predictions;
  readonly onDecided: OnDecided;
  readonly config: HttpConfig;
  readonly logger: Logger;
  readonly clock: Clock;
}

export interface HttpService extends Service {
  /** The bound port, after start. */
  readonly port: number;
  /** What is served, after start. */
  readonly routes: readonly Pick<Route, 'method' | 'path'>[];
  /** From now on `/readyz` says no and answers close their connections; requests are still answered. */
  beginDrain(): void;
  /** Stops accepting connections and waits, at most `deadlineMs`, until every request in flight is answered. */
  drain(deadlineMs: number): Promise<void>;
}

/** How often a drain looks whether the last request is over. */
const DRAIN_LOOK_MS = 20;
const MAX_PATH_PARAMETER_CHARS = 200;

export function createHttpService(options: HttpServiceOptions): HttpService {
  const { predictions, config, logger, clock } = options;
  const budget = createBodyBudget(config.maxInFlightBytes);
  const counts: RouteCounts[] = [];
  let routes: Route[] = [];
  let phase: Phase = 'starting';
  let inFlight = 0;
  let metrics: Metrics | null = null;
  let app: FastifyInstance | null = null;
  let draining: Promise<void> | null = null;

  const desk: Desk = {
    clock,
    logger,
    draining: () => phase === 'draining',
    onInFlight(change) {
      inFlight += change;
    },
  };

  const service = createService({
    async start() {
      const baseOf = createBaseOf(config.publicUrl);
      routes = [
        ...predictionRoutes({ predictions, budget, clock, maxBodyBytes: config.maxBodyBytes, baseOf }),
        ...modelRoutes({ predictions, baseOf }),
        ...operationRoutes({ predictions, phase: () => phase, metrics: () => metrics! }),
        ...(await pageRoutes()),
      ];
      app = createApp(config, desk);
      register(app, routes, counts, desk);
      metrics = createMetrics({
        predictions,
        onDecided: options.onDecided,
        routes: counts,
        budget,
        requestsInFlight: () => inFlight,
        connections: () => openConnections(app),
      });
      try {
        await app.listen({ host: config.host, port: config.port });
      } catch (error) {
        throw listenError(error, config);
      }
      phase = 'ready';
      logger.info('http listening', { host: config.host, port: portOf(app) });
    },
    async stop() {
      phase = 'draining';
      metrics?.stop();
      await app?.close();
    },
  });

  return {
    ...service,
    get port() {
      return portOf(app);
    },
    get routes() {
      return routes;
    },
    beginDrain() {
      if (phase === 'ready') phase = 'draining';
    },
    drain(deadlineMs) {
      draining ??= drain(deadlineMs);
      return draining;
    },
  };

  function drain(deadlineMs: number): Promise<void> {
    phase = 'draining';
    const { server } = app ?? { server: null };
    if (!server) return Promise.resolve();
    server.close();
    server.closeIdleConnections();
    const until = clock.monotonic() + deadlineMs;
    return new Promise((resolve) => {
      const look = clock.every(DRAIN_LOOK_MS, () => {
        server.closeIdleConnections();
        if (inFlight > 0 && clock.monotonic() < until) return;
        look.cancel();
        resolve();
      });
    });
  }
}

function portOf(app: FastifyInstance | null): number {
  const address = app?.server.address() as AddressInfo | null | undefined;
  return address?.port ?? 0;
}

function openConnections(app: FastifyInstance | null): Promise<number> {
  return new Promise((resolve) => {
    if (app === null) resolve(0);
    else app.server.getConnections((_error, count) => resolve(count));
  });
}

function listenError(error: unknown, { host, port }: HttpConfig): unknown {
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') return error;
  const message = `Port ${port} on ${host} is taken by another process. Stop it, or choose another port (POSTERN_HTTP_PORT).`;
  return new PosternError('address_in_use', message, { cause: error });
}

function createApp(config: HttpConfig, desk: Desk): FastifyInstance {
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

/** What Fastify refuses by itself: addresses that cannot be decoded, and the like. */
function refuse(thrown: unknown, request: FastifyRequest, reply: FastifyReply, desk: Desk): void {
  reply.hijack();
  sendProblem(thrown, { request: request.raw, response: reply.raw, id: request.id }, desk);
}

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
      if (request.headers.host !== undefined || request.httpVersionMinor === 0) handler(request, response);
      else sendProblem(noHost(), { request, response, id: nextId(request) }, desk);
    },
  );
  server.maxConnections = config.maxConnections;
  server.setTimeout(config.stalledTimeoutMs);
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

function noHost(): PosternError {
  return new PosternError('bad_request', 'The request has no Host header, which HTTP/1.1 demands.');
}

/** Every address answers every method: with the route, with 405 and what is allowed, or with 404. */
function register(app: FastifyInstance, routes: readonly Route[], counts: RouteCounts[], desk: Desk): void {
  const add = (methods: string[], url: string, route: Route, label: string): void => {
    const ofRoute = new Map<number, number>();
    counts.push({ method: label, route: url, counts: ofRoute });
    app.route({ method: methods, url, handler: serve(route, ofRoute, desk) });
  };
  for (const route of routes)
    add(route.method === 'GET' ? ['GET', 'HEAD'] : [route.method], route.path, route, route.method);

  for (const path of new Set(routes.map((route) => route.path))) {
    const allowed = routes
      .filter((route) => route.path === path)
      .flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));
    const others = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].filter(
      (method) => !allowed.includes(method),
    );
    const allow = [...allowed, 'OPTIONS'].join(', ');
    add(others, path, { method: 'GET', path, handle: (call) => notAllowed(call, allow) }, 'other');
  }
  const missing: Route = {
    method: 'GET',
    path: '*',
    handle: ({ request }) => {
      throw new PosternError(
        'not_found',
        `There is nothing at ${pathOf(request)}. GET /openapi.json lists what there is.`,
      );
    },
  };
  const ofMissing = new Map<number, number>();
  counts.push({ method: 'any', route: '*', counts: ofMissing });
  app.setNotFoundHandler(serve(missing, ofMissing, desk));
}

function notAllowed(call: Call, allow: string): ReturnType<Route['handle']> {
  if (call.request.method === 'OPTIONS') return { status: 204, headers: ['allow', allow], body: '' };
  const error = new PosternError(
    'method_not_allowed',
    `${call.request.method} is not allowed here; allowed: ${allow}.`,
  );
  const answer = problem(error, { requestId: call.id });
  return { ...answer, headers: [...answer.headers, 'allow', allow] };
}

/** The path without the query, which may carry what should not be repeated. */
function pathOf(request: IncomingMessage): string {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  return path.length <= 100 ? path : `${path.slice(0, 97)}...`;
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

const HOST = /^(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i;

/** Links use the name under which the caller found us. Only that caller sees them, so a forged Host harms nobody else. */
function createBaseOf(publicUrl: string | null): (call: Call) => string {
  const fixed = publicUrl?.replace(/\/+$/, '') ?? null;
  let lastHost = '';
  let lastBase = '';
  return ({ request }) => {
    if (fixed !== null) return fixed;
    const host = request.headers.host ?? '';
    if (host !== lastHost) {
      lastHost = host;
      lastBase = HOST.test(host) ? `http://${host}` : '';
    }
    return lastBase;
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
