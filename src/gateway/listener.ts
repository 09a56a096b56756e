/**
 * The worker listener: what stands between the doorway (TLS, places, deadlines) and the sessions. It reads each
 * connection's hello, decides by its role (control, data, probe), and answers with a welcome or with why not.
 */
import { randomBytes, X509Certificate } from 'node:crypto';
import type { Clock, Timer } from '../clock.ts';
import { PosternError } from '../errors.ts';
import type { Issued } from '../identity/enrolment.ts';
import type { TunnelIdentity } from '../identity/tunnel-identity.ts';
import type { Logger } from '../logger.ts';
import { createByteBudget, DEFAULT_BUDGET_BYTES } from '../protocol/budget.ts';
import { openConnection } from '../protocol/connection.ts';
import type { Connection, ConnectionHandlers } from '../protocol/connection.ts';
import { DEAD_MS, DEFAULT_LIMITS, HELLO_TIMEOUT_MS, MAX_CONNECTIONS_PER_SESSION, PING_MS } from '../protocol/limits.ts';
import { checkHello, DEPLOY, FEATURES, GATEWAYS, KEEP, minLimits } from '../protocol/hello.ts';
import type { Limits } from '../protocol/limits.ts';
import type { Hello, Message, Welcome } from '../protocol/messages.ts';
import { equalSecrets } from '../secret.ts';
import { createPayloadMemory } from '../payload-memory.ts';
import { createService } from '../service.ts';
import { createDoorway } from './doorway.ts';
import { createEnrolDesk } from './enrol.ts';
import { gatewaysMessage, type Neighbours } from './neighbours.ts';
import { createNetworkList } from './networks.ts';
import type { Door } from './door.ts';
import type { Arrival } from './doorway.ts';
import type { SessionEvents, WorkerListener } from './worker-ports.ts';
import { createProbe, MAX_PROBE_MS } from './probe.ts';
import { Session, sessionId } from './session.ts';
import { createSessions } from './sessions.ts';

export interface WorkerListenerConfig {
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
  /** An inherited socket, instead of an address of its own. */
  readonly door?: Door | null;
  /** The gateway's name, told to workers. */
  readonly gateway: string;
  readonly leaseMs: number;
  readonly agent?: string;
  readonly limits?: Limits;
  readonly pingMs?: number;
  readonly deadMs?: number;
  readonly helloTimeoutMs?: number;
  readonly waitTimeoutMs?: number;
  readonly maxHandshakes?: number;
  readonly maxHandshakesPerAddress?: number;
  readonly maxWaitingHandshakes?: number;
  readonly maxSessions?: number;
  readonly maxProbes?: number;
  /** Networks (CIDR) that may connect; none: all. */
  readonly allow?: readonly string[];
}

const DEFAULTS = {
  agent: 'postern',
  limits: DEFAULT_LIMITS,
  pingMs: PING_MS,
  deadMs: DEAD_MS,
  helloTimeoutMs: HELLO_TIMEOUT_MS,
  waitTimeoutMs: 12_000,
  maxHandshakes: 64,
  /** Half of the places: one address never has them all. */
  maxHandshakesPerAddress: 32,
  /** A file descriptor each; half of them for one address: 1,000 workers behind one NAT may come back at once. */
  maxWaitingHandshakes: 2_048,
  maxSessions: 4_096,
  maxProbes: 4,
  allow: [] as readonly string[],
};

/** Refusals are counted and told at most this often: a flood must not become a flood of log lines. */
const REFUSAL_LOG_MS = 1_000;

/** How exactly it is kept when a worker was last heard. One flush each time, however many workers there are. */
const HEARD_MS = 60_000;

/** A connection whose hello makes sense, on its way to its role. */
interface Greeting {
  readonly arrival: Arrival;
  readonly connection: Connection;
  readonly hello: Hello;
  readonly version: number;
}

export interface ListenerStats {
  readonly sessions: number;
  readonly dataConnections: number;
  readonly handshakes: number;
  readonly waiting: number;
  /** Since the start, by error code. */
  readonly refused: Readonly<Record<string, number>>;
}

export interface WorkerListenerOptions {
  readonly config: WorkerListenerConfig;
  readonly identity: Pick<TunnelIdentity, 'tls' | 'onTls' | 'access' | 'enrolment'>;
  readonly events: SessionEvents;
  /** null: this gateway is alone, and workers are told of no other. */
  readonly neighbours?: Neighbours | null;
  readonly logger: Logger;
  readonly clock: Clock;
}

export function createWorkerListener(options: WorkerListenerOptions): WorkerListener & { stats(): ListenerStats } {
  const { clock, events, identity, logger, neighbours = null } = options;
  const config = { ...DEFAULTS, ...options.config };
  const sessions = createSessions({ clock, maxSessions: config.maxSessions });
  const connections = new Set<Connection>();
  const budget = createByteBudget(DEFAULT_BUDGET_BYTES, createPayloadMemory().grew);
  const refused: Record<string, number> = {};
  let refusedLoggedAt = -Infinity;
  let probes = 0;
  let ticking: Timer | undefined;
  let hearing: Timer | undefined;
  let draining: Promise<void> | undefined;
  let port = 0;
  let endAccessWatch: () => void = () => undefined;
  let endNeighbourWatch: () => void = () => undefined;
  /** What was last told, so that nothing is told twice. */
  let toldGateways = '';

  const desk = createEnrolDesk({ enrolment: identity.enrolment, clock, logger, onRefused: refuse });
  const doorway = createDoorway({
    identity,
    clock,
    helloTimeoutMs: config.helloTimeoutMs,
    waitTimeoutMs: config.waitTimeoutMs,
    admission: {
      maxActive: config.maxHandshakes,
      maxActivePerAddress: config.maxHandshakesPerAddress,
      maxWaiting: config.maxWaitingHandshakes,
      maxWaitingPerAddress: config.maxWaitingHandshakes / 2,
    },
    mayConnect: createNetworkList(config.allow),
    onArrival: greet,
    onEnrol: (arrival) => desk.serve(arrival),
    onRefused: refuse,
  });

  function refuse(error: PosternError, address: string, worker?: string): void {
    refused[error.code] = (refused[error.code] ?? 0) + 1;
    if (clock.monotonic() - refusedLoggedAt < REFUSAL_LOG_MS) return;
    refusedLoggedAt = clock.monotonic();
    logger.warn('connection refused', {
      code: error.code,
      reason: error.message,
      address,
      worker,
      refused: { ...refused },
    });
  }

  /** Reads the hello; from then on the connection belongs to a session or to a link check. */
  function greet(arrival: Arrival): void {
    let handlers: ConnectionHandlers | null = null;
    const connection = openConnection(arrival.socket, {
      clock,
      limits: config.limits,
      budget,
      handlers: {
        onMessage(message, payload) {
          if (handlers) handlers.onMessage(message, payload);
          else handlers = accept(arrival, connection, message);
        },
        onClose(error) {
          connections.delete(connection);
          if (handlers) handlers.onClose(error);
          else if (error) refuse(error, arrival.address, arrival.worker.name);
        },
      },
    });
    connections.add(connection);
  }

  function accept(arrival: Arrival, connection: Connection, message: Message): ConnectionHandlers | null {
    try {
      const { hello, version } = checkHello(message);
      if (draining) throw new PosternError('draining', 'the gateway drains');
      const greeting = { arrival, connection, hello, version };
      if (hello.role === 'control') return openControl(greeting);
      if (hello.role === 'data') return openData(greeting);
      return openProbe(greeting);
    } catch (thrown) {
      if (!(thrown instanceof PosternError)) throw thrown;
      refuse(thrown, arrival.address, arrival.worker.name);
      connection.close(thrown.code, thrown.message);
      return { onMessage: () => undefined, onClose: () => undefined };
    }
  }

  function welcome({ arrival, connection, hello, version }: Greeting, ticket: string): void {
    const answer: Welcome = {
      type: 'welcome',
      version,
      ticket,
      worker: arrival.worker.name,
      gateway: config.gateway,
      agent: config.agent,
      limits: config.limits,
      pingMs: config.pingMs,
      deadMs: config.deadMs,
      leaseMs: config.leaseMs,
      gateways: [],
      features: [...FEATURES],
    };
    connection.send(answer);
    connection.establish(hello.limits, { pingMs: config.pingMs, deadMs: config.deadMs });
    arrival.settle();
  }

  /** Each renewal stands on the certificate before it. */
  function renewerOf(arrival: Arrival): (request: string) => Promise<Issued> {
    let shown = arrival.certificate;
    return async (request) => {
      const issued = await identity.enrolment.renew(shown, request);
      shown = new X509Certificate(issued.certificate);
      const fields = { worker: issued.worker.name, ends_at: new Date(issued.worker.certificateEndsAt).toISOString() };
      logger.info('certificate renewed', fields);
      return issued;
    };
  }

  function openControl(greeting: Greeting): ConnectionHandlers {
    const { arrival, connection, hello } = greeting;
    const { name } = arrival.worker;
    if (hello.linked?.includes(config.gateway) === true) {
      throw new PosternError(
        'already_linked',
        `${name} has a session with ${config.gateway}: look for another gateway`,
      );
    }
    const { resumed } = sessions.prepare(name, hello);
    const ticket = randomBytes(24).toString('base64url');
    const session = new Session({
      id: sessionId(name, hello.session),
      worker: name,
      previous: (hello.previous ?? []).map((session) => sessionId(name, session)),
      agent: hello.agent,
      address: arrival.address,
      identity: arrival.worker,
      renew: renewerOf(arrival),
      control: connection,
      takesDeploy: hello.features?.includes(DEPLOY) === true,
      takesGateways: hello.features?.includes(GATEWAYS) === true,
      keeps: hello.features?.includes(KEEP) === true,
      heardBytes: () => arrival.socket.bytesRead,
      maxPayloadBytes: minLimits(config.limits, hello.limits).maxPayloadBytes,
      events,
      clock,
    });
    sessions.open(name, hello, ticket, session);
    welcome(greeting, ticket);
    const fields = { worker: name, session: hello.session, epoch: hello.epoch };
    logger.debug('control connection opened', { ...fields, resumed, agent: hello.agent, address: arrival.address });
    if (neighbours !== null) session.tell(gatewaysMessage(neighbours));
    events.onOpen(session, resumed);
    return {
      onMessage: (message, payload) => session.onControlMessage(message, payload),
      onClose(error) {
        // A worker that says it goes, goes for good: that is as orderly as an end can be.
        session.end('connection_lost', 'the control connection is gone', error?.code === 'draining' ? null : error);
        logger.debug('control connection closed', {
          ...fields,
          code: error?.code ?? null,
          reason: error?.message ?? null,
        });
      },
    };
  }

  function openData(greeting: Greeting): ConnectionHandlers {
    const { arrival, connection, hello } = greeting;
    const found = sessions.find(arrival.worker.name, hello);
    if (!found || !equalSecrets(hello.ticket ?? '', found.ticket)) {
      throw new PosternError('handshake_refused', 'no live session has this name, epoch and ticket');
    }
    const { session } = found;
    if (session.dataConnectionCount >= MAX_CONNECTIONS_PER_SESSION - 1) {
      throw new PosternError('overloaded', `a session has at most ${MAX_CONNECTIONS_PER_SESSION} connections`);
    }
    welcome(greeting, found.ticket);
    session.addData(connection);
    return {
      onMessage: (message, payload) => session.onDataMessage(message, payload),
      onClose: () => session.removeData(connection),
    };
  }

  function openProbe(greeting: Greeting): ConnectionHandlers {
    const { connection } = greeting;
    if (probes >= config.maxProbes) throw new PosternError('overloaded', `${probes} link checks are running already`);
    probes += 1;
    welcome(greeting, randomBytes(24).toString('base64url'));
    const deadline = clock.after(MAX_PROBE_MS, () =>
      connection.close('handshake_timeout', 'the link check took too long'),
    );
    return {
      onMessage: createProbe(connection),
      onClose() {
        probes -= 1;
        deadline.cancel();
      },
    };
  }

  /** Somebody was revoked, or a certificate ended: sessions that may be no more are closed in this very step. */
  function checkSessions(): void {
    for (const session of sessions.live()) {
      const why = identity.access.check(session.identity);
      if (why === null) continue;
      logger.warn('session closed', { worker: session.worker, code: why.code, reason: why.message });
      session.close(why.code, why.message);
    }
  }

  function tellGateways(): void {
    if (neighbours === null) return;
    const message = gatewaysMessage(neighbours);
    const text = JSON.stringify(message);
    if (text === toldGateways) return;
    toldGateways = text;
    for (const session of sessions.live()) session.tell(message);
  }

  function noteHeard(): void {
    const names = sessions.live().map(({ worker }) => worker);
    if (names.length === 0) return;
    try {
      identity.access.heard(names);
    } catch (error) {
      logger.warn('when workers were heard cannot be kept', { error });
    }
  }

  function tick(): void {
    sessions.tick();
    checkSessions();
  }

  const service = createService({
    async start() {
      await doorway.open(config.door ?? { host: config.host, port: config.port });
      port = doorway.port;
      ticking = clock.every(config.pingMs, tick);
      hearing = clock.every(HEARD_MS, noteHeard);
      endAccessWatch = identity.access.onChange(checkSessions);
      if (neighbours !== null) endNeighbourWatch = neighbours.onChange(tellGateways);
    },
    async stop() {
      const closed = doorway.close();
      ticking?.cancel();
      hearing?.cancel();
      endAccessWatch();
      endNeighbourWatch();
      noteHeard();
      desk.close();
      for (const session of sessions.live()) session.close('draining', 'the gateway stops');
      for (const connection of connections) connection.close('draining', 'the gateway stops');
      await closed;
    },
  });

  return {
    ...service,
    get port() {
      return port;
    },
    leave: () => void doorway.close(),
    drain(deadlineMs) {
      // The port is free for another release from here on; those that are shaking hands are told.
      void doorway.close();
      draining ??= Promise.all(sessions.live().map((session) => session.drain(deadlineMs, 'the gateway drains'))).then(
        () => undefined,
      );
      return draining;
    },
    stats: () => ({
      sessions: sessions.live().length,
      dataConnections: sessions.live().reduce((sum, session) => sum + session.dataConnectionCount, 0),
      handshakes: doorway.activeCount,
      waiting: doorway.waitingCount,
      refused: { ...refused },
    }),
  };
}
