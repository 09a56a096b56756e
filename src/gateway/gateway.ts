/**
 * The gateway: the workers' listener and the callers' HTTP service, with the engine between them. Owner of the order in
 * which they start and stop, and of nothing else.
 */
import type { Clock } from '../clock.ts';
import type { GatewayIdentity } from '../identity/identity.ts';
import type { Logger } from '../logger.ts';
import { createService, type Service } from '../service.ts';
import { outboundRules, type GatewayConfig } from './config.ts';
import { createEngine } from './engine.ts';
import { createHttpService } from './http/http.ts';
import { createWorkerListener } from './listener.ts';
import { createOutbound } from './outbound/outbound.ts';
import { createGatewayStore } from './store.ts';

export interface GatewayOptions {
  readonly config: GatewayConfig;
  /** The authority that workers' certificates come from, and the gateway's own certificate. */
  readonly identity: Pick<GatewayIdentity, 'caPem' | 'gateway'>;
  readonly logger: Logger;
  readonly clock: Clock;
}

export interface Gateway extends Service {
  /** The bound ports, after start. */
  readonly httpPort: number;
  readonly tunnelPort: number;
  /** Accepts nothing new, finishes what runs, lets the workers go: at most `deadlineMs` in all. Memoised. */
  drain(deadlineMs: number): Promise<void>;
}

export function createGateway({ config, identity, logger, clock }: GatewayOptions): Gateway {
  const { jobs, tunnel } = config;
  const store = createGatewayStore({ config, clock, logger });
  const engine = createEngine({ clock, logger, store, leaseMs: jobs.leaseMs });
  const listener = createWorkerListener({
    config: { host: tunnel.host, port: tunnel.port, gateway: config.name, leaseMs: jobs.leaseMs },
    identity,
    events: engine,
    logger,
    clock,
  });
  const outbound = createOutbound({ clock, rules: outboundRules(config.outbound) });
  const http = createHttpService({
    outbound,
    predictions: engine,
    onDecided: (observer) => engine.onDecided(observer),
    config: config.http,
    logger,
    clock,
  });

  const service = createService({
    async start() {
      await engine.start();
      await listener.start();
      // Last: a caller that gets through finds everything there.
      await http.start();
    },
    async stop() {
      // Callers first, so that nothing new arrives while the rest is taken down.
      await http.stop();
      await listener.stop();
      await engine.stop();
    },
  });

  async function drain(deadlineMs: number): Promise<void> {
    const until = clock.monotonic() + deadlineMs;
    const leftMs = (): number => Math.max(0, until - clock.monotonic());
    http.beginDrain();
    // Waiting callers are answered by jobs that end, so jobs go first, then callers, and the workers' link last.
    await engine.drain(leftMs());
    await http.drain(leftMs());
    await listener.drain(leftMs());
  }

  let draining: Promise<void> | null = null;
  return {
    ...service,
    get httpPort() {
      return http.port;
    },
    get tunnelPort() {
      return listener.port;
    },
    drain(deadlineMs) {
      draining ??= drain(deadlineMs);
      return draining;
    },
  };
}
