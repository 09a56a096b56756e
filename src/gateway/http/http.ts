/**
 * The callers' side of the gateway: an HTTP server over the Predictions port. Owner of the listening socket, of the count
 * of requests in flight, and of the phase (starting → ready → draining) that `/readyz` reports.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Server as NetServer } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import { PosternError } from '../../errors.ts';
import { createPayloadMemory } from '../../payload-memory.ts';
import { createService, type Service } from '../../service.ts';
import { sleep, type Clock } from '../../clock.ts';
import type { Logger } from '../../logger.ts';
import type { Callers } from '../../identity/callers.ts';
import type { HttpConfig } from '../config.ts';
import type { LocalPart } from '../local-parts.ts';
import type { Outbound } from '../outbound/outbound.ts';
import type { App, Predictions, Rollouts, Services, Webhooks } from '../ports.ts';
import type { Scaling } from '../scaling/scaling.ts';
import type { Access, RouteScope } from './access.ts';
import { parseProxies } from './address.ts';
import { createActivity, type ActivityOptions } from '../activity/activity.ts';
import { countAnswers } from './answer-counts.ts';
import { adminLive } from './admin-live.ts';
import { adminRoutes } from './admin.ts';
import { createAppDesk } from './app-desk.ts';
import type { MemberList } from '../cluster/members.ts';
import type { Peers } from '../cluster/peer.ts';
import type { Files } from '../files/files.ts';
import { createBodyBudget } from './budget.ts';
import { createInputFetcher } from './input-url.ts';
import { createConnections } from './connections.ts';
import { createForwarder } from './forward.ts';
import { forwardedAccess, isPeer, markPeer } from './forwarded.ts';
import { createGate } from './gate.ts';
import { openPrivateSocket, passOn } from './late.ts';
import { listenAt, type Door } from '../door.ts';
import { loginRoutes } from './login.ts';
import { fileRoutes } from './files.ts';
import { createMetrics, type Metrics, type OnDecided, type RouteCounts } from './metrics.ts';
import { modelRoutes } from './models.ts';
import { listenError, portOf } from './own-port.ts';
import { operationRoutes, type Phase } from './operations.ts';
import { pageRoutes } from './pages.ts';
import { predictionRoutes } from './predictions.ts';
import { sendProblem, type Desk, type Route } from './route.ts';
import { ANY_METHODS, createBaseOf, register } from './register.ts';
import { createApp, givePeer } from './server.ts';
import { openAiRoutes } from './services/openai.ts';
import { serviceRoutes } from './services/routes.ts';
import { loadWebApp } from './web-app.ts';
import { scalingRoutes } from './scaling.ts';
import { webhookRoutes } from './webhooks.ts';
import { v2Routes } from './v2/routes.ts';
import { streamRoutes } from './stream.ts';

export interface HttpServiceOptions {
  readonly predictions: Predictions;
  readonly services: Services;
  readonly rollouts: Rollouts;
  readonly members: MemberList;
  readonly peers: Peers;
  readonly scaling: Pick<Scaling, 'whole' | 'verdict'>;
  /** Started already. */
  readonly apps?: readonly App[];
  /** What lies on this machine although gateways share a database, beside what apps say of themselves. */
  readonly local?: readonly LocalPart[];
  /** Why nothing can be kept now; null: it can. */
  readonly fault: () => PosternError | null;
  readonly onDecided: OnDecided;
  /** What the engine has counted so far. */
  readonly stats: ActivityOptions['stats'];
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
  /** Another gateway serves now, or will. */
  readonly handOver?: HttpHandOver | null;
}

/** How one gateway takes the place of another without a request that fails. */
export interface HttpHandOver {
  /** Listened on when `listen` is called. */
  readonly door: Door;
  /** Path of a socket that answers from the start on, for checks and for late requests of the gateway before. */
  readonly privateSocket: string;
  /** The private socket of whoever serves: late requests go there. */
  readonly nextSocket: string;
  /** Told by `/livez` and `/readyz` in `X-Release`. */
  readonly release: string;
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
  /** With a hand-over, `start` opens the private socket alone, and this one the door. */
  listen(): Promise<void>;
  /**
   * Stops listening, but closes no connection: a request may be on its way on any. What arrives from now on is passed on, and
   * its answer closes the connection. Event streams are told to come back.
   */
  leave(): void;
  /** Resolves when no request is in flight, or after `deadlineMs`. */
  settled(deadlineMs: number): Promise<void>;
  /** From now on callers are refused with this text, beside those who ask whether the gateway lives. null: no more. */
  setMaintenance(text: string | null): void;
  /** A connection of another gateway, whose certificate was checked. */
  takePeer(socket: TLSSocket, id: string): void;
  /** Resolves when no caller is connected any more. */
  emptied(): Promise<void>;
  /** Of callers. */
  readonly connectionCount: number;
  readonly requestsInFlight: number;
  /** Gives up the path of the private socket, which the next gateway of this process wants. */
  closePrivate(): void;
  /** Stops listening for good. */
  closeDoor(): void;
}

/** Maintenance takes minutes. */
const MAINTENANCE_RETRY_S = 30;

/** Longer than an instance keeps the port that it left. */
const FREE_PORT_MS = 4_000;

/** How often a drain looks whether the last request is over. */
const DRAIN_LOOK_MS = 20;

export function createHttpService(options: HttpServiceOptions): HttpService {
  const { predictions, config, outbound, logger, clock, handOver = null } = options;
  const apps = options.apps ?? [];
  const budget = createBodyBudget(config.maxInFlightBytes, createPayloadMemory().grew);
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
  let privateDoor: NetServer | null = null;
  let hasLeft = false;
  let maintenance: string | null = null;
  let unfollow = (): void => undefined;

  const forwarder = createForwarder({ peers: options.peers, clock });
  const streams = streamRoutes({ predictions, forwarder, clock });
  const { stats, onDecided } = options;
  const answers = () => countAnswers(counts);
  const activity = createActivity({ clock, logger, predictions, stats, onDecided, answers });
  const live = adminLive({
    activity,
    clock,
    isClosed: () => keys.isClosed,
    state: () => {
      const fault = options.fault()?.message ?? null;
      return { phase, requestsInFlight: inFlight, bodyBytes: budget.usedBytes, fault };
    },
  });

  const desk: Desk = {
    clock,
    logger,
    admit(scope, request) {
      if (maintenance !== null && scope !== 'public' && scope !== 'admin') {
        throw new PosternError('maintenance', maintenance, { retryAfterS: MAINTENANCE_RETRY_S });
      }
      const access = isPeer(request.socket) ? admitPeer(request, scope) : gate.admit(scope, request);
      connections.hold(request.socket, access);
      return access;
    },
    corsOrigins: corsOrigins.size === 0 ? null : corsOrigins,
    isHttps: config.publicUrl?.startsWith('https:') === true,
    draining: () => phase === 'draining',
    passOn(request, response) {
      if (!hasLeft || handOver === null) return false;
      void passLate(request, response, handOver.nextSocket);
      return true;
    },
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
      const appDesk = createAppDesk({
        budget,
        clock,
        maxBodyBytes,
        proxies,
        publicUrl: config.publicUrl,
        corsOrigins,
        draining: () => phase === 'draining',
      });
      const sendTo = apps.flatMap(({ uploadOrigin }) => uploadOrigin ?? []);
      const web = config.webDir === null ? null : await loadWebApp(config.webDir, sendTo);
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
        ...v2Routes({ predictions, budget, clock, maxBodyBytes, forwarder, phase: () => phase }),
        ...serviceRoutes({ services: options.services, forwarder, budget, clock }),
        ...openAiRoutes({ services: options.services, forwarder, budget, clock, maxBodyBytes }),
        ...operationRoutes({
          predictions,
          phase: () => phase,
          fault: options.fault,
          metrics: () => metrics!,
          release: handOver?.release ?? null,
          local: [...(options.local ?? []), ...apps.flatMap((app) => app.local ?? [])],
        }),
        ...scalingRoutes(options.scaling),
        ...loginRoutes({ callers: options.callers, budget, clock, proxies, publicUrl: config.publicUrl }),
        ...adminRoutes({ ...options, budget }),
        ...live.routes,
        ...apps.flatMap((app) => app.routes(appDesk)),
        ...(await pageRoutes(
          apps.map(({ openApi }) => openApi),
          web !== null,
        )),
        ...(web?.routes ?? []),
      ];
      app = createApp(config, desk);
      connections.guard(app.server);
      const ends = [keys.onEnded((key) => connections.cut(key)), sessions.onEnded((one) => connections.cut(one))];
      unfollow = () => ends.forEach((end) => end());
      await options.callers.start();
      register(app, routes, counts, desk, (call) => web?.page(call) ?? null);
      metrics = createMetrics({
        ...options,
        routes: counts,
        budget,
        forwarded: forwarder.counts,
        requestsInFlight: () => inFlight,
        connections: () => connections.count,
      });
      if (handOver === null) await listen();
      else {
        await app.ready();
        privateDoor = await openPrivateSocket(app.server, handOver.privateSocket);
      }
      activity.start();
      phase = 'ready';
    },
    async stop() {
      phase = 'draining';
      unfollow();
      metrics?.stop();
      activity.stop();
      live.drain();
      if (handOver !== null) {
        privateDoor?.close();
        stopListening();
        app?.server.closeAllConnections();
      }
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
    listen,
    leave() {
      phase = 'draining';
      hasLeft = true;
      // A port of its own may still be where a proxy sends some requests; they are passed on like all others.
      if (handOver !== null && 'fd' in handOver.door) stopListening();
      streams.drain();
    },
    settled,
    setMaintenance(text) {
      maintenance = text;
    },
    takePeer(socket, id) {
      markPeer(socket, id);
      if (app !== null) givePeer(app.server, socket, config);
    },
    emptied: () => connections.gone(),
    get connectionCount() {
      return connections.count;
    },
    get requestsInFlight() {
      return inFlight;
    },
    closePrivate: () => privateDoor?.close(),
    closeDoor: stopListening,
  };

  /** Who asked was found out where the request arrived; whether this gateway takes it is asked here. */
  function admitPeer(request: IncomingMessage, scope: RouteScope): Access {
    const access = forwardedAccess(request, scope);
    if (phase === 'ready') return access;
    throw new PosternError('draining', `The gateway is ${phase}.`, { retryAfterS: 1 });
  }

  async function listen(): Promise<void> {
    if (app === null) throw new Error('listen before start');
    try {
      if (handOver === null) await app.listen({ host: config.host, port: config.port });
      else await listenSoon(app.server, handOver.door);
    } catch (error) {
      throw listenError(error, config);
    }
    logger.info('http listening', { host: config.host, port: portOf(app) });
  }

  /** The port may be in its last moments with the instance before the one before. */
  async function listenSoon(server: FastifyInstance['server'], door: Door): Promise<void> {
    const until = clock.monotonic() + FREE_PORT_MS;
    for (;;) {
      try {
        await listenAt(server, door);
        return;
      } catch (error) {
        const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
        if (!isTaken || 'fd' in door || clock.monotonic() > until) throw error;
        await sleep(clock, DRAIN_LOOK_MS);
      }
    }
  }

  /** The listener alone: `http.Server.close` would cut idle connections, on which the next request may be on its way. */
  function stopListening(): void {
    if (app?.server.listening === true) NetServer.prototype.close.call(app.server);
  }

  async function passLate(request: IncomingMessage, response: ServerResponse, nextSocket: string): Promise<void> {
    inFlight += 1;
    const id = String(request.headers['x-request-id'] ?? '-').slice(0, 128);
    await passOn(request, response, nextSocket)
      .catch((error: unknown) => sendProblem(error, { request, response, id }, desk))
      .finally(() => (inFlight -= 1));
  }

  function drain(deadlineMs: number): Promise<void> {
    phase = 'draining';
    // Whoever reads along finds the rest at the next gateway.
    streams.drain();
    live.drain();
    const { server } = app ?? { server: null };
    if (!server) return Promise.resolve();
    server.close();
    server.closeIdleConnections();
    const closing = clock.every(DRAIN_LOOK_MS, () => server.closeIdleConnections());
    return settled(deadlineMs).finally(() => closing.cancel());
  }

  function settled(deadlineMs: number): Promise<void> {
    const until = clock.monotonic() + deadlineMs;
    return new Promise((resolve) => {
      const look = clock.every(DRAIN_LOOK_MS, () => {
        if (inFlight > 0 && clock.monotonic() < until) return;
        look.cancel();
        resolve();
      });
    });
  }
}
