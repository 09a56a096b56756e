/**
 * The callers' side of the gateway: an HTTP server over the Predictions port. Owner of the listening socket, of the count
 * of requests in flight, and of the phase (starting → ready → draining) that `/readyz` reports.
 */
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { PosternError } from '../../errors.ts';
import { createService, type Service } from '../../service.ts';
import type { Clock } from '../../clock.ts';
import type { Logger } from '../../logger.ts';
import type { Callers } from '../../identity/callers.ts';
import type { HttpConfig } from '../config.ts';
import type { Outbound } from '../outbound/outbound.ts';
import type { App, Predictions, Services, Webhooks } from '../ports.ts';
import type { RouteScope } from './access.ts';
import { parseProxies } from './address.ts';
import { adminRoutes } from './admin.ts';
import type { Files } from '../files/files.ts';
import { createBodyBudget } from './budget.ts';
import { createInputFetcher } from './input-url.ts';
import { createConnections } from './connections.ts';
import { createGate } from './gate.ts';
import { loginRoutes } from './login.ts';
import { fileRoutes } from './files.ts';
import { createMetrics, type Metrics, type OnDecided, type RouteCounts } from './metrics.ts';
import { modelRoutes } from './models.ts';
import { operationRoutes, type Phase } from './operations.ts';
import { pageRoutes } from './pages.ts';
import { predictionRoutes } from './predictions.ts';
import { problem, serve, type Call, type Desk, type Route, errorForm } from './route.ts';
import { createApp } from './server.ts';
import { openAiRoutes } from './services/openai.ts';
import { serviceRoutes } from './services/routes.ts';
import { webhookRoutes } from './webhooks.ts';
import { v2Routes } from './v2/routes.ts';
import { streamRoutes } from './stream.ts';

export interface HttpServiceOptions {
  readonly predictions: Predictions;
  readonly services: Services;
  /** Started already. */
  readonly apps?: readonly App[];
  /** Why nothing can be kept now; null: it can. */
  readonly fault: () => PosternError | null;
  readonly onDecided: OnDecided;
  readonly config: HttpConfig;
  /** For what is requested on a caller's behalf. */
  readonly outbound: Outbound;
  readonly webhooks: Webhooks;
  /** What callers uploaded. */
  readonly files: Files;
  /** Who may call. Started and stopped by this service. */
  readonly callers: Callers;
  readonly logger: Logger;
  readonly clock: Clock;
}

export interface HttpService extends Service {
  /** The bound port, after start. */
  readonly port: number;
  /** What is served, after start. */
  readonly routes: readonly { readonly method: string; readonly path: string; readonly scope: RouteScope }[];
  /** From now on `/readyz` says no and answers close their connections; requests are still answered. */
  beginDrain(): void;
  /** Stops accepting connections and waits, at most `deadlineMs`, until every request in flight is answered. */
  drain(deadlineMs: number): Promise<void>;
}

/** How often a drain looks whether the last request is over. */
const DRAIN_LOOK_MS = 20;

export function createHttpService(options: HttpServiceOptions): HttpService {
  const { predictions, config, outbound, logger, clock } = options;
  const apps = options.apps ?? [];
  const budget = createBodyBudget(config.maxInFlightBytes);
  const corsOrigins = new Set(config.corsOrigins);
  const { keys, sessions } = options.callers;
  const proxies = parseProxies(config.trustedProxies);
  const gate = createGate({
    keys,
    sessions,
    clock,
    isOpen: config.open,
    publicUrl: config.publicUrl,
    corsOrigins,
  });
  const connections = createConnections({
    maxPerAddress: config.maxConnectionsPerAddress,
    proxies,
  });
  const counts: RouteCounts[] = [];
  let routes: Route[] = [];
  let phase: Phase = 'starting';
  let inFlight = 0;
  let metrics: Metrics | null = null;
  let app: FastifyInstance | null = null;
  let draining: Promise<void> | null = null;
  let unfollow = (): void => undefined;

  const streams = streamRoutes({ predictions, clock });

  const desk: Desk = {
    clock,
    logger,
    admit(scope, request) {
      const access = gate.admit(scope, request);
      connections.hold(request.socket, access);
      return access;
    },
    corsOrigins: corsOrigins.size === 0 ? null : corsOrigins,
    isHttps: config.publicUrl?.startsWith('https:') === true,
    draining: () => phase === 'draining',
    onInFlight(change) {
      inFlight += change;
    },
  };

  const service = createService({
    async start() {
      const { maxBodyBytes } = config;
      const webhookRefusal = (url: string): string | null => outbound.refusal(url);
      const inputs = createInputFetcher({ outbound, maxBytes: maxBodyBytes });
      const baseOf = createBaseOf(config.publicUrl);
      routes = [
        ...predictionRoutes({
          predictions,
          budget,
          clock,
          maxBodyBytes,
          inputs,
          files: options.files,
          webhookRefusal,
          baseOf,
        }),
        ...fileRoutes({ files: options.files, budget, clock, maxBodyBytes, baseOf }),
        ...streams.routes,
        ...webhookRoutes(options.webhooks),
        ...modelRoutes({ predictions, baseOf }),
        ...v2Routes({ predictions, budget, clock, maxBodyBytes: config.maxBodyBytes, phase: () => phase }),
        ...serviceRoutes({ services: options.services, budget, clock }),
        ...openAiRoutes({ services: options.services, budget, clock, maxBodyBytes }),
        ...operationRoutes({ predictions, phase: () => phase, fault: options.fault, metrics: () => metrics! }),
        ...loginRoutes({ callers: options.callers, budget, clock, proxies, publicUrl: config.publicUrl }),
        ...adminRoutes({ callers: options.callers, predictions, budget, clock }),
        ...apps.flatMap((app) => app.routes()),
        ...(await pageRoutes(apps.map(({ openApi }) => openApi))),
      ];
      app = createApp(config, desk);
      connections.guard(app.server);
      const ends = [keys.onEnded((key) => connections.cut(key)), sessions.onEnded((one) => connections.cut(one))];
      unfollow = () => ends.forEach((end) => end());
      await options.callers.start();
      register(app, routes, counts, desk);
      metrics = createMetrics({
        predictions,
        webhooks: options.webhooks,
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
      unfollow();
      metrics?.stop();
      await app?.close();
      await options.callers.stop();
    },
  });

  return {
    ...service,
    get port() {
      return portOf(app);
    },
    get routes() {
      return routes.flatMap(({ method, path, scope }) =>
        (method === 'ANY' ? ANY_METHODS : [method]).map((one) => ({ method: one, path, scope })),
      );
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
    // Whoever reads along finds the rest at the next gateway.
    streams.drain();
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

/** What Replicate's clients may ask for beside models, predictions and files. */
const NOT_OFFERED = /^\/v1\/(?:account|collections|deployments|hardware|search|trainings)(?:\/|$)/;

/** What `ANY` stands for beside HEAD. */
const ANY_METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
const ALL_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** OPTIONS is answered here for every route: a page of another site asks it without its key. */
function methodsOf({ method }: Route): string[] {
  if (method === 'ANY') return ALL_METHODS.filter((one) => one !== 'OPTIONS');
  return method === 'GET' ? ['GET', 'HEAD'] : [method];
}

/** Every address answers every method: with the route, with 405 and what is allowed, or with 404. */
function register(app: FastifyInstance, routes: readonly Route[], counts: RouteCounts[], desk: Desk): void {
  const add = (methods: string[], url: string, route: Route, label: string): void => {
    const ofRoute = new Map<number, number>();
    counts.push({ method: label, route: url, counts: ofRoute });
    app.route({ method: methods, url, handler: serve(route, ofRoute, desk) });
  };
  for (const route of routes) add(methodsOf(route), route.path, route, route.method);

  for (const path of new Set(routes.map((route) => route.path))) {
    const allowed = routes.filter((route) => route.path === path).flatMap(methodsOf);
    const others = ALL_METHODS.filter((method) => !allowed.includes(method));

    const allow = [...allowed, 'OPTIONS'].join(', ');
    add(others, path, { method: 'GET', path, scope: 'public', handle: (call) => notAllowed(call, allow) }, 'other');
  }
  const missing: Route = {
    method: 'GET',
    path: '*',
    scope: 'public',
    handle: ({ request }) => {
      const path = pathOf(request);
      const what = NOT_OFFERED.test(path)
        ? `Postern has nothing like Replicate's ${path}; docs/clients.md says what it offers.`
        : `There is nothing at ${path}. GET /openapi.json lists what there is.`;
      throw new PosternError('not_found', what);
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
  const answer = problem(error, { requestId: call.id, form: errorForm(call.request) });
  return { ...answer, headers: [...answer.headers, 'allow', allow] };
}

/** The path without the query, which may carry what should not be repeated. */
function pathOf(request: IncomingMessage): string {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  return path.length <= 100 ? path : `${path.slice(0, 97)}...`;
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
