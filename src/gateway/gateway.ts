/**
 * The gateway: the workers' listener and the callers' HTTP service, with the engine between them. Owner of the order in
 * which they start and stop, and of nothing else.
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { createPeerCertificate } from '../identity/peer-certificate.ts';
import { appendAudit, prepareAudit, type AuditAction } from '../identity/audit.ts';
import { createCallers } from '../identity/callers.ts';
import type { Records } from '../identity/records.ts';
import type { OpenTunnelIdentity } from '../identity/tunnel-identity.ts';
import type { Logger } from '../logger.ts';
import { createService, type Service } from '../service.ts';
import { summaryOf } from './cluster/member.ts';
import { createMembers } from './cluster/members.ts';
import { createPeerListener, type PeerListener } from './cluster/peer-listener.ts';
import { createPeers } from './cluster/peers.ts';
import { withOthers } from './cluster/served-elsewhere.ts';
import { concurrencyOf, outboundRules, type GatewayConfig } from './config.ts';
import { createEngine } from './engine.ts';
import { createGatewayFiles } from './files/place.ts';
import { createHttpService, type HttpHandOver } from './http/http.ts';
import type { Door } from './door.ts';
import type { App, AppHost } from './ports.ts';
import type { SessionEvents } from './worker-ports.ts';
import { createWorkerListener } from './listener.ts';
import { localParts } from './local-parts.ts';
import { createOutbound } from './outbound/outbound.ts';
import { openRolloutBook } from './rollouts/records.ts';
import { createScaling } from './scaling/scaling.ts';
import { createGatewayStore } from './store.ts';
import { createGatewaySecrets } from './webhooks/place.ts';
import { createWebhookSender } from './webhooks/sender.ts';

export interface GatewayOptions {
  readonly config: GatewayConfig;
  /** Certificates, who may connect, and what for. Started and stopped with the gateway. */
  readonly identity: OpenTunnelIdentity;
  /** Who may connect and call. Closed when the gateway has stopped. */
  readonly records: Records;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Served beside the API; made, started and stopped with the gateway. */
  readonly apps?: readonly ((host: AppHost) => App)[];
  /** Set for a gateway that takes the place of another: it starts in standby, and serves from `activate` on. */
  readonly handOver?: GatewayHandOver | null;
}

export interface GatewayHandOver extends HttpHandOver {
  readonly tunnelDoor: Door;
}

export interface Gateway extends Service {
  /** A key that this process alone knows, and only for as long as it lives: for its own calls. */
  lendKey(): string;
  /** The bound ports, after start. */
  readonly httpPort: number;
  readonly tunnelPort: number;
  /** Accepts nothing new, finishes what runs, lets the workers go: at most `deadlineMs` in all. Memoised. */
  drain(deadlineMs: number): Promise<void>;
  /** From standby to serving. */
  activate(): Promise<void>;
  /** In maintenance callers are answered by `maintenance` alone; null: no maintenance. */
  setMaintenance(text: string | null): void;
  /**
   * Another gateway on the same store serves now: stops listening, lets what runs go over, answers who waits, and stops all but the
   * connections that callers still have; what arrives on those is passed on. Resolves within about `deadlineMs`; `stop` is
   * still to be called. Memoised.
   */
  leave(deadlineMs: number): Promise<void>;
  /** Resolves when no caller is connected any more. */
  emptied(): Promise<void>;
  /** Of callers. */
  readonly connectionCount: number;
  /** After `leave`, a port of its own is still listened on, until this is called. */
  closeDoor(): void;
}

/** From the command to leave to the end of a gateway, beside its drain. */
const BESIDE_SLACK_MS = 15_000;

export function createGateway({
  config,
  identity,
  records,
  logger,
  clock,
  handOver = null,
  ...options
}: GatewayOptions): Gateway {
  const { jobs, tunnel } = config;
  const store = createGatewayStore({ config, clock, logger });
  const engine = createEngine({
    clock,
    logger,
    store,
    permissions: identity.access,
    leaseMs: jobs.leaseMs,
    standby: handOver !== null,
    rollouts: openRolloutBook(records),
    soakMs: config.models.soakMs,
    besideMs: config.drainMs + BESIDE_SLACK_MS,
    limits: concurrencyOf(config.limits),
    maxUndecidedJobsOfKey: jobs.maxJobsOfKey ?? Math.ceil(jobs.maxQueueJobs / 2),
    hasOthers: () => members.others.some(({ state }) => state === 'serving'),
  });
  const members = createMembers({
    // Each process has a name of its own: of one that is killed and started again, the others must not take the one for the other.
    self: store.members === undefined ? config.name : `${config.name}-${randomBytes(4).toString('hex')}`,
    release: handOver?.release ?? config.cluster.release,
    store,
    summary: () => ({ ...summaryOf(engine.workers()), load: scaling.own() }),
    clock,
    logger,
  });
  const certificate = createPeerCertificate({ id: members.self, identity, clock, logger });
  const peers = createPeers({ members, certificate, clock, logger });
  let peerListener: PeerListener | null = null;
  const predictions = withOthers(engine, members);
  const listener = createWorkerListener({
    config: { ...tunnel, door: handOver?.tunnelDoor ?? null, gateway: members.self, leaseMs: jobs.leaseMs },
    identity,
    events: announcing(engine, () => members.changed()),
    neighbours: store.members === undefined ? null : members,
    logger,
    clock,
  });
  const scaling = createScaling({
    clock,
    logger,
    id: members.self,
    state: () => (draining === null && leaving === null ? 'serving' : 'draining'),
    queues: { shared: store.parts.recorded, own: store.parts.unrecorded },
    seats: () => engine.seats(),
    knownModels: () => engine.knownModels(),
    sessions: () => engine.stats().connectedWorkers,
    callers: () => ({ requests: http.requestsInFlight, connections: http.connectionCount }),
    others: () => members.others.flatMap(({ id, state, load }) => (load ? [{ id, state, load }] : [])),
    onDecided: (observer) => engine.onDecided(observer),
  });
  const outbound = createOutbound({ clock, rules: outboundRules(config.outbound) });
  const isShared = config.store.driver === 'postgres';
  const secrets = createGatewaySecrets({
    ...{ dataDir: config.dataDir, isShared, records, clock },
    authorities: () => identity.pki.authorities,
  });
  const sender = createWebhookSender({ deliveries: store.deliveries, outbound, secrets, clock, logger });
  engine.onDecided(({ webhook }) => {
    if (webhook !== null) sender.wake();
  });
  const callers = createCallers({ records, clock, logger });
  const files = createGatewayFiles({ config, store, clock, logger });
  const local = isShared ? localParts(config, identity) : [];
  const host: AppHost = {
    predictions,
    onDecided: (observer) => engine.onDecided(observer),
    dropFailedInputs: (jobs) => store.dropFailedInputs(jobs),
    clock,
    logger,
  };
  const apps = (options.apps ?? []).map((make) => make(host));
  const http = createHttpService({
    callers,
    files,
    outbound,
    webhooks: {
      secretOf: (caller) => secrets.secretOf(caller),
      list: (request) => store.deliveries.list(request),
      ofJob: (id) => store.deliveries.ofJob(id),
      pending: () => store.deliveries.pending(),
      async resend(id) {
        const view = await store.deliveries.retry(id);
        if (view !== null) sender.wake();
        return view;
      },
    },
    predictions,
    scaling,
    services: engine.services,
    rollouts: engine.rollouts,
    members,
    peers,
    apps,
    local,
    fault: () => engine.storeFault() ?? members.fault,
    onDecided: (observer) => engine.onDecided(observer),
    stats: () => engine.stats(),
    config: config.http,
    logger,
    clock,
    handOver,
  });

  let isReady = false;
  let endTlsWatch: () => void = () => undefined;
  const service = createService({
    async start() {
      records.watch(clock, (error) => logger.error('the control records cannot be read', { error }));
      await identity.start();
      // Another authority is trusted: the keys of webhooks are sealed for it too.
      endTlsWatch = identity.onTls(() => {
        secrets
          .open()
          .catch((error: unknown) => logger.error('the keys of webhooks could not be sealed anew', { error }));
      });
      const parts = [...local, ...apps.flatMap((app) => app.local ?? [])];
      if (parts.length > 0)
        logger.warn(
          'these lie on this machine alone: other gateways on its database do not find them, unless BLOB_URL is set',
          { parts },
        );
      await engine.start();
      await files.start();
      await scaling.start();
      for (const app of apps) await app.start();
      if (handOver === null) await activate();
      else await http.start();
    },
    async stop() {
      // Callers first, so that nothing new arrives while the rest is taken down.
      await http.stop();
      await stopParts();
    },
  });

  async function activate(): Promise<void> {
    await engine.activate();
    await sender.start();
    for (const app of apps) await app.activate();
    await listener.start();
    const tunnelAddress = addressOf(config.cluster.tunnelAddress, listener.port);
    await members.join({ tunnelAddress, peerAddress: await openToPeers() });
    // Last: a caller that gets through finds everything there.
    if (handOver === null) await http.start();
    else await http.listen();
    isReady = true;
    note('gateway.start');
  }

  /** Where other gateways dial; null: they cannot. */
  async function openToPeers(): Promise<string | null> {
    const { peer } = config.cluster;
    if (peer === null || store.members === undefined) return null;
    await certificate.start();
    if (certificate.tls === null) {
      logger.warn('requests are not passed on between gateways: with POSTERN_PKI_DIR none can show who it is', {});
      return null;
    }
    const onPeer = http.takePeer.bind(http);
    peerListener = createPeerListener({ host: peer.host, port: peer.port, certificate, onPeer, clock, logger });
    await peerListener.open();
    return addressOf(peer.address ?? { host: peer.host, port: 0 }, peerListener.port);
  }

  let stopping: Promise<void> | null = null;
  /** All but what callers are connected to. */
  function stopParts(): Promise<void> {
    stopping ??= (async () => {
      for (const app of apps) await app.stop();
      await members.leave();
      peerListener?.close();
      peers.stop();
      await certificate.stop();
      await listener.stop();
      await sender.stop();
      await scaling.stop();
      endTlsWatch();
      // Before the store, which may have their book.
      await files.stop();
      await engine.stop();
      await identity.stop();
      if (isReady) note('gateway.stop');
      records.close();
    })();
    return stopping;
  }

  function note(action: AuditAction): void {
    try {
      prepareAudit(records);
      const detail = { pid: process.pid, http: `${config.http.host}:${http.port}` };
      records.write((db) => appendAudit(db, { at: clock.now(), actor: 'gateway', action, target: '', detail }));
    } catch (error) {
      logger.error('the audit log could not be written', { action, error });
    }
  }

  async function drain(deadlineMs: number): Promise<void> {
    const until = clock.monotonic() + deadlineMs;
    const leftMs = (): number => Math.max(0, until - clock.monotonic());
    http.beginDrain();
    members.drain();
    peerListener?.close();
    // Waiting callers are answered by jobs that end, so jobs go first, then callers, and the workers' link last.
    await engine.drain(leftMs());
    await http.drain(leftMs());
    await listener.drain(leftMs());
  }

  /** What an answer takes to be written after its wait was ended. */
  const LAST_WORDS_MS = 2_000;

  async function leave(deadlineMs: number): Promise<void> {
    const until = clock.monotonic() + deadlineMs;
    const leftMs = (): number => Math.max(0, until - clock.monotonic());
    members.drain();
    peerListener?.close();
    listener.leave();
    http.leave();
    // The next gateway tells webhooks from here on, also those of jobs that are decided here.
    await Promise.all([engine.handOver(deadlineMs), sender.stop()]);
    await http.settled(leftMs());
    engine.endWaits();
    await http.settled(LAST_WORDS_MS);
    http.closePrivate();
    await stopParts();
  }

  let leaving: Promise<void> | null = null;
  let draining: Promise<void> | null = null;
  return {
    ...service,
    lendKey: () => callers.keys.lend(['predict', 'read']),
    get httpPort() {
      return http.port;
    },
    get tunnelPort() {
      return listener.port;
    },
    activate,
    setMaintenance: (text) => http.setMaintenance(text),
    leave(deadlineMs) {
      leaving ??= leave(deadlineMs);
      return leaving;
    },
    emptied: () => http.emptied(),
    closeDoor: () => http.closeDoor(),
    get connectionCount() {
      return http.connectionCount;
    },
    drain(deadlineMs) {
      draining ??= drain(deadlineMs);
      return draining;
    },
  };
}

/** Where the address says no port, it is the one that is listened on. */
function addressOf(address: { readonly host: string; readonly port: number } | null, listening: number): string | null {
  if (address === null) return null;
  const { host, port } = address;
  return `${host.includes(':') ? `[${host}]` : host}:${port === 0 ? listening : port}`;
}

/** The same events, and a word to the others when a worker came, left, or serves something else. */
function announcing(events: SessionEvents, changed: () => void): SessionEvents {
  return {
    ...events,
    onModels(...given) {
      events.onModels(...given);
      changed();
    },
    onDraining(session) {
      events.onDraining(session);
      changed();
    },
    onClose(session, error) {
      events.onClose(session, error);
      changed();
    },
  };
}
